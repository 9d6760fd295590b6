"""Runs work with a timeout, stops it if its call is cancelled, and waits until it has really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import anyio

T = TypeVar("T")
Stop = Callable[["asyncio.Task[Any]"], Awaitable[None]]

PATIENCE: Final = 5.0
"""How long stopped work may take to end, in seconds."""


class OutOfTimeError(Exception):
    """The work took too long."""


async def bounded(work: Coroutine[Any, Any, T], stop: Stop, seconds: float | None) -> T:
    """Run `work` in its own task and return its result.

    If the caller is cancelled, or after `seconds`, `stop(task)` is awaited, shielded from cancellation. It must end the
    task, and let go of its result if there is one. A task that does not end is cancelled, and after `PATIENCE` seconds
    it is not waited for any more.

    Raises:
        OutOfTimeError: The work took too long. Errors of `work` are raised unchanged.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        # Even if the work has just ended, because nobody will use its result.
        with anyio.CancelScope(shield=True):
            await _end(task, stop)
        raise
    if not task.done():
        with anyio.CancelScope(shield=True):
            await _end(task, stop)
        raise OutOfTimeError
    return task.result()


async def cancel(task: asyncio.Task[Any]) -> None:
    """Stop a task by cancelling it."""
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE)


async def _end(task: asyncio.Task[Any], stop: Stop) -> None:
    with anyio.move_on_after(PATIENCE):
        await stop(task)
    if not task.done():
        await cancel(task)
    # The exception is retrieved here, because asyncio would report it as never retrieved.
    if task.done() and not task.cancelled():
        task.exception()
