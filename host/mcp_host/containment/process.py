"""The process that serves: how signals stop it, and how changes that plugins make to it are undone."""

from __future__ import annotations

import _signal  # those of `signal` make an enum of each value, which takes most of the time
import asyncio
import contextvars
import faulthandler
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, Final

from mcp_host.containment.runner import Tasks, name_of
from mcp_host.containment.state import ProcessState
from mcp_host.containment.threads import NamedThreads
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.ending import whole_process
from mcp_host.system.logs import OwnLog

logger = logging.getLogger(__name__)

_REST: Final = 1.7
"""Seconds for the end after `[host] shutdown_timeout`. It is gone within 2 s, with the time that Python needs."""

_CANCELLED: Final = 0.4
"""Seconds that tasks and generators have to end after they were cancelled, at the end of the loop."""

_FINISHING: Final = 1.0
"""Seconds that threads have to end, at the end of the loop."""

STOPPING = (signal.SIGINT, signal.SIGTERM)


def _existing(*names: str) -> tuple[int, ...]:
    """Return those that this system has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


_TIMERS: Final = _existing("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
_OF_TIMERS: Final = _existing("SIGALRM", "SIGVTALRM", "SIGPROF")
"""Signals of timers that a plugin may set. Their usual effect is the end of the process."""

_MASKS: Final = hasattr(signal, "pthread_sigmask")


class OwnProcess:
    """The process-wide state that plugins must not change: signal handlers, working directory, standard streams.

    A command makes it after it has set up the standard descriptors. A server that is mounted in another app has none.
    `ending` is called in the event loop at the first signal.
    """

    def __init__(self) -> None:
        self.shutdown_timeout = 0.0
        self.ending: Callable[[], None] = lambda: None
        self._ending = False
        self._tasks = Tasks()
        self._threads = NamedThreads()
        self._countdown = whole_process.get()
        if self._countdown is not None:
            self._countdown.left = self._tasks.left
            self._countdown.in_thread = self._threads.what
            self._countdown.arm()
            # The stack at a segfault has the line of the plugin that was running.
            faulthandler.enable(file=self._countdown.stderr)
        self._stop: Callable[[], None] | None = None
        self._handlers: dict[int, object] = {}
        self.signalled = False
        self.log: OwnLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state = ProcessState()
        self._streams = (sys.stdout, sys.stderr)
        self._copies = {number: os.dup(number) for number in (0, 1, 2)}
        for copy in self._copies.values():
            os.set_inheritable(copy, False)
        self._files = {number: _file(number) for number in self._copies}

    def run(self, serving: Coroutine[Any, Any, None]) -> None:
        """Run the event loop until this is done, even if other code tries to end it, such as a callback that exits.

        Then end what plugins left in the loop. What does not end is named in the log and left to `Countdown`.
        """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.set_default_executor(self._threads)
        loop.set_task_factory(self._tasks)
        self._loop = loop
        try:
            task = loop.create_task(serving)
            _run_until(task, loop)
            _run_until(loop.create_task(_end_rest(loop)), loop)
        finally:
            self._loop = None
            asyncio.set_event_loop(None)
            loop.close()
        task.result()

    def ends(self) -> None:
        """The process has been asked to end: from now on, it has a time limit. Any thread may call this."""
        if self._countdown is not None and not self._ending:
            self._ending = True
            self._countdown.end_within(self.shutdown_timeout + _REST)

    # Signals

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """During the block, SIGINT and SIGTERM cancel the current task, or call the function given to `stopping`.

        A second signal ends the process immediately.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        # A signal interrupts whatever runs. What follows from it is not the work of a plugin that happens to run.
        ours = contextvars.copy_context()

        def begin() -> None:
            self.ending()
            (self._stop or task.cancel)()

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signalled:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self.signalled = True
            self.ends()
            loop.call_soon_threadsafe(begin, context=ours)

        handlers: dict[int, Any] = dict.fromkeys(STOPPING, handle)
        handlers |= dict.fromkeys(_OF_TIMERS, _timer_ended)
        if hasattr(signal, "SIGPIPE"):
            handlers[signal.SIGPIPE] = signal.SIG_IGN
        with self._handling(handlers):
            yield

    @contextmanager
    def handling(self, number: int, function: Callable[[], None]) -> Iterator[None]:
        """During the block, a signal calls this function in the event loop, whatever plugins set as its handler."""
        loop, ours = asyncio.get_running_loop(), contextvars.copy_context()
        with self._handling({number: lambda *_: loop.call_soon_threadsafe(function, context=ours)}):
            yield

    @contextmanager
    def _handling(self, handlers: dict[int, Any]) -> Iterator[None]:
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._handlers |= handlers
        try:
            yield
        finally:
            for number, handler in before.items():
                del self._handlers[number]
                signal.signal(number, handler)

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """During the block, the first signal calls this function in the event loop."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def keep_from_forks(self, *descriptors: int) -> None:
        """Close these in each process that a plugin forks, so that the client sees the end of this one."""
        if self._countdown is not None and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_close_all, descriptors))

    def close(self) -> None:
        """Close the copies of the standard descriptors."""
        for copy in self._copies.values():
            os.close(copy)

    # Changes by plugins

    def remember(self) -> None:
        """Remember the state of the process that plugins must not change, before the first of them is loaded."""
        self._state = ProcessState()

    def restore(self, plugin: LoadedPlugin) -> None:
        """Undo the changes that the plugin's code, which has just run, made to the process, and warn about each."""
        if plugin.runs_elsewhere:
            return
        for what, hint in self._changes():
            plugin.warn(f"it changed {what}, which was restored", hint=hint)
        for what, hint in self._state.named():
            plugin.warn(f"it changed {what}, for all plugins", hint=hint)

    def _changes(self) -> Iterator[tuple[str, str]]:
        for number, copy in self._copies.items():
            if _file(number) != self._files[number]:
                os.dup2(copy, number)
                yield f"file descriptor {number}", "leave the standard streams open"
        if self._streams != (sys.stdout, sys.stderr) or sys.stdout.closed or sys.stderr.closed:
            if any(stream.closed for stream in self._streams):
                self._streams = (_stream(1), _stream(2))
            sys.stdout, sys.stderr = self._streams
            yield "sys.stdout or sys.stderr", "print to your own file, or use contextlib.redirect_stdout"
        if self.log is not None:
            for what in self.log.restore():
                yield f"the logging of the whole process ({what})", "configure only your own loggers: plugin.log"
        yield from self._state.restored()
        if self._loop is not None and self._loop.get_task_factory() is not self._tasks:
            self._loop.set_task_factory(self._tasks)
            yield "the task factory of the event loop", "leave the loop as it is; contextvars reach every task"
        if threading.current_thread() is threading.main_thread():
            yield from self._signals()

    def _signals(self) -> Iterator[tuple[str, str]]:
        """Restore handlers, timers and the mask of signals, all of which belong to the main thread."""
        for number, handler in self._handlers.items():
            if _signal.getsignal(number) != handler:
                signal.signal(number, handler)  # type: ignore[arg-type]
                yield f"the handler of {signal.Signals(number).name}", "clean up at the end of the lifespan"
        for timer in _TIMERS:
            if signal.getitimer(timer)[0]:
                signal.setitimer(timer, 0)
                yield "an interval timer of the process", "use asyncio.timeout, or a thread that waits"
        if _MASKS and (blocked := _signal.pthread_sigmask(signal.SIG_BLOCK, ()) & self._handlers.keys()):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
            yield "the mask of signals", "block signals only in a thread of your own"


