"""Watches the event loop from a thread of its own, and says whose code it was that held the loop up."""

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

_MEND = "write the function with plain def (it then runs in a thread), or await anyio.to_thread.run_sync(...)"


class Watchdog:
    """Notices when the loop has not come round for `threshold` seconds, and whose task it is running.

    `work` tells the tasks that run a plugin's code. While the loop is held up, its stack goes to the log; afterwards
    the time it took goes to the log and to the plugin's record.
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
        self._blocker: tuple[LoadedPlugin, str] | None = None
        self._told = False
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="mcp-host watchdog", daemon=True)
        self._watcher.start()

    @classmethod
    @contextmanager
    def watching(cls, work: Mapping[asyncio.Task[Any], Work], threshold: float) -> Iterator[None]:
        """Watch the running loop for the block."""
        watchdog = cls(asyncio.get_running_loop(), work, threshold)
        try:
            yield
        finally:
            watchdog.stop()

    def stop(self) -> None:
        self._stopped.set()
        self._timer.cancel()
        self._watcher.join()

    def _beat(self) -> None:
        """Show that the loop comes round, and tell how long it did not."""
        now = time.monotonic()
        if self._told:
            lasted = now - self._beat_at
            if self._blocker is not None:
                plugin, what = self._blocker
                logger.warning("%s of plugin %s held up the event loop for %.1f s", what, plugin.name, lasted)
                plugin.warn(f"{what} holds up the event loop, and with it every client", hint=_MEND)
            else:
                logger.debug("the event loop was held up for %.1f s", lasted)
            self._told, self._blocker = False, None
        self._beat_at = now
        self._timer = self._loop.call_later(self._threshold / 4, self._beat)

    def _watch(self) -> None:
        while not self._stopped.wait(self._threshold / 4):
            if not self._told and time.monotonic() - self._beat_at > self._threshold:
                frame = sys._current_frames().get(self._thread)
                # A loop that waits for something to happen is not held up: the machine was asleep, or very busy.
                if frame is not None and not _waits(frame):
                    self._tell(frame)

    def _tell(self, frame: FrameType) -> None:
        task = asyncio.current_task(self._loop)
        work = self._work.get(task) if task is not None else None
        self._blocker = (work.plugin, work.what) if work is not None else None
        self._told = True
        # What is no plugin's is mostly something imported at its first use, or a busy machine.
        log_with_stack(
            logger,
            logging.ERROR if work is not None else logging.DEBUG,
            frame,
            "%s has held up the event loop for more than %g s; it is here:",
            work or "something that is no call of a plugin",
            self._threshold,
        )


def _waits(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "selectors"
