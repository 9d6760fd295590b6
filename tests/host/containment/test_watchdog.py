"""A plugin that holds up the event loop is named, with the line it is at."""

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
    """Sets an event once a record says what is waited for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.event = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.event.set()


@pytest.fixture
def heard() -> Any:
    handler = Heard("it is here")
    logging.getLogger("mcp_host").addHandler(handler)
    yield handler
    logging.getLogger("mcp_host").removeHandler(handler)


async def test_a_tool_that_blocks_the_loop_is_named_with_its_stack_in_the_log_and_in_the_record(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = Plugin()

    @plugin.tool
    async def grind() -> str:
        assert heard.event.wait(30)  # holds the loop up until the watchdog has said so
        return "ground"

    host = make_host({"mill": plugin}, options={"host": {"block_warning": "50ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        result = await client.call_tool("grind", {})
        assert not result.is_error
        await client.list_tools()
    assert "tool grind of plugin mill has held up the event loop for more than 0.05 s; it is here:" in caplog.text
    assert "assert heard.event.wait(30)" in caplog.text
    assert "tool grind of plugin mill held up the event loop for" in caplog.text
    (warning,) = host.records[0].warnings
    assert warning.what == "tool grind holds up the event loop, and with it every client"
    assert "plain def" in warning.hint


async def test_what_a_plugin_runs_in_the_background_is_named_too(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = Plugin()
    started: list[asyncio.Task[None]] = []

    async def grind() -> None:
        heard.event.wait(30)

    @plugin.tool
    async def begin() -> str:
        started.append(asyncio.create_task(grind()))
        return "begun"

    host = make_host({"mill": plugin}, options={"host": {"block_warning": "50ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        await client.call_tool("begin", {})
        await started[0]
    assert "tool begin of plugin mill has held up the event loop" in caplog.text


async def test_a_loop_that_waits_and_a_thread_that_is_busy_are_nothing_to_tell(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = Plugin()

    @plugin.tool
    def busy() -> str:
        time.sleep(0.3)  # in its thread: the case that is all right
        return "done"

    host = make_host(plugin, options={"host": {"block_warning": "150ms"}})
    async with host.running(), Client(HostServer(host)) as client:
        await client.call_tool("busy", {})
    assert "tool busy" not in caplog.text


async def test_a_plugin_that_hangs_while_it_is_loaded_is_named(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    class Stuck:
        @hookimpl
        def mcp_tools(self) -> list[Any]:
            assert heard.event.wait(30)  # until the log has said so
            return []

    host = make_host({"stuck": Stuck()}, options={"host": {"start_timeout": "50ms"}})
    assert not host.records[0].failed
    assert "plugin stuck: not loaded after 0.05 s, and nothing is served before; it is here:" in caplog.text
    assert "assert heard.event.wait(30)" in caplog.text
    assert "hint:  [plugins.stuck] enabled = false" in caplog.text
