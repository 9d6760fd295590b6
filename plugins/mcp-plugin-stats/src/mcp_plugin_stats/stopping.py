"""Runs blocking work in a thread, and stops it after a timeout or when its call is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

AGAIN: Final = 0.05
"""Seconds between two interrupts. They are repeated, because one just before a statement starts has no effect."""

PATIENCE: Final = 5.0
"""Seconds after which work that ignores interrupts is not waited for any more."""


class OutOfTimeError(Exception):
    """The work took too long."""


async def in_thread(work: Callable[[], T], interrupt: Callable[[], None], seconds: float) -> T:
    """Run `work` in a worker thread and return its result.

    If the caller is cancelled, or after `seconds`, `interrupt` is called until the work has ended.

    Raises:
        OutOfTimeError: The work took too long. Errors of `work` are raised unchanged.
    """
    ended = anyio.Event()
    thread = anyio.CancelScope(shield=True)
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        with thread:
            try:
                results.append(
                    await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
                )
            except Exception as error:
                errors.append(error)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            with anyio.move_on_after(seconds) as clock:
                await ended.wait()
        finally:
            if not ended.is_set():
                with anyio.move_on_after(PATIENCE, shield=True):
                    while not ended.is_set():
                        interrupt()
                        with anyio.move_on_after(AGAIN):
                            await ended.wait()
                thread.cancel()
    if clock.cancelled_caught and not results:
        raise OutOfTimeError
    if errors:
        raise errors[0]
    return results[0]
