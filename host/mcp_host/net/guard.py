"""The guard: resolves a name once and returns its addresses only if every one of them may be reached."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import anyio

from mcp_host.net.addresses import Address, kind_of, parse_address
from mcp_host.net.errors import BlockedAddressError
from mcp_host.net.rules import AddressRule

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Awaitable[Iterable[str]]]
"""Takes a host name and a port. Returns IP addresses, best first, or raises `OSError` if there is none."""

_LOCAL: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain", "onion"}
)
"""The last labels of names that are resolved in a local network, or not at all."""

MOST_ADDRESSES: Final = 64
"""How many addresses one name may have. A name with more is refused."""


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system (getaddrinfo). It also reads the forms `127.1`, `0x7f.1` and `2130706433`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """Decides which addresses may be reached.

    A public address may be reached, another one only if a rule in `allow` covers it. An address that a rule in `deny`
    covers may never be reached. `AddressRule.parse` reads the rules. `resolver` replaces the operating system's.

    Raises:
        ValueError: A rule cannot be read.
    """

    def __init__(
        self, *, allow: Iterable[str] = (), deny: Iterable[str] = (), resolver: Resolver | None = None
    ) -> None:
        self._allow = tuple(AddressRule.parse(text) for text in allow)
        self._deny = tuple(AddressRule.parse(text) for text in deny)
        self._resolver = resolver or system_resolver

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host, each one checked. Connect to them directly, without another lookup.

        Raises:
            BlockedAddressError: One of the addresses may not be reached.
            OSError: The name does not resolve.
        """
        try:
            found = [str(parse_address(host))]
        except ValueError:
            found = list(await self._resolver(host, port))
        if not found:
            raise OSError(f"{host} has no address")
        if len(found) > MOST_ADDRESSES:
            raise OSError(f"{host} has more than {MOST_ADDRESSES} addresses")
        return tuple(str(self.check(host, address, port)) for address in found)

    async def admit(self, host: str, port: int) -> None:
        """Check a host that a proxy will resolve and reach.

        The addresses that the name has here are checked. The proxy may find others, which nobody can check. A name that
        cannot be resolved here is refused if it is one of a local network (RFC 6761, RFC 6762, RFC 8375 and the usual
        ones), unless a rule in `allow` names it.

        Raises:
            BlockedAddressError: The host may not be reached.
        """
        try:
            await self.resolve(host, port)
        except (OSError, UnicodeError):
            name = host.lower().rstrip(".")
            if any(rule.names(name, port) for rule in self._deny):
                raise BlockedAddressError(host, port, host, "a name that the settings deny") from None
            if not any(rule.names(name, port) for rule in self._allow) and _is_local(name):
                raise BlockedAddressError(host, port, host, "a name of a local network") from None

    def check(self, host: str, address: str, port: int) -> Address:
        """Return the address in its plain form if it may be reached for this host and port.

        Raises:
            BlockedAddressError: It may not be reached.
        """
        try:
            parsed = parse_address(address)
        except ValueError:
            raise BlockedAddressError(host, port, address, "something that is not an address") from None
        kind = self._refusal(host, parsed, port)
        if kind is not None:
            logger.warning("refused to connect to %s port %d: %s is %s", host, port, parsed, kind)
            raise BlockedAddressError(host, port, str(parsed), kind)
        return parsed

    def _refusal(self, host: str, address: Address, port: int) -> str | None:
        if any(rule.covers(host, address, port) for rule in self._deny):
            return "an address that the settings deny"
        if any(rule.covers(host, address, port) for rule in self._allow):
            return None
        return kind_of(address)


def _is_local(name: str) -> bool:
    """Return whether a name that has no address here may have a private one at a proxy: also "intern" and "10.1"."""
    last = name.rpartition(".")[2]
    return "." not in name or last in _LOCAL or name.endswith(".home.arpa") or not last[:1].isalpha()
