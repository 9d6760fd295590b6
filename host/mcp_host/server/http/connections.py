"""uvicorn's HTTP protocol with limits: of connections, and of the time and the size of a request's head.

uvicorn's own `limit_concurrency` counts only once a whole head has arrived, and a head may take as long as it likes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

logger = logging.getLogger(__name__)

_LARGEST_HEAD = 64 * 1024
"""Bytes of a request head that is not complete yet."""
_MANY = 10_000
"""Connections at once where the system sets no limit."""
_SILENCE = 60.0
"""Seconds before it is said again that connections are refused."""
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def descriptors() -> int:
    """How many files and connections the process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return 2 * _MANY
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2 * _MANY if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """How many of them may be clients' connections, where the configuration does not say."""
    return min(_MANY, descriptors() * 3 // 4)


def accepted_at_once(most: int) -> int:
    """How many connections may be taken in one turn of the event loop.

    Those that are too many are open for a few turns before they are closed. Where the last descriptor is taken,
    asyncio (before 3.12) writes a traceback for every connection that it could have taken.
    """
    return max(1, min(128, (descriptors() - most) // 8))


def protocol_with_limits(*, head_timeout: float, connections: int) -> type[asyncio.Protocol]:
    """Return the protocol class for `uvicorn.Config(http=...)`.

    A connection is closed when a head takes longer than `head_timeout` seconds, and refused where as many are open.
    """
    return type("LimitedHTTPProtocol", (_LimitedHTTPProtocol,), {"head_timeout": head_timeout, "most": connections})


class _LimitedHTTPProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    head_timeout: float
    most: int
    _told: float | None = None
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse()
        else:
            self._expect_head()

    def _refuse(self) -> None:
        now, told = self.loop.time(), type(self)._told
        if told is None or now > told + _SILENCE:
            type(self)._told = now
            logger.warning("%d connections are open, and more are refused (transport.max_connections)", self.most)
        self.transport.write(_REFUSAL)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_waiting:
            self._forget()
            return
        self._expect_head()
        # Not the rest of a body whose request was answered before it had come.
        self._head_size += 0 if self.cycle is not None and self.cycle.more_body else len(data)
        if self._head_size > _LARGEST_HEAD:
            logger.info("a connection is closed: a request head of more than %d bytes", _LARGEST_HEAD)
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take the white space off a value's end, which httptools leaves there (RFC 9110, section 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        # Begun with the first byte, and not anew with every further one.
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout, self._give_up)

    def _forget(self) -> None:
        self._head_size = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _is_waiting(self) -> bool:
        """Whether no request is being served, and this is no websocket by now."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle and self.transport.get_protocol() is self

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_waiting:
            logger.info("a connection is closed: no whole request head within %g s", self.head_timeout)
            self.transport.close()


__all__ = ["accepted_at_once", "most_connections", "protocol_with_limits"]
