"""The resources that clients subscribed to: the other servers that they are from report their changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.served import Watch

Principal = tuple[str, str | None, str | None] | None
"""The client, issuer and subject of a token, or None for everyone without a token."""


@dataclass(frozen=True)
class _Most:
    """The most resources, and bytes of their URIs, that one owner may be subscribed to at the same time."""

    owner: str
    count: int
    size: int


_MOST_OF_ONE: Final = _Most("session or stream", 1000, 256 * 1024)
_MOST_OF_ALL: Final = _Most("client", 10_000, 2 * 1024 * 1024)
"""For all sessions and streams of a principal together."""


@dataclass
class _Amount:
    """How much one owner is subscribed to."""

    most: _Most
    count: int = 0
    size: int = 0

    def refuse_more(self, size: int) -> None:
        if self.count >= self.most.count:
            what = f"at most {self.most.count} resources"
        elif self.size + size > self.most.size:
            what = f"URIs of at most {self.most.size} bytes"
        else:
            return
        raise MCPError(INVALID_PARAMS, f"Too many subscriptions: {what} in one {self.most.owner}")

    def add(self, size: int) -> None:
        self.count += 1
        self.size += size

    def take(self, size: int) -> None:
        self.count -= 1
        self.size -= size


class Subscriber:
    """What one session or stream is subscribed to. It ends with `close`."""

    def __init__(self, interest: Interest) -> None:
        self._interest = interest
        self._amount = _Amount(_MOST_OF_ONE)
        self._releases: dict[str, Callable[[], None]] = {}

    def __contains__(self, uri: str) -> bool:
        return uri in self._releases

    def add(self, uri: str, principal: Principal, protocol_version: str) -> None:
        """Subscribe to a resource. The second time changes nothing.

        Raises:
            MCPError: These are too many, for this subscriber or for all of the principal.
        """
        if uri in self._releases:
            return
        size = len(uri.encode(errors="surrogatepass"))
        of_all = self._interest.amounts.get(principal) or _Amount(_MOST_OF_ALL)
        for amount in (self._amount, of_all):
            amount.refuse_more(size)
        release = self._interest.hold(uri, protocol_version)
        for amount in (self._amount, of_all):
            amount.add(size)
        self._interest.amounts[principal] = of_all

        def remove() -> None:
            for amount in (self._amount, of_all):
                amount.take(size)
            if not of_all.count:
                del self._interest.amounts[principal]
            release()

        self._releases[uri] = remove

    def remove(self, uri: str) -> None:
        """Unsubscribe from a resource."""
        remove = self._releases.pop(uri, None)
        if remove is not None:
            remove()

    def close(self) -> None:
        """Unsubscribe from all resources."""
        for uri in list(self._releases):
            self.remove(uri)


@dataclass
class _Held:
    count: int = 0
    watch: Watch | None = None
    release: Callable[[], None] | None = None


class Interest:
    """Counts who wants the changes of each URI, by protocol version. `catalog` returns what is served now."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._held: dict[tuple[str, str], _Held] = {}
        self.amounts: dict[Principal, _Amount] = {}
        """How much all sessions and streams of each principal are subscribed to."""

    def hold(self, uri: str, protocol_version: str) -> Callable[[], None]:
        """Have the server that a resource is from report its changes, until the returned function is called.

        Nothing needs to be done for a resource of the plugin's own.
        """
        wanted = (uri, protocol_version)
        held = self._held.setdefault(wanted, _Held())
        held.count += 1
        self._follow(wanted, held)

        def release() -> None:
            held.count -= 1
            if not held.count:
                del self._held[wanted]
                _move(wanted, held, None)

        return release

    def catalog_changed(self) -> None:
        """Ask the servers that the resources are from now."""
        for wanted, held in self._held.items():
            self._follow(wanted, held)

    def _follow(self, wanted: tuple[str, str], held: _Held) -> None:
        served = self._catalog().resource_at(wanted[0])
        _move(wanted, held, served.watch if served is not None else None)


def _move(wanted: tuple[str, str], held: _Held, watch: Watch | None) -> None:
    if watch == held.watch:
        return
    before, held.watch = held.release, watch
    held.release = watch(*wanted) if watch is not None else None
    if before is not None:
        before()
