"""The guard: resolves a name once and hands out addresses only when every one of them may be reached."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import anyio

from mcp_host.net.addresses import Address, kind_of, parse_address
from mcp_host.net.errors import BlockedAddressError
from mcp_host.net.rules import Rule

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Awaitable[Iterable[str]]]
"""Takes a host name and a port and returns IP addresses, best first; raises `OSError` when there are none."""

MOST_ADDRESSES: Final = 64
"""Addresses of one name that are looked at; a name with more is refused."""


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system (getaddrinfo), which also reads the forms `127.1`, `0x7f.1` and `2130706433`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """Decides which addresses may be dialled.

    Public addresses may, others only where a rule of `allow` covers them, and none that a rule of `deny` covers. The
    rules are as `Rule.parse` reads them. `resolver` replaces the operating system's.

    Raises:
        ValueError: A rule cannot be read.
    """

    def __init__(
        self, *, allow: Iterable[str] = (), deny: Iterable[str] = (), resolver: Resolver | None = None
    ) -> None:
        self._allow = tuple(Rule.parse(text) for text in allow)
        self._deny = tuple(Rule.parse(text) for text in deny)
        self._resolver = resolver or system_resolver

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host, each checked; they are to be dialled as they are, without another lookup.

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

    def check(self, host: str, address: str, port: int) -> Address:
        """Return the address in its plain form if it may be dialled for this host and port.

        Raises:
            BlockedAddressError: It may not.
        """
        try:
            parsed = parse_address(address)
        except ValueError:
            raise BlockedAddressError(host, port, address, "something that is no address") from None
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
