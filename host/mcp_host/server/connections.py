"""uvicorn's HTTP protocol with a deadline and a limit for request heads, which it takes at any pace and size itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

logger = logging.getLogger(__name__)


_LARGEST_HEAD = 64 * 1024
"""Bytes of a request head that is not complete yet."""


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol class for `uvicorn.Config(http=...)`: a connection is closed when a head takes longer."""
    return type("TimelyHTTPProtocol", (_TimelyHTTPProtocol,), {"head_timeout": seconds})


class _TimelyHTTPProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    head_timeout: float
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_waiting:
            self._forget()
            return
        self._expect_head()
        self._head_size += len(data)
        if self._head_size > _LARGEST_HEAD:
            logger.info("a connection is closed: a request head of more than %d bytes", _LARGEST_HEAD)
            self.transport.close()

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


__all__ = ["protocol_with_deadline"]
