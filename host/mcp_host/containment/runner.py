"""Runs plugins' calls in tasks: records whose code a task runs, contains its exit, and ends it at its deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio

from mcp_host.plugins.plugin import LoadedPlugin

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

STOP_GRACE = 2.0
"""Seconds that a cancelled call has to clean up. After that, the host waits no longer for it."""

_LAST_GRACE = 0.4
"""The same while the host ends, because the whole end has only two seconds after `[host] shutdown_timeout`."""

_TURNS = 50
"""Turns of the loop in which tasks that are about to end may end before they are cancelled."""

_current: ContextVar[Work | None] = ContextVar("mcp_host.work", default=None)


def grace(plugin: LoadedPlugin) -> float:
    """Return the seconds that a cancelled task of a plugin has to clean up."""
    return min(STOP_GRACE, _LAST_GRACE) if plugin.ending else STOP_GRACE


def current_work() -> Work | None:
    """Return whose code is running."""
    return _current.get()


@dataclass(eq=False)
class Work:
    """One piece of a plugin's work. `plugin` is the plugin whose code runs: the owner, or a middleware before it.

    `what` is for the log and the caller. `item` is for records, which other clients see, so it has no value of the
    caller. It is the same as `what` unless given.

    `within` is the work that asked for this one, if a plugin did.

    `deadline` is in the loop's time; None means no limit. While a question to the client is open, `deadline` is the
    time by which the client must answer, and the work's own time is paused. `on_deadline` is called when this changes
    the deadline.
    """

    plugin: LoadedPlugin
    what: str
    deadline: float | None = None
    on_deadline: Callable[[], None] | None = None
    item: str = ""
    within: Work | None = field(default_factory=_current.get, repr=False)
    _questions: int = field(default=0, init=False)
    _left: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.item = self.item or self.what

    @property
    def is_asking(self) -> bool:
        """Whether a question to the client is open."""
        return self._questions > 0

    def extend(self, seconds: float) -> None:
        """Set the deadline to this many seconds from now, or from the client's answer if a question is open."""
        if self.is_asking:
            self._left = seconds
        else:
            self.deadline = asyncio.get_running_loop().time() + seconds

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Pause the deadline while the block asks the client. Parallel questions share the first one's time limit."""
        loop = asyncio.get_running_loop()
        if not self.is_asking:
            self._left = None if self.deadline is None else self.deadline - loop.time()
            self._move(loop.time() + self.plugin.limits.answer_timeout)
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            if not self.is_asking:
                self._move(None if self._left is None else loop.time() + self._left)

    def _move(self, deadline: float | None) -> None:
        self.deadline = deadline
        if self.on_deadline is not None:
            self.on_deadline()

    def may_cancel(self, other: Work | None) -> bool:
        """Return whether this may cancel a task of another work: one of its own plugin, or what that plugin asked for.

        A task without a work is the host's.
        """
        while other is not None:
            if other.plugin is self.plugin:
                return True
            other = other.within
        return False

    def __str__(self) -> str:
        return f"{self.what} of plugin {self.plugin.name}"


class PluginExitError(RuntimeError):
    """A task that a plugin started raised `SystemExit` or `KeyboardInterrupt`, which would have ended the process."""


@dataclass(frozen=True)
class Outcome(Generic[_T]):
    """How a call ended. An exception is a value here, because some exceptions end the loop when a task raises them.

    If a call timed out while it waited for the client's answer, both `timed_out` and `unanswered` are true.
    """

    value: _T | None = None
    error: BaseException | None = None
    timed_out: bool = False
    unanswered: bool = False

    def result(self) -> _T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class OwnTask(asyncio.Task[_T]):
    """A task that only the host, or the plugin that it runs for, can cancel.

    Otherwise a plugin that cancels `asyncio.all_tasks()` would end the host and every call of others.
    """

    work: Work | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        work = _current.get()
        if work is None or self is asyncio.current_task() or work.may_cancel(self.work):
            return super().cancel(msg)
        work.plugin.warn(
            f"{work.item} tried to cancel tasks that are not its own, which still run",
            hint="cancel only the tasks that you have started, and not asyncio.all_tasks()",
        )
        return False


