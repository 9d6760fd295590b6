"""Uvicorn's HTTP protocol with limits for connections and for the time and size of a request's head.

Uvicorn's own `limit_concurrency` counts a connection only when its head has arrived, and a head may take for ever.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

logger = logging.getLogger(__name__)

_LARGEST_HEAD = 64 * 1024
"""The most bytes of a request head."""
_MANY = 10_000
"""The most connections if the system sets no limit."""
_WARNING_INTERVAL = 60.0
"""The shortest time between two warnings that connections are refused, in seconds."""
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def descriptors() -> int:
    """Return how many files and connections the process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return 2 * _MANY
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2 * _MANY if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """Return how many client connections may be open if the configuration does not set a number."""
    return min(_MANY, descriptors() * 3 // 4)


def accepted_at_once(most: int) -> int:
    """Return how many connections may be accepted in one turn of the event loop.

    Connections over the limit are open for a few turns before they are closed. If no descriptor is left, asyncio
    (before 3.12) writes a traceback for each connection that it could not accept.
    """
    return max(1, min(128, (descriptors() - most) // 8))


def protocol_with_limits(*, head_timeout: float, connections: int) -> type[asyncio.Protocol]:
    """Return the protocol class for `uvicorn.Config(http=...)`.

    A connection is closed if a request's head takes longer than `head_timeout` seconds. A connection is refused if
    `connections` are already open.
    """
    return type("LimitedHTTPProtocol", (_LimitedHTTPProtocol,), {"head_timeout": head_timeout, "most": connections})


class _LimitedHTTPProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    head_timeout: float
    most: int
    _warned_at: float | None = None
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse()
        else:
            self._expect_head()

    def _refuse(self) -> None:
        now, warned_at = self.loop.time(), type(self)._warned_at
        if warned_at is None or now > warned_at + _WARNING_INTERVAL:
            type(self)._warned_at = now
            logger.warning("%d connections are open, and more are refused (transport.max_connections)", self.most)
        self.transport.write(_REFUSAL)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_waiting:
            self._stop_waiting()
            return
        self._expect_head()
        # The rest of a body whose request was already answered is not counted.
        self._head_size += 0 if self.cycle is not None and self.cycle.more_body else len(data)
        if self._head_size > _LARGEST_HEAD:
            logger.info("a connection is closed: a request head of more than %d bytes", _LARGEST_HEAD)
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Remove white space from the end of a value, where httptools leaves it (RFC 9110, section 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        # The timer starts with the connection or the end of the last request. More bytes do not start it again.
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout, self._give_up)

    def _stop_waiting(self) -> None:
        self._head_size = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _is_waiting(self) -> bool:
        """Whether the connection waits for a request head: no request is being served, and it is not a websocket."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle and self.transport.get_protocol() is self

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_waiting:
            logger.info("a connection is closed: no whole request head within %g s", self.head_timeout)
            self.transport.close()


__all__ = ["accepted_at_once", "most_connections", "protocol_with_limits"]
