"""Knows which plugin's code a task runs, keeps a task's exit from ending the loop, and ends calls that will not end."""

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
"""Seconds a cancelled call gets to clean up in before it is left to itself."""

_TURNS = 50
"""Turns of the loop that tasks which are about to end get to do so in."""

_current: ContextVar[Work | None] = ContextVar("mcp_host.work", default=None)


@dataclass(eq=False)
class Work:
    """One piece of a plugin's work. `plugin` is whose code it is in: the owner's, or a middleware's on the way there.

    `deadline` is in the loop's time; None means no limit. While the client is asked, it is the time by which the client
    has to answer, and the work's own time stands still. `on_deadline` is called when that makes it earlier or later.
    """

    plugin: LoadedPlugin
    what: str
    deadline: float | None = None
    on_deadline: Callable[[], None] | None = None
    _questions: int = field(default=0, init=False)
    _left: float | None = field(default=None, init=False)

    @property
    def is_asking(self) -> bool:
        """Whether the client is asked something just now."""
        return self._questions > 0

    def extend(self, seconds: float) -> None:
        """Let it go on for this long from now, or from the client's answer."""
        if self.is_asking:
            self._left = seconds
        else:
            self.deadline = asyncio.get_running_loop().time() + seconds

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let the block ask the client. Questions at the same time share the time to answer of the first one."""
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

    def __str__(self) -> str:
        return f"{self.what} of plugin {self.plugin.name}"


class PluginExitError(RuntimeError):
    """A task of a plugin's own raised `SystemExit` or `KeyboardInterrupt`, which would have ended the process."""


@dataclass(frozen=True)
class Outcome(Generic[_T]):
    """What a call came to. An exception is a value here: some kinds end the loop when a task raises them.

    A call that `timed_out` while it waited for the client's answer is `unanswered`, too.
    """

    value: _T | None = None
    error: BaseException | None = None
    timed_out: bool = False
    unanswered: bool = False

    def result(self) -> _T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Tasks:
    """The task factory of a loop that runs plugins: it marks what they start, and contains how it ends."""

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
        make = self.inner or (lambda loop, coro, **options: asyncio.Task(coro, loop=loop, **options))
        task: asyncio.Task[Any] = make(loop, coro, **options)
        if work is not None:
            self.work[task] = work
        return task

    @classmethod
    @contextmanager
    def installed(cls) -> Iterator[Tasks]:
        """Have the running loop make its tasks through this for the block; hosts in one loop share it."""
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

    async def cancel_left(self, plugin: LoadedPlugin) -> None:
        """Cancel what a plugin's code started and did not end, after the plugin has stopped, and note it there."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        left = [task for task, work in list(self.work.items()) if work.plugin is plugin and not task.done()]
        for task in left:
            plugin.left_tasks.append(f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '')})")
            logger.warning("plugin %s left a task behind, which is cancelled: %s", plugin.name, plugin.left_tasks[-1])
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=STOP_GRACE)


async def _contained(coro: Coroutine[Any, Any, _T], work: Work) -> _T:
    try:
        return await coro
    except (SystemExit, KeyboardInterrupt) as error:
        logger.error("a task started by %s raised %s, which is contained", work, type(error).__name__)
        raise PluginExitError(f"{type(error).__name__} in a task") from error


@contextmanager
def owned(work: Work) -> Iterator[None]:
    """Mark what the block starts as the plugin's."""
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
    """Run one call in a task of its own until it ends or its deadline passes, and come back either way.

    A call that is cancelled, by its deadline or by the caller's leaving, has `STOP_GRACE` seconds to clean up in;
    after that it is left behind and counted. `work.deadline` may move while it runs.
    """
    loop = asyncio.get_running_loop()
    # The task says itself how it went: its caller is told one turn of the loop earlier than by its end.
    coming: asyncio.Future[Outcome[_T]] = loop.create_future()
    with owned(work):
        task = loop.create_task(_tell(doing, coming), name=str(work))
    task.add_done_callback(partial(_tell_of_end, coming))
    deadline = _Deadline(loop, work, coming)
    try:
        outcome = await coming
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
    """Tells who waits for a call that its time is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work, coming: asyncio.Future[Outcome[Any]]) -> None:
        self._loop = loop
        self._work = work
        self._coming = coming
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
            # It was moved meanwhile.
            self._arm()
        elif not self._coming.done():
            self._coming.set_result(Outcome(timed_out=True, unanswered=self._work.is_asking))

    def cancel(self) -> None:
        self._work.on_deadline = None
        self._disarm()


async def _stop(task: asyncio.Task[Any], work: Work) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=STOP_GRACE)
    if not task.done():
        logger.error("%s goes on although it was cancelled; it is left behind", work)
        work.plugin.bulkhead.abandon(task)


async def _tell(doing: Awaitable[_T], coming: asyncio.Future[Outcome[_T]]) -> None:
    try:
        outcome = Outcome(await doing)
    except BaseException as error:
        outcome = Outcome(error=error)
    if not coming.done():
        coming.set_result(outcome)


def _tell_of_end(coming: asyncio.Future[Outcome[Any]], task: asyncio.Task[None]) -> None:
    """Say so of a task that was cancelled before its first step."""
    if not coming.done():
        coming.set_result(Outcome(error=asyncio.CancelledError(f"{task.get_name()} was cancelled")))
