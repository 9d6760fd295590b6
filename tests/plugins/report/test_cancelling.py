from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host import Call, Plugin, ToolError
from mcp_host.api import CallNext
from mcp_plugin_report import making
from mcp_plugin_report.columns import describe
from mcp_plugin_report.models import ColumnReport, Report
from mcp_plugin_report.store import Store
from mcp_plugin_sql import plugin as sql
from plugins.report.results import report_of

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


class Slow:
    """A source that returns its rows only when they are released, and records a cancelled read."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.cancelled = anyio.Event()
        self.go = anyio.Event()
        self.plugin = Plugin()

        @self.plugin.resource("slow://all")
        def everything() -> str:
            return json.dumps([{"name": "data", "schema_uri": "slow://schema", "sample_uri": "slow://sample"}])

        @self.plugin.resource("slow://schema")
        def columns() -> str:
            return json.dumps({"columns": [{"name": f"c{n}"} for n in range(5)], "rows": 1})

        @self.plugin.resource("slow://sample{?rows}")
        async def sample(rows: int = 1) -> str:
            self.asked.set()
            try:
                await self.go.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled.set()
                raise
            return json.dumps({"columns": [f"c{n}" for n in range(5)], "rows": [[1] * 5]})


async def test_a_call_cancelled_while_reading_stops_and_keeps_nothing(served: Served, kept: Path) -> None:
    slow = Slow()
    async with served(others={"slow": slow.plugin}, catalogs=["slow://all"]) as client:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "generate_report", {"source": "data"})
                await slow.asked.wait()
                tasks.cancel_scope.cancel()
            await slow.cancelled.wait()
            slow.go.set()
            # The next call works normally.
            report = report_of(await client.call_tool("generate_report", {"source": "data"}))
    assert [file.stem for file in kept.iterdir()] == [report.id]


class Stopper:
    """A plugin whose middleware lets a test cancel the call at any moment, from a thread of the call."""

    def __init__(self) -> None:
        self.plugin = Plugin()
        self.scope = anyio.CancelScope()

        @self.plugin.middleware
        async def stoppable(call: Call, call_next: CallNext) -> Any:
            if call.kind != "tool":
                return await call_next(call)
            with self.scope:
                return await call_next(call)
            raise ToolError("stopped")

    def stop(self) -> None:
        anyio.from_thread.run_sync(self.scope.cancel)


async def test_a_call_cancelled_between_two_columns_stops_and_keeps_nothing(
    served: Served, refused: Refused, kept: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopper, described = Stopper(), []

    def describe_and_stop(name: str, *details: Any) -> ColumnReport:
        described.append(name)
        stopper.stop()
        return describe(name, *details)

    monkeypatch.setattr(making, "describe", describe_and_stop)
    async with served(others={"stopper": stopper.plugin, "sql": sql}) as client:
        assert refused(await client.call_tool("generate_report", {"source": "orders", "rows": 30})) == "stopped"
    assert described == ["id"]
    assert not kept.exists()


async def test_a_call_cancelled_just_after_keeping_its_report_removes_it(
    served: Served, refused: Refused, kept: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopper, add = Stopper(), Store.add
    written: list[str] = []

    def add_and_stop(store: Store, report: Report) -> None:
        add(store, report)
        written.extend(file.stem for file in kept.iterdir())
        stopper.stop()

    monkeypatch.setattr(Store, "add", add_and_stop)
    async with served(others={"stopper": stopper.plugin, "sql": sql}) as client:
        assert refused(await client.call_tool("generate_report", {"source": "orders"})) == "stopped"
    assert len(written) == 1
    assert list(kept.iterdir()) == []
