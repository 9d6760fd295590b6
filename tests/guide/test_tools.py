"""2. Statistics, and a long task that reports its progress."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from mcp.types import LoggingMessageNotificationParams

from guide.servers.calculator import plugin
from guide.talking import refusal, structured
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("operation", "result"), [("sum", 6.0), ("average", 2.0), ("max", 3.0), ("min", 1.0)])
async def test_statistics_are_calculated(mode: str, operation: str, result: float) -> None:
    async with connect(plugin, mode=mode) as client:
        said = await structured(client, "calculate_statistics", numbers=[1, 2, 3], operation=operation)
    assert said == {"operation": operation, "count": 3, "result": result}


async def test_a_failed_calculation_is_an_error_for_the_model(mode: str) -> None:
    async with connect(plugin, mode=mode) as client:
        assert await refusal(client, "calculate_statistics", numbers=[], operation="sum") == (
            "numbers is empty: give at least one."
        )
        said = await refusal(client, "calculate_statistics", numbers=[1], operation="mode")
    assert said.startswith("Invalid arguments for tool calculate_statistics: operation:")
    assert "'sum', 'average', 'max' or 'min'" in said


async def test_a_long_task_reports_its_progress(mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def seeing(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with connect(plugin, mode=mode) as client:
        result = await client.call_tool(
            "long_running_task", {"task_name": "tidy", "steps": 3}, progress_callback=seeing
        )
    assert result.structured_content == {"result": "Task 'tidy' completed"}
    assert seen == [(1, 3, "Step 1/3"), (2, 3, "Step 2/3"), (3, 3, "Step 3/3")]


async def test_a_client_that_requests_the_log_gets_it(mode: str) -> None:
    logged: list[tuple[str, Any]] = []
    last = anyio.Event()

    async def log(params: LoggingMessageNotificationParams) -> None:
        logged.append((params.level, params.data))
        if params.data == "Completed step 2":
            last.set()

    async with connect(plugin, mode=mode, logging_callback=log, log_level="debug") as client:
        await client.call_tool("long_running_task", {"task_name": "tidy", "steps": 2})
        with anyio.fail_after(30):
            await last.wait()
    assert logged == [("info", "Starting: tidy"), ("debug", "Completed step 1"), ("debug", "Completed step 2")]


async def test_a_client_of_the_new_protocol_gets_no_log_without_a_request() -> None:
    logged: list[Any] = []

    async def log(params: LoggingMessageNotificationParams) -> None:
        logged.append(params)

    async with connect(plugin, logging_callback=log) as client:
        await client.call_tool("long_running_task", {"task_name": "tidy"})
    assert logged == []
