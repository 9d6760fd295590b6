"""Work in threads ends at its timeout or when its call is cancelled. No test measures time; each waits for events."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import duckdb
import pytest
from mcp import Client
from mcp.types import CallToolResult
from watchfiles import awatch

from mcp_host import ToolError
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.stopping import OutOfTimeError, in_thread
from mcp_plugin_stats.worker.desk import Task
from mcp_plugin_stats.worker.session import Session
from support.statswork import ENDLESS, endless, exhaust, held, unsendable

Served = Callable[..., AbstractAsyncContextManager[Client]]
Engines = Callable[..., AbstractAsyncContextManager[Engine]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def test_a_cross_join_is_stopped_at_its_timeout_and_the_next_query_works(
    served: Served, refused: Refused
) -> None:
    async with served(query_timeout=0.2) as client:
        text = refused(await client.call_tool("query_dataset", {"sql": ENDLESS}))
        assert "took longer than 0.2 s and was stopped" in text
        result = await client.call_tool("query_dataset", {"sql": "SELECT 1"})
    assert not result.is_error


async def test_cancelling_a_call_interrupts_duckdb(engines: Engines, tmp_path: Path) -> None:
    began, ended = tmp_path / "began", tmp_path / "ended"
    async with engines(query_timeout=3600) as engine:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.run, partial(endless, began=began, ended=ended))
            async for _ in awatch(tmp_path):
                if began.exists():
                    break
            tasks.cancel_scope.cancel()
        assert ended.exists()
        table, _ = await engine.query("SELECT 1")
        assert table.rows == [[1]]


HUNGRY = "SELECT list(i) FROM range(50000000) t(i)"


@pytest.mark.parametrize("in_python", [False, True])
async def test_where_memory_was_not_enough_another_worker_answers_and_others_are_not_lost(
    engines: Engines, tmp_path: Path, in_python: bool
) -> None:
    """Without memory, any step of Python may fail, also one that would answer."""
    (tmp_path / "seen").mkdir()
    began, gate = tmp_path / "seen" / "began", tmp_path / "gate"
    os.mkfifo(gate)
    results: list[int] = []
    async with engines() as engine:

        async def hold() -> None:
            results.append(await engine.run(partial(held, began=began, gate=gate)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            async for _ in awatch(began.parent):
                if began.exists():
                    break
            before = engine.worker_pid
            with pytest.raises(ToolError, match="needs more memory than memory_limit allows"):
                await (engine.run(exhaust) if in_python else engine.query(HUNGRY))
            table, _ = await engine.query("SELECT 1")
            assert (table.rows, engine.worker_pid == before) == ([[1]], False)
            assert before is not None
            await anyio.to_thread.run_sync(gate.write_bytes, b"x")
        assert results == [7]
        assert not Path(f"/proc/{before}").exists()


async def test_a_request_that_cannot_be_answered_is_not_waited_for(engines: Engines) -> None:
    async with engines(query_timeout=3600) as engine:
        with pytest.raises(ToolError):
            await engine.run(unsendable)
        table, _ = await engine.query("SELECT 1")
        assert table.rows == [[1]]


async def test_a_query_after_the_end_of_the_worker_gets_another_one(engines: Engines) -> None:
    async with engines() as engine:
        await engine.query("SELECT 1")
        for _ in range(3):
            before = engine.worker_pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
            table, _ = await engine.query("SELECT 1")
            assert (table.rows, engine.worker_pid == before) == ([[1]], False)


async def test_a_client_may_cancel_a_description(served: Served) -> None:
    async with served() as client:
        with anyio.CancelScope() as scope:

            async def seen_progress(progress: float, total: float | None, message: str | None) -> None:
                scope.cancel()

            await client.call_tool("describe_dataset", {"dataset": "penguins"}, progress_callback=seen_progress)
        result = await client.call_tool("describe_dataset", {"dataset": "penguins"})
    assert not result.is_error


def test_nothing_starts_after_a_stop() -> None:
    task = Task()
    task.stop()
    with duckdb.connect(":memory:") as connection, pytest.raises(DataError, match="The call was stopped"):
        Session(connection, task.check).run(lambda session: session.value("SELECT 1"))


async def test_work_that_ignores_interrupts_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_plugin_stats.stopping.PATIENCE", 0.01)
    release = threading.Event()
    interrupts: list[None] = []
    with pytest.raises(OutOfTimeError):
        await in_thread(release.wait, lambda: interrupts.append(None), 0.01)
    assert interrupts
    release.set()


async def test_errors_of_the_work_are_raised() -> None:
    def work() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError, match="x"):
        await in_thread(work, lambda: None, 60)


async def test_many_simultaneous_calls_each_get_their_own_rows(served: Served) -> None:
    answers: dict[int, object] = {}

    async def ask(client: Client, number: int) -> None:
        result = await client.call_tool("query_dataset", {"sql": f"SELECT count(*) + {number} FROM penguins"})
        assert result.structured_content is not None
        answers[number] = result.structured_content["rows"]

    async with served() as client, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, client, number)
    assert answers == {number: [[344 + number]] for number in range(20)}
