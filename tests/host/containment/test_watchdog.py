"""A plugin that blocks the event loop is reported with the line that blocks it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from mcp import Client

from mcp_host import Plugin, hookimpl
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import make_host

pytestmark = pytest.mark.anyio


class Heard(logging.Handler):
    """Keeps the log, and sets an event when the expected record is in it."""

    def __init__(self, expected: str) -> None:
        super().__init__()
        self.expected = expected
        self.lines: list[str] = []
        self.event = threading.Event()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if self.expected in record.getMessage():
            self.event.set()


@pytest.fixture
def heard() -> Any:
    handler = Heard("it is here")
    logging.getLogger("mcp_host").addHandler(handler)
    yield handler
    logging.getLogger("mcp_host").removeHandler(handler)


async def test_a_tool_that_blocks_the_loop_is_in_the_log_with_its_stack_and_in_the_record(heard: Heard) -> None:
    plugin = Plugin()

    @plugin.tool
    async def grind() -> str:
        heard.event.clear()  # a slow machine may have blocked the loop before
        assert heard.event.wait(30)  # blocks the loop until the watchdog has reported it
        return "ground"

    host = make_host({"mill": plugin}, options={"host": {"block_warning": "50ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        result = await client.call_tool("grind", {})
        assert not result.is_error
        await client.list_tools()
    assert "tool grind of plugin mill has blocked the event loop for more than 0.05 s; it is here:" in heard.text
    assert "assert heard.event.wait(30)" in heard.text
    assert "tool grind of plugin mill blocked the event loop for" in heard.text
    (warning,) = [found for found in host.records[0].warnings if "tool grind" in found.what]
    assert warning.what == "tool grind blocks the event loop, and so every client"
    assert "plain def" in warning.hint


async def test_the_record_names_a_template_that_blocks_the_loop_without_the_callers_values(heard: Heard) -> None:
    plugin = Plugin()

    @plugin.resource("grain://{kind}")
    async def grind(kind: str) -> str:
        heard.event.clear()
        assert heard.event.wait(30)
        return "ground"

    host = make_host({"mill": plugin}, options={"host": {"block_warning": "50ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        for kind in ("rye", "oats"):
            await client.read_resource(f"grain://{kind}")
            await client.list_tools()
            assert f"resource grain://{kind} of plugin mill has blocked" in heard.text
    assert [warning.what for warning in host.records[0].warnings] == [
        "resource grain://{kind} blocks the event loop, and so every client"
    ]


async def test_a_background_task_that_blocks_the_loop_is_reported(heard: Heard) -> None:
    plugin = Plugin()
    started: list[asyncio.Task[None]] = []

    async def grind() -> None:
        heard.event.clear()
        heard.event.wait(30)

    @plugin.tool
    async def begin() -> str:
        started.append(asyncio.create_task(grind()))
        return "begun"

    host = make_host({"mill": plugin}, options={"host": {"block_warning": "50ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        await client.call_tool("begin", {})
        await started[0]
    assert "tool begin of plugin mill has blocked the event loop" in heard.text


async def test_a_waiting_loop_and_a_busy_thread_are_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = Plugin()

    @plugin.tool
    def busy() -> str:
        time.sleep(2.5)  # in its thread, which is allowed
        return "done"

    host = make_host(plugin, options={"host": {"block_warning": "2s"}})
    async with host.running(), Client(HostServer(host)) as client:
        await client.call_tool("busy", {})
    assert "tool busy" not in caplog.text


async def test_a_plugin_that_hangs_while_it_loads_is_reported(heard: Heard) -> None:
    class Stuck:
        @hookimpl
        def mcp_tools(self) -> list[Any]:
            assert heard.event.wait(30)  # until it is in the log
            return []

    host = make_host({"stuck": Stuck()}, options={"host": {"start_timeout": "1s"}})
    assert not host.records[0].failed
    assert "plugin stuck is not loaded after 1 s; nothing is served before | hint:" in heard.text
    assert "assert heard.event.wait(30)" in heard.text
    assert "hint: [plugins.stuck] enabled = false" in heard.text
