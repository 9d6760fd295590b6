"""The limits of one request with all its redirects, and the client that starts its clock."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx2

from mcp_host.net.errors import ExchangeTimeoutError, ResponseTooLargeError

EXTENSION: Final = "mcp_host.net.exchange"
"""The request extension that httpx2 carries from hop to hop."""


@dataclass(frozen=True)
class ExchangeLimits:
    """How long an exchange may take, in seconds, and how large its body may be, in bytes.

    With `streams`, an exchange has no time limit, and the body of an event stream no limit of size.
    """

    timeout: float
    max_bytes: int
    streams: bool = False


@dataclass
class Exchange:
    """One request with its redirects: the origin it was sent to first, and the bytes it has read."""

    origin: tuple[str, str, int | None]
    limits: ExchangeLimits
    deadline: float
    raw: int = 0
    decoded: int = 0
    is_stream: bool = False
    """Whether its body is an event stream that may be endless."""

    @classmethod
    def of(cls, request: httpx2.Request, limits: ExchangeLimits) -> Exchange:
        """Return the exchange that a request belongs to. The first request begins a new one."""
        exchange = request.extensions.get(EXTENSION)
        if not isinstance(exchange, cls):
            deadline = math.inf if limits.streams else anyio.current_time() + limits.timeout
            exchange = cls(origin_of(request.url), limits, deadline)
            request.extensions = {**request.extensions, EXTENSION: exchange}
        return exchange

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Stop the code inside when the exchange's time is over."""
        with anyio.CancelScope(deadline=self.deadline) as scope:
            yield
        if scope.cancelled_caught:
            raise ExchangeTimeoutError(self.limits.timeout)

    def spend(self, *, raw: int = 0, decoded: int = 0) -> None:
        """Count the bytes of all hops together."""
        self.raw += raw
        self.decoded += decoded
        if not self.is_stream and max(self.raw, self.decoded) > self.limits.max_bytes:
            raise ResponseTooLargeError(self.limits.max_bytes)


def origin_of(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port. The port is None for the scheme's default."""
    return url.scheme, url.host, url.port


class GuardedClient(httpx2.AsyncClient):
    """An `AsyncClient` that begins a new exchange for each request, also for a request object that is sent again."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncClient.send`."""
        request.extensions = {key: value for key, value in request.extensions.items() if key != EXTENSION}
        return await super().send(request, **options)
