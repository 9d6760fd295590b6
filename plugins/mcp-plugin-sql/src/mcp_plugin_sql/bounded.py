"""Runs work that a cancelled call, or a clock, stops, and waits until it has really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import anyio

T = TypeVar("T")
Stop = Callable[["asyncio.Task[Any]"], Awaitable[None]]

PATIENCE: Final = 5.0
"""Seconds that stopped work gets to end."""


class OutOfTimeError(Exception):
    """The work took longer than it may."""


async def bounded(work: Coroutine[Any, Any, T], stop: Stop, seconds: float | None) -> T:
    """The result of `work`, run in a task of its own.

    When the caller is cancelled, or after `seconds`, `stop(task)` is awaited, shielded; it must end the task. Work that
    does not heed it is cancelled, and left behind after `PATIENCE` seconds.

    Raises:
        OutOfTimeError: The time was up. Whatever `work` raises is raised as it is.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        in_time = task.done()
    finally:
        if not task.done():
            with anyio.CancelScope(shield=True):
                await _end(task, stop)
    if not in_time:
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
    # Looked at here, or asyncio reports it as never retrieved.
    if task.done() and not task.cancelled():
        task.exception()
