"""One plugin's bulkhead: limits its calls and threads, so that a plugin that hangs does not delay the others."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import partial
from typing import Generic, Literal, TypeVar, cast

import anyio.to_thread
from anyio import CapacityLimiter

from mcp_host.config import Limits
from mcp_host.errors import RefusedError
from mcp_host.plugins.breaker import CircuitBreaker
from mcp_host.plugins.records import Circuit, Health

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_inside: ContextVar[frozenset[Bulkhead]] = ContextVar("mcp_host.bulkheads", default=frozenset())
"""The bulkheads in which the current call already has a place."""


_thread = threading.local()


def caller_has_left() -> bool:
    """Return whether this is a plugin's thread whose caller no longer waits for it."""
    place: _Thread[object] | None = getattr(_thread, "place", None)
    return place is not None and place.left


class Visit:
    """One call's place in its bulkhead during its `with` block, and whether the plugin succeeded or failed.

    A nested call of the same plugin has no bulkhead: it takes no place and counts neither as a success nor a failure.
    """

    def __init__(self, bulkhead: Bulkhead | None = None, *, tries: bool = False) -> None:
        self._bulkhead = bulkhead
        self._tries = tries
        self._reported = False
        self._token: Token[frozenset[Bulkhead]] | None = None

    def __enter__(self) -> Visit:
        if self._bulkhead is not None:
            self._token = _inside.set(_inside.get() | {self._bulkhead})
        return self

    def __exit__(self, *_: object) -> None:
        if self._bulkhead is not None and self._token is not None:
            _inside.reset(self._token)
            self._bulkhead.leave(self)
        self.end()

    def succeeded(self) -> None:
        """The plugin answered, with a result or with an error for the caller."""
        self._reported = True
        if self._bulkhead is not None:
            self._bulkhead.breaker.succeeded()

    def failed(self, what: str) -> None:
        """The plugin crashed, or did not end in time."""
        self._reported = True
        if self._bulkhead is not None and self._bulkhead.breaker.failed(what):
            logger.error("%s", _paused(self._bulkhead.name, self._bulkhead.breaker.circuit))

    def end(self) -> None:
        """End the visit. Without a success or failure, the caller left or got no place."""
        if self._bulkhead is not None and self._tries and not self._reported:
            self._bulkhead.breaker.abandoned()


