"""Connects only to addresses that the guard has checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final

import anyio
import httpcore2

from mcp_host.net.addresses import parse_address
from mcp_host.net.errors import BlockedAddressError
from mcp_host.net.guard import Guard

MOST_TRIED: Final = 4
"""How many addresses of one host are tried, one after the other."""


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """A network backend that resolves and checks a name when it connects.

    The pool calls this backend for the TCP connection only. TLS and the Host header belong to the pool and still use
    the name. `inner` makes the connections.
    """

    def __init__(self, guard: Guard, inner: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first checked address of the host that answers. `timeout` is in seconds, for all attempts.

        Raises:
            BlockedAddressError: The guard refuses the host, or the peer has another address.
            httpcore2.ConnectError: The name does not resolve, or no address answers.
            httpcore2.ConnectTimeout: No address answered in time.
        """
        with anyio.move_on_after(timeout) as clock:
            addresses = _alternating(await self._addresses(host, port))[:MOST_TRIED]
            for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
                share = None if timeout is None else (clock.deadline - anyio.current_time()) / left
                try:
                    stream = await self._inner.connect_tcp(address, port, share, local_address, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                    if left == 1:
                        raise
                    continue
                await self._check_peer(stream, host, address, port)
                return stream
        raise httpcore2.ConnectTimeout(f"{host} did not answer in time")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: a socket file is not on the Internet."""
        raise BlockedAddressError(path, 0, path, "a socket file")

    async def sleep(self, seconds: float) -> None:
        """Wait. The pool calls this between retries, and it is set up without retries."""
        await anyio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            return await self._guard.resolve(host, port)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {why}") from error

    async def _check_peer(self, stream: httpcore2.AsyncNetworkStream, host: str, address: str, port: int) -> None:
        """Check that the peer has the address that was dialled. Nothing has been sent yet."""
        peer = stream.get_extra_info("server_addr")
        try:
            if peer is None or parse_address(str(peer[0])) != parse_address(address):
                raise BlockedAddressError(host, port, str(peer and peer[0]), "another address than the one dialled")
        except BaseException:
            await stream.aclose()
            raise


def _alternating(addresses: Sequence[str]) -> list[str]:
    """Return the addresses with IPv4 and IPv6 in turn, each in its given order (RFC 8305, section 4).

    On a network whose IPv6 does not work, only one attempt is lost, not all of them.
    """
    first = ":" in addresses[0]
    families = ([each for each in addresses if (":" in each) is family] for family in (first, not first))
    return [each for pair in zip_longest(*families) for each in pair if each is not None]
