"""The stop of a server: waits for the calls in flight, and learns of it in the process of another server."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_WARNING_DELAY = 1.0
"""Seconds before a warning reports what the host waits for."""


@asynccontextmanager
async def grace(seconds: float, left: Callable[[], int]) -> AsyncIterator[None]:
    """Stop the block, which waits for calls to end, after so many seconds. `left` counts the calls still running."""

    def warn() -> None:
        logger.warning(
            "waiting for %d %s to end, %g s at most; a second signal ends the process at once",
            left(),
            _calls(left()),
            seconds,
        )

    timer = asyncio.get_running_loop().call_later(_WARNING_DELAY, warn)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        logger.warning("%d %s did not end within %g s and will be cancelled now", left(), _calls(left()), seconds)
    finally:
        timer.cancel()


def _calls(number: int) -> str:
    return "call" if number == 1 else "calls"


class _Before:
    """A signal handler that awaits a function, and then calls the handler of the outer server. A second signal calls
    that at once.
    """

    def __init__(self, drain: Callable[[], Awaitable[None]], outer: Callable[[int, FrameType | None], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        # Not that of the plugin which the signal interrupts.
        self._context = contextvars.copy_context()
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None
        self._has_begun = False
        self.outer = outer
        # sse-starlette finds uvicorn's server as the owner of the handler.
        self.__self__ = getattr(outer, "__self__", None)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._has_begun or self._loop.is_closed():
            self.outer(number, frame)
            return
        self._has_begun = True
        self._loop.call_soon_threadsafe(self._begin, number, context=self._context)

    def _begin(self, number: int) -> None:
        self._draining = asyncio.create_task(self._drained(number), name="stopping the app")

    async def _drained(self, number: int) -> None:
        try:
            await self._drain()
        finally:
            # In a callback, because a handler may raise KeyboardInterrupt.
            self._loop.call_soon(self.outer, number, None)


@contextmanager
def before_the_outer_server_stops(drain: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Await a function when a signal is to stop the server that serves this app, such as uvicorn or a gunicorn worker.

    These cut off the streams of events, or wait for every open one before they send the lifespan event that ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours: dict[int, _Before] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        outer = signal.getsignal(number)
        if callable(outer):  # and not the default
            ours[number] = _Before(drain, outer)
            signal.signal(number, ours[number])
    try:
        yield
    finally:
        for signum, handler in ours.items():
            unchanged = signal.getsignal(signum) is handler
            if unchanged:
                signal.signal(signum, handler.outer)