def _run_until(task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until the task is done, whatever stops it meanwhile."""
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                logger.exception("a plugin tried to end the process with %s", type(error).__name__)
        except BaseException:
            # What the task raised is read by the caller.
            if not task.done():
                logger.exception("a plugin stopped the event loop, which goes on")


async def _end_rest(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that still run, close the asynchronous generators, and wait for threads. None may take long.

    `asyncio.run` does the same, and waits for ever.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    # Generators that run now are closed at their own end, or not at all.
    generators: list[Any] = list(getattr(loop, "_asyncgens", ()))
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=_CANCELLED)
        _log_left(f"task {name_of(task)}" for task in left)
    if generators:
        closing = [loop.create_task(_close(each), name=each.__qualname__) for each in generators]
        _, left = await asyncio.wait(closing, timeout=_CANCELLED)
        _log_left(f"asynchronous generator {task.get_name()}" for task in left)
    await asyncio.wait([loop.create_task(loop.shutdown_default_executor())], timeout=_FINISHING)


async def _close(generator: Any) -> None:
    try:
        await generator.aclose()
    except BaseException as error:
        logger.error("closing the asynchronous generator %s failed", generator.__qualname__, exc_info=error)


def _log_left(names: Iterable[str]) -> None:
    for name in names:
        logger.error("%s did not end in time and is left behind", name)


@contextmanager
def own_process() -> Iterator[OwnProcess]:
    """Keep the state of the process during the block."""
    process = OwnProcess()
    try:
        yield process
    finally:
        process.close()


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def _timer_ended(number: int, frame: FrameType | None) -> None:
    logger.error("%s came, which would have ended the process: a plugin has set a timer", signal.Signals(number).name)


def _file(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stream(number: int) -> io.TextIOWrapper:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