class Tasks:
    """The task factory of a loop that runs plugins: it records whose task each one is, and contains its exit."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.users = 0
        self.work: WeakKeyDictionary[asyncio.Task[Any], Work] = WeakKeyDictionary()

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Future[Any]:
        work = _current.get()
        if work is not None:
            name = getattr(coro, "__qualname__", type(coro).__name__)
            coro = _contained(coro, work)
            coro.__qualname__ = name
        make = self.inner or (lambda loop, coro, **options: OwnTask(coro, loop=loop, **options))
        task: asyncio.Task[Any] = make(loop, coro, **options)
        if work is not None:
            self.work[task] = work
            if isinstance(task, OwnTask):
                task.work = work
        return task

    @classmethod
    @contextmanager
    def installed(cls) -> Iterator[Tasks]:
        """Install the factory in the running loop for the block. Several hosts in one loop share it."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        tasks = before if isinstance(before, Tasks) else cls(before)
        if tasks is not before:
            loop.set_task_factory(tasks)
        tasks.users += 1
        try:
            yield tasks
        finally:
            tasks.users -= 1
            if not tasks.users and loop.get_task_factory() is tasks:
                loop.set_task_factory(tasks.inner)

    def left(self) -> list[str]:
        """Return the names of the tasks of plugins that still run."""
        return [f"a task of {work} ({name_of(task)})" for task, work in list(self.work.items()) if not task.done()]

    async def cancel_left(self, plugin: LoadedPlugin) -> None:
        """Cancel the tasks of a stopped plugin that still run, and add their names to `plugin.left_tasks`."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        left = [task for task, work in list(self.work.items()) if work.plugin is plugin and not task.done()]
        for task in left:
            plugin.left_tasks.append(name_of(task))
            logger.warning("plugin %s did not end a task, which is cancelled: %s", plugin.name, plugin.left_tasks[-1])
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=grace(plugin))


def name_of(task: asyncio.Task[Any]) -> str:
    """Return the name of a task and of its coroutine."""
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '')})"


async def _contained(coro: Coroutine[Any, Any, _T], work: Work) -> _T:
    try:
        return await coro
    except (SystemExit, KeyboardInterrupt) as error:
        logger.error("a task started by %s raised %s, which is contained", work, type(error).__name__)
        raise PluginExitError(f"{type(error).__name__} in a task") from error


@contextmanager
def owned(work: Work) -> Iterator[None]:
    """Record the tasks that the block starts as the plugin's."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def running(work: Work) -> Iterator[None]:
    """Mark the block as the plugin's code, where it runs in a task that is not the plugin's, and what it starts."""
    tasks, task = asyncio.get_running_loop().get_task_factory(), asyncio.current_task()
    if not isinstance(tasks, Tasks) or task is None:
        with owned(work):
            yield
        return
    before = tasks.work.get(task)
    tasks.work[task] = work
    try:
        with owned(work):
            yield
    finally:
        if before is None:
            del tasks.work[task]
        else:
            tasks.work[task] = before


async def run_apart(doing: Awaitable[_T], work: Work) -> Outcome[_T]:
    """Run one call in its own task, and return its outcome when it ends or its deadline passes.

    A call is cancelled when its deadline passes or its caller is cancelled. It then has `STOP_GRACE` seconds to clean
    up. After that it is abandoned and counted. `work.deadline` may change while the call runs.
    """
    loop = asyncio.get_running_loop()
    # The task sets the future itself: the caller gets the outcome one turn of the loop before the task has ended.
    future: asyncio.Future[Outcome[_T]] = loop.create_future()
    with owned(work):
        task = loop.create_task(_set_outcome(doing, future), name=str(work))
    task.add_done_callback(partial(_set_cancelled, future))
    deadline = _Deadline(loop, work, future)
    try:
        outcome = await future
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await _stop(task, work)
        raise
    finally:
        deadline.cancel()
    if outcome.timed_out:
        await _stop(task, work)
    return outcome


class _Deadline:
    """Sets the outcome of a call to `timed_out` when its deadline passes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work, future: asyncio.Future[Outcome[Any]]) -> None:
        self._loop = loop
        self._work = work
        self._outcome = future
        self._timer: asyncio.TimerHandle | None = None
        work.on_deadline = self._arm
        self._arm()

    def _arm(self) -> None:
        self._disarm()
        if self._work.deadline is not None:
            self._timer = self._loop.call_at(self._work.deadline, self._passed)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _passed(self) -> None:
        deadline = self._work.deadline
        if deadline is None or self._loop.time() < deadline:
            # The deadline was moved after the timer had started.
            self._arm()
        elif not self._outcome.done():
            self._outcome.set_result(Outcome(timed_out=True, unanswered=self._work.is_asking))

    def cancel(self) -> None:
        self._work.on_deadline = None
        self._disarm()


async def _stop(task: asyncio.Task[Any], work: Work) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=grace(work.plugin))
    if not task.done():
        logger.error("%s still runs although it was cancelled; it is abandoned", work)
        work.plugin.bulkhead.abandon(task)


async def _set_outcome(doing: Awaitable[_T], future: asyncio.Future[Outcome[_T]]) -> None:
    try:
        outcome = Outcome(await doing)
    except BaseException as error:
        outcome = Outcome(error=error)
    if not future.done():
        future.set_result(outcome)


def _set_cancelled(future: asyncio.Future[Outcome[Any]], task: asyncio.Task[None]) -> None:
    """Set the outcome of a task that was cancelled before its first step."""
    if not future.done():
        future.set_result(Outcome(error=asyncio.CancelledError(f"{task.get_name()} was cancelled")))
