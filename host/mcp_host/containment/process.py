"""The process that serves: how signals stop it, and putting back what plugins change of it for everyone."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from mcp_host.plugins.plugin import LoadedPlugin

logger = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM)


class OwnProcess:
    """What belongs to all of a process, held on to by the command that owns it: signals, folder, standard streams.

    Made when the standard descriptors are as they shall stay. A server mounted in somebody else's process has none.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._handlers: dict[int, object] = {}
        self.asked = False
        self._folder = _folder()
        self._streams = (sys.stdout, sys.stderr)
        self._kept = {number: os.dup(number) for number in (0, 1, 2)}
        for kept in self._kept.values():
            os.set_inheritable(kept, False)
        self._files = {number: _file(number) for number in self._kept}

    def run(self, serving: Coroutine[Any, Any, None]) -> None:
        """Run the event loop until this is done, whoever else tries to end it: a callback that exits, for instance."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(serving)
            while not task.done():
                try:
                    loop.run_until_complete(task)
                except (SystemExit, KeyboardInterrupt) as error:
                    if not task.done():
                        logger.exception("a plugin tried to end the process with %s", type(error).__name__)
            task.result()

    # Signals

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """For the block, SIGINT and SIGTERM stop the current task, or do what `stopping` says.

        A second signal ends the process at once.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel = task.cancel

        def handle(number: int, frame: FrameType | None) -> None:
            if self.asked:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self.asked = True
            loop.call_soon_threadsafe(self._stop or cancel)

        before = {number: signal.signal(number, handle) for number in STOPPING}
        self._handlers = dict.fromkeys(STOPPING, handle)
        try:
            yield
        finally:
            self._handlers = {}
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """For the block, the first signal calls this in the event loop."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def close(self) -> None:
        """Let go of what was kept to put back."""
        for kept in self._kept.values():
            os.close(kept)

    # What plugins change

    def put_back(self, plugin: LoadedPlugin) -> None:
        """Undo what code of the plugin, which has just run, has changed for every other one, and say so."""
        for what, hint in self._changes():
            plugin.warn(f"it changed {what}, which was put back", hint=hint)

    def _changes(self) -> Iterator[tuple[str, str]]:
        if self._folder is not None and _folder() != self._folder:
            with suppress(OSError):  # removed meanwhile
                os.chdir(self._folder)
            yield "the working directory", "use absolute paths, or cwd= where a process is started"
        for number, kept in self._kept.items():
            if _file(number) != self._files[number]:
                os.dup2(kept, number)
                yield f"file descriptor {number}", "leave the standard streams open"
        if self._streams != (sys.stdout, sys.stderr) or sys.stdout.closed or sys.stderr.closed:
            if any(stream.closed for stream in self._streams):
                self._streams = (_stream(1), _stream(2))
            sys.stdout, sys.stderr = self._streams
            yield "sys.stdout or sys.stderr", "print to a file of your own, or use contextlib.redirect_stdout"
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                if signal.getsignal(number) is not handler:
                    signal.signal(number, handler)  # type: ignore[arg-type]
                    yield f"what {signal.Signals(number).name} does", "stop what needs stopping in the lifespan"


@contextmanager
def own_process() -> Iterator[OwnProcess]:
    """Hold on to the process for the block."""
    process = OwnProcess()
    try:
        yield process
    finally:
        process.close()


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _file(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stream(number: int) -> io.TextIOWrapper:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
