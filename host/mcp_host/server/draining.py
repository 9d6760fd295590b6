"""The time that what is in flight gets when the host stops, and what is said about it meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

logger = logging.getLogger(__name__)

_PATIENCE = 1.0
"""Seconds after which whoever watches is told what is waited for."""


@asynccontextmanager
async def grace(seconds: float, left: Callable[[], int]) -> AsyncIterator[None]:
    """Give the block so many seconds to wait in for calls to end; `left` counts those that have not."""

    def tell() -> None:
        logger.warning(
            "waiting for %d %s to end, %g s at most; a second signal ends the process at once",
            left(),
            _calls(left()),
            seconds,
        )

    timer = asyncio.get_running_loop().call_later(_PATIENCE, tell)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        logger.warning("%d %s did not end within %g s, cut off now", left(), _calls(left()), seconds)
    finally:
        timer.cancel()


def _calls(number: int) -> str:
    return "call" if number == 1 else "calls"
