"""A reload waits for the calls on what it replaced, and for no others."""

from __future__ import annotations

import anyio
import pytest

from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.generations import Generations

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_who_waits_for_an_old_generation_does_not_wait_for_calls_on_a_new_one() -> None:
    old, new = Catalog(generation=1), Catalog(generation=2)
    generations = Generations(old)
    generations.swap(new)
    with generations.call(new):
        with anyio.fail_after(5):
            await generations.drained(1)
        assert generations.current is new


async def test_all_who_wait_go_on_when_the_last_call_has_ended() -> None:
    old, older = Catalog(generation=2), Catalog(generation=1)
    generations = Generations(old)
    drained: list[int] = []

    async def wait(generation: int) -> None:
        await generations.drained(generation)
        drained.append(generation)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            with generations.call(old):
                with generations.call(older):
                    for generation in (1, 2, 2):
                        group.start_soon(wait, generation)
                    await anyio.wait_all_tasks_blocked()
                    assert drained == []
                await anyio.wait_all_tasks_blocked()
                assert drained == [1]
    assert drained == [1, 2, 2]


async def test_who_waits_sleeps_until_a_call_ends() -> None:
    """`wait_all_tasks_blocked` would not return while a task that waits asks again and again."""
    old, older = Catalog(generation=2), Catalog(generation=1)
    generations = Generations(old)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            with generations.call(old):
                with generations.call(older):
                    group.start_soon(generations.drained, 2)
                    await anyio.wait_all_tasks_blocked()
                await anyio.wait_all_tasks_blocked()
