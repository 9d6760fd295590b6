"""What bounds one request with all its redirects, and the client that starts its clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx2

from mcp_host.net.errors import ExchangeTimeoutError, ResponseTooLargeError

EXTENSION: Final = "mcp_host.net.exchange"
"""The request extension that httpx2 carries from hop to hop."""


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes of an exchange."""

    timeout: float
    max_bytes: int


@dataclass
class Exchange:
    """One request with its redirects: whom it was meant for, and what it has used up."""

    origin: tuple[str, str, int | None]
    limits: Limits
    deadline: float
    raw: int = 0
    decoded: int = 0

    @classmethod
    def of(cls, request: httpx2.Request, limits: Limits) -> Exchange:
        """The exchange that a request is a part of, begun now if it is the first."""
        exchange = request.extensions.get(EXTENSION)
        if not isinstance(exchange, cls):
            exchange = cls(origin_of(request.url), limits, anyio.current_time() + limits.timeout)
            request.extensions = {**request.extensions, EXTENSION: exchange}
        return exchange

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Bound what is awaited inside by what is left of the time."""
        with anyio.CancelScope(deadline=self.deadline) as scope:
            yield
        if scope.cancelled_caught:
            raise ExchangeTimeoutError(self.limits.timeout)

    def spend(self, *, raw: int = 0, decoded: int = 0) -> None:
        """Count bytes, of all hops together."""
        self.raw += raw
        self.decoded += decoded
        if max(self.raw, self.decoded) > self.limits.max_bytes:
            raise ResponseTooLargeError(self.limits.max_bytes)


def origin_of(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port (None for the scheme's own)."""
    return url.scheme, url.host, url.port


class GuardedClient(httpx2.AsyncClient):
    """An `AsyncClient` whose requests each begin an exchange when sent, even if the object was sent before."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncClient.send`."""
        request.extensions = {key: value for key, value in request.extensions.items() if key != EXTENSION}
        return await super().send(request, **options)
