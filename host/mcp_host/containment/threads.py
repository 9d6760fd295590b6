"""Threads for code of plugins: those of the event loop are known by the plugin's name, and one can be left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from mcp_host.containment.runner import Work, current_work

_P = ParamSpec("_P")
_T = TypeVar("_T")


class NamedThreads(ThreadPoolExecutor):
    """The default executor of a loop that runs plugins."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._running: dict[int, Work] = {}

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        work = current_work()
        if work is None:
            return super().submit(fn, *args, **kwargs)

        def run() -> _T:
            self._running[threading.get_ident()] = work
            try:
                return fn(*args, **kwargs)
            finally:
                del self._running[threading.get_ident()]

        return super().submit(run)

    def what(self, thread: threading.Thread) -> str:
        """Return what runs in a thread, or nothing if it is idle or not one of these."""
        work = self._running.get(thread.ident or 0)
        return str(work) if work is not None else ""


async def run_within(seconds: float, function: Callable[[], _T], *, name: str) -> _T:
    """Run a function in a thread of its own, and return its result.

    If it takes longer, or the caller is cancelled, the thread is left behind. The process does not wait for it.

    Raises:
        TimeoutError: The function did not end in time.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[_T | None, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        result: _T | None = None
        error: BaseException | None = None
        try:
            result = context.run(function)
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_set, done, (result, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    async with asyncio.timeout(seconds):
        result, error = await done
    if error is not None:
        try:
            raise error
        finally:
            del error  # it refers to this frame
    return result  # type: ignore[return-value]


def _set(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)
