"""Waits for the calls in flight when the host stops, and logs a warning meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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
