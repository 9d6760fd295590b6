"""The last resort of a process that ends: whatever still runs after some time is named in the log and cut off."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

logger = logging.getLogger(__name__)

_WRITING: Final = 0.2
"""Seconds for the last line of the log, which nobody may read."""

_AFTER: Final = 1.0
"""Seconds after which a process ends that cannot even run the last resort, because Python itself is being torn down."""

whole_process: ContextVar[Countdown | None] = ContextVar("whole_process", default=None)
"""The countdown of a process that runs one command only, and ends with it."""


class Countdown:
    """Ends the process at the earliest time that was given, with the exit code `code`.

    `left` returns what still runs, for the log, beside the threads. Before `arm`, there is no thread for it. `stderr`
    is the descriptor for what is written while the process dies. `flush` waits so many seconds until all that was
    written to stderr is out.
    """

    def __init__(self) -> None:
        self.code = 0
        self.left: Callable[[], Iterable[str]] = tuple
        self.stderr = 2
        self.flush: Callable[[float], object] = lambda seconds: None
        self.in_thread: Callable[[threading.Thread], str] = lambda thread: ""
        # Its `put` is allowed in a signal handler; an event's `set` is not, if another handler interrupts it.
        self._ends: SimpleQueue[float] = SimpleQueue()
        self._cut_off: SimpleQueue[None] = SimpleQueue()
        self._written: SimpleQueue[None] = SimpleQueue()
        self._armed = False

    def arm(self) -> None:
        """Make `end_within` take effect. A signal handler can call that, but cannot start a thread."""
        if not self._armed:
            self._armed = True
            threading.Thread(target=self._run, name="mcp-host end", daemon=True).start()
            # The log may lead to a pipe that nobody reads. From 3.12 on, Python starts no thread while it ends.
            threading.Thread(target=self._write, name="mcp-host last words", daemon=True).start()

    def end_within(self, seconds: float) -> None:
        """End the process after so many seconds, unless it has ended by then. Any thread may call it."""
        self._ends.put(time.monotonic() + seconds)

    def command_has_ended(self, code: int, seconds: float) -> None:
        """Give threads and exit handlers so many seconds. They are the last to run before Python is torn down."""
        self.code = code
        self.arm()
        self.end_within(seconds)
        # Threads of Python do not run any more while it is torn down. This one is not Python's. Its exit code is 1.
        quiet = os.open(os.devnull, os.O_WRONLY)
        faulthandler.dump_traceback_later(seconds + _AFTER, exit=True, file=quiet)

    def _run(self) -> None:
        end = self._ends.get()
        while (left := end - time.monotonic()) > 0:
            try:
                end = min(end, self._ends.get(timeout=left))
            except Empty:
                break
        self._cut_off.put(None)
        with suppress(Empty):
            self._written.get(timeout=_WRITING)
        os._exit(self.code)

    def _write(self) -> None:
        self._cut_off.get()
        running = [*self.left(), *_threads(self.in_thread)]
        logger.error("the process is cut off, because this did not end: %s", "; ".join(running) or "an exit handler")
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
        self.flush(_WRITING)
        self._written.put(None)


def _threads(running: Callable[[threading.Thread], str]) -> Iterator[str]:
    """Yield the threads that Python waits for at its end, with what each of them runs."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread is threading.main_thread():
            place = _place(frames.get(thread.ident or 0))
            if place:
                yield f"the main thread (at {place})"
        elif not thread.daemon:
            what = running(thread) or _place(frames.get(thread.ident or 0))
            yield f"thread {thread.name}" + (f" ({what})" if what else "")


def _place(frame: FrameType | None) -> str:
    """Return where a thread is: the innermost line that is not of Python or of this package."""
    from mcp_host.system.tracebacks import is_library  # only a process that is cut off needs it

    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
