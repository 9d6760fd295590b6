"""Runs blocking work in a thread that a cancelled call, or a clock, can stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

AGAIN: Final = 0.05
"""Seconds between two interrupts: one that comes just before a statement starts is lost, so they are repeated."""

PATIENCE: Final = 5.0
"""Seconds after which work that heeds no interrupt is left to end by itself."""


class OutOfTimeError(Exception):
    """The work took longer than it may."""


async def in_thread(work: Callable[[], T], interrupt: Callable[[], None], seconds: float) -> T:
    """The result of `work`, run in a worker thread.

    When the caller is cancelled, or after `seconds`, `interrupt` is called until the work has ended.

    Raises:
        OutOfTimeError: The time was up. Whatever `work` raises is raised as it is.
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
