"""The resources that clients subscribed to: the other servers that they are from report their changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.served import Watch

_MOST: Final = 1000
"""Resources that one session, or one stream of changes, may subscribe to."""


def refuse_more_than_allowed(count: int) -> None:
    """Refuse so many subscriptions of one session or stream, if they are too many.

    Raises:
        MCPError: They are.
    """
    if count > _MOST:
        raise MCPError(INVALID_PARAMS, f"Too many subscriptions: at most {_MOST} resources in one session or stream")


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