class Bulkhead:
    """Counts a plugin's calls and threads, lets some calls wait, and refuses the rest.

    `name` is the plugin's name. A nested call of the same plugin uses the place of its caller. Otherwise it could wait
    for that place for ever.
    """

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.limits = limits
        self.breaker = CircuitBreaker(limits.failures, limits.cooldown, clock)
        self._places = CapacityLimiter(limits.calls)
        self._threads = CapacityLimiter(limits.threads)
        self._unlimited = CapacityLimiter(math.inf)
        self._waiting = 0
        self._abandoned: set[asyncio.Future[object]] = set()
        self._abandoned_threads = 0

    @property
    def health(self) -> Health:
        return Health(
            calls=self._places.borrowed_tokens,
            waiting=self._waiting,
            abandoned=self._abandoned_threads + len(self._abandoned),
            circuit=self.breaker.circuit,
        )

    async def enter(self, deadline: float | None = None) -> Visit:
        """Take one of the plugin's places. If all are taken, wait for one if the queue is not full.

        The visit is a context manager that releases the place. Its block reports success or failure to it. `deadline`
        is in the loop's time.

        Raises:
            RefusedError: The queue is full, no place became free before the deadline, or the circuit is open.
        """
        if self in _inside.get():
            return Visit()
        circuit = self.breaker.admit()
        if circuit is not None:
            raise RefusedError(_paused(self.name, circuit), "paused")
        visit = Visit(self, tries=self.breaker.trying)
        try:
            await self._take(visit, deadline)
        except BaseException:
            visit.end()
            raise
        return visit

    def leave(self, visit: Visit) -> None:
        """Release the place of a visit."""
        self._places.release_on_behalf_of(visit)

    async def _take(self, visit: Visit, deadline: float | None) -> None:
        try:
            self._places.acquire_on_behalf_of_nowait(visit)
        except anyio.WouldBlock:
            limits = self.limits
            if self._waiting >= limits.queue:
                raise RefusedError(
                    f"plugin {self.name} is busy: {limits.calls} calls are running and {self._waiting} are waiting. "
                    "Try again later",
                    "busy",
                ) from None
            self._waiting += 1
            try:
                async with asyncio.timeout_at(deadline):
                    await self._places.acquire_on_behalf_of(visit)
            except TimeoutError:
                raise RefusedError(
                    f"plugin {self.name} is busy: none of its {limits.calls} running calls ended in time. "
                    "Try again later",
                    "busy",
                ) from None
            finally:
                self._waiting -= 1

    async def in_thread(self, run: Callable[[], _T]) -> _T:
        """Run a function in one of the plugin's threads.

        If the caller is cancelled, the thread keeps its place until the function ends.

        Raises:
            RefusedError: All of the plugin's threads run functions whose callers no longer wait.
        """
        if self._abandoned_threads >= self.limits.threads:
            raise RefusedError(
                f"plugin {self.name} is stuck: all of its {self.limits.threads} threads run calls that timed out "
                "or were cancelled and do not end",
                "busy",
            )
        # anyio would release the place in its limiter when the caller is cancelled, while the thread still runs.
        place = _Thread(self, run)
        await self._threads.acquire_on_behalf_of(place)
        try:
            return await anyio.to_thread.run_sync(place.run, abandon_on_cancel=True, limiter=self._unlimited)
        finally:
            place.caller_leaves()

    async def call_in_thread(self, call: Callable[[], _T]) -> _T:
        """Run a function as `in_thread` does, and raise what it raises.

        The exception gets to the event loop as a value: a `GeneratorExit` in a future would close every coroutine that
        awaits it.
        """
        result, error = await self.in_thread(partial(_outcome, call))
        if error is not None:
            try:
                raise error
            finally:
                del error  # it refers to this frame
        return cast("_T", result)

    def thread_abandoned(self) -> None:
        """Count a thread whose caller no longer waits."""
        self._abandoned_threads += 1

    def thread_ended(self, thread: object, *, abandoned: bool) -> None:
        """Release the place of a thread."""
        self._abandoned_threads -= abandoned
        self._threads.release_on_behalf_of(thread)

    def abandon(self, task: asyncio.Future[object]) -> None:
        """Count a call that still runs although it was cancelled, until it ends."""
        self._abandoned.add(task)
        task.add_done_callback(partial(self._abandoned.discard))


def _outcome(call: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    try:
        return call(), None
    except BaseException as error:
        return None, error


class _Thread(Generic[_T]):
    """A function that runs in a thread, and whether its caller still waits for it.

    Both sides first set their own state and then read the other's state, so at least one of them sees both.
    """

    def __init__(self, bulkhead: Bulkhead, run: Callable[[], _T]) -> None:
        self._bulkhead = bulkhead
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._stage: Literal["waiting", "running", "ended"] = "waiting"
        self.left = False
        self._abandoned = False
        self._counted_out = False

    def run(self) -> _T:
        """Run the function. Called in the thread."""
        self._stage = "running"
        _thread.place = self
        try:
            if self.left:
                raise RuntimeError("the caller has left")
            return self._run()
        finally:
            _thread.place = None
            self._stage = "ended"
            if self.left:
                with suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._count_out)

    def caller_leaves(self) -> None:
        """Record that the caller no longer waits, with or without a result. Called in the event loop."""
        self.left = True
        if self._stage == "running":
            self._abandoned = True
            self._bulkhead.thread_abandoned()
        else:
            self._count_out()

    def _count_out(self) -> None:
        if not self._counted_out:
            self._counted_out = True
            self._bulkhead.thread_ended(self, abandoned=self._abandoned)


def _paused(name: str, circuit: Circuit) -> str:
    until = (
        f"it is tried again in {circuit.retry_in:.0f} s"
        if circuit.retry_in is not None
        else "another call is trying it now"
    )
    return f"plugin {name} is paused after {circuit.failures} failures in a row; {until}. Last: {circuit.last_failure}"
