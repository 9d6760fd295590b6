"""Watches the event loop from a thread, and reports which plugin's code blocked it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mcp_host.containment.runner import Work
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.logs import log_with_stack

logger = logging.getLogger(__name__)

_HINT = "write the function with plain def (it then runs in a thread), or await anyio.to_thread.run_sync(...)"


class Watchdog:
    """Notices when the loop is blocked for `threshold` seconds, and which task blocks it.

    `work` maps the tasks that run a plugin's code. While the loop is blocked, its stack is logged. Afterwards the time
    is logged, and the plugin's record gets a warning.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Mapping[asyncio.Task[Any], Work], threshold: float
    ) -> None:
        self._loop = loop
        self._work = work
        self._threshold = threshold
        self._thread = threading.get_ident()
        self._beat_at = time.monotonic()
        self._timer: asyncio.Handle = loop.call_soon(self._beat)
        self._blocker: tuple[LoadedPlugin, Work] | None = None
        self._reported = False
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="mcp-host watchdog", daemon=True)
        self._watcher.start()

    @classmethod
    @contextmanager
    def watching(cls, work: Mapping[asyncio.Task[Any], Work], threshold: float) -> Iterator[None]:
        """Watch the running loop during the block."""
        watchdog = cls(asyncio.get_running_loop(), work, threshold)
        try:
            yield
        finally:
            watchdog.stop()

    def stop(self) -> None:
        self._stopped.set()
        self._timer.cancel()
        self._watcher.join(self._threshold)  # it may wait for the log

    def _beat(self) -> None:
        """Record that the loop runs. If it was blocked, report for how long."""
        now = time.monotonic()
        if self._reported:
            lasted = now - self._beat_at
            if self._blocker is not None:
                plugin, work = self._blocker
                logger.warning("%s of plugin %s blocked the event loop for %.1f s", work.what, plugin.name, lasted)
                plugin.warn(f"{work.item} blocks the event loop, and so every client", hint=_HINT)
            else:
                logger.debug("the event loop was blocked for %.1f s", lasted)
            self._reported, self._blocker = False, None
        self._beat_at = now
        self._timer = self._loop.call_later(self._threshold / 4, self._beat)

    def _watch(self) -> None:
        while not self._stopped.wait(self._threshold / 4):
            if not self._reported and time.monotonic() - self._beat_at > self._threshold:
                frame = sys._current_frames().get(self._thread)
                # A loop that waits for events is not blocked: the machine was asleep or very busy.
                if frame is not None and not _waits(frame):
                    self._report(frame)

    def _report(self, frame: FrameType) -> None:
        task = asyncio.current_task(self._loop)
        work = self._work.get(task) if task is not None else None
        self._blocker = (work.plugin, work) if work is not None else None
        self._reported = True
        # If no plugin's code is running, it is usually an import at its first use, or a busy machine.
        log_with_stack(
            logger,
            logging.ERROR if work is not None else logging.DEBUG,
            frame,
            "%s has blocked the event loop for more than %g s; it is here:",
            work or "something outside of plugins",
            self._threshold,
        )


def _waits(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "selectors"
