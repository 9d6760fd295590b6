"""The places, the queue and the threads of one plugin, without the host around them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup

from mcp_host.config import Limits
from mcp_host.errors import RefusedError
from mcp_host.plugins.bulkhead import Bulkhead, caller_has_left

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """The time of a circuit breaker, which a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


class Caller:
    """A call in a task of its own. It reports what a test lets it report, and leaves when the test says so."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.entered, self.leaves, self.left = anyio.Event(), anyio.Event(), anyio.Event()
        self._bulkhead = bulkhead

    async def run(self) -> None:
        with await self._bulkhead.enter() as self.visit:
            self.entered.set()
            await self.leaves.wait()
        self.left.set()


@pytest.fixture
async def group() -> AsyncIterator[TaskGroup]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()


async def entered(group: TaskGroup, bulkhead: Bulkhead) -> Caller:
    caller = Caller(bulkhead)
    group.start_soon(caller.run)
    await caller.entered.wait()
    return caller


async def left(caller: Caller) -> None:
    caller.leaves.set()
    await caller.left.wait()


async def test_a_call_that_has_waited_in_vain_leaves_the_queue(group: TaskGroup) -> None:
    bulkhead = Bulkhead("p", Limits(calls=1, queue=1))
    await entered(group, bulkhead)
    for _ in range(3):
        with pytest.raises(RefusedError, match="none of its 1 running calls ended in time"):
            await bulkhead.enter(soon())
        assert bulkhead.health.waiting == 0


async def test_a_try_that_gets_no_place_does_not_use_up_the_try(group: TaskGroup) -> None:
    clock = Clock()
    bulkhead = Bulkhead("p", Limits(calls=1, queue=1, failures=1, cooldown=10), clock)
    long = await entered(group, bulkhead)
    long.visit.failed("it crashed")
    clock.now = 20
    with pytest.raises(RefusedError, match="ended in time"):
        await bulkhead.enter(soon())
    await left(long)
    again = await entered(group, bulkhead)
    again.visit.succeeded()
    assert bulkhead.breaker.circuit.state == "closed"


async def test_a_try_whose_caller_leaves_does_not_use_up_the_try(group: TaskGroup) -> None:
    clock = Clock()
    bulkhead = Bulkhead("p", Limits(failures=1, cooldown=10), clock)
    (await entered(group, bulkhead)).visit.failed("it crashed")
    clock.now = 20
    tries = await entered(group, bulkhead)
    with pytest.raises(RefusedError, match="another call is trying it now"):
        await bulkhead.enter()
    await left(tries)
    (await entered(group, bulkhead)).visit.succeeded()
    assert bulkhead.breaker.circuit.state == "closed"


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_try_that_has_reported_is_not_the_end_of_the_next_try(group: TaskGroup, succeeds: bool) -> None:
    """The first one has reported, but leaves only while the next one runs."""
    clock = Clock()
    bulkhead = Bulkhead("p", Limits(failures=1, cooldown=10), clock)
    (await entered(group, bulkhead)).visit.failed("it crashed")
    clock.now = 20
    first = await entered(group, bulkhead)
    if succeeds:
        first.visit.succeeded()
        (await entered(group, bulkhead)).visit.failed("it crashed")
    else:
        first.visit.failed("it crashed")
    clock.now = 40
    await entered(group, bulkhead)
    await left(first)
    with pytest.raises(RefusedError, match="another call is trying it now"):
        await bulkhead.enter()


async def test_a_function_waits_until_a_thread_is_free(group: TaskGroup) -> None:
    bulkhead = Bulkhead("p", Limits(threads=1))
    runs, ends = anyio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(runs.set)
        ends.wait(20)

    group.start_soon(bulkhead.in_thread, hold)
    await runs.wait()
    second = asyncio.ensure_future(bulkhead.in_thread(lambda: "second"))
    await anyio.wait_all_tasks_blocked()
    assert not second.done()
    ends.set()
    assert await second == "second"
    assert not await bulkhead.in_thread(caller_has_left)


async def test_only_a_function_whose_caller_has_left_is_told_so(group: TaskGroup) -> None:
    bulkhead = Bulkhead("p", Limits(threads=1))
    runs, looks, found = anyio.Event(), threading.Event(), [caller_has_left()]
    loop = asyncio.get_running_loop()

    def hold() -> None:
        found.append(caller_has_left())
        loop.call_soon_threadsafe(runs.set)
        looks.wait(20)
        found.append(caller_has_left())

    task = asyncio.ensure_future(bulkhead.in_thread(hold))
    await runs.wait()
    task.cancel()
    await asyncio.wait([task])
    assert bulkhead.health.abandoned == 1
    looks.set()
    while bulkhead.health.abandoned:  # no event says when the function has ended
        await anyio.sleep(0.01)
    assert found == [False, False, True]
    assert await bulkhead.in_thread(lambda: "next") == "next"
    # anyio gives the same thread to other work.
    assert not await anyio.to_thread.run_sync(caller_has_left)
