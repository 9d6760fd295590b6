"""A host: what it requires, what it records, and its plugins' lifespans while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from mcp_host import Plugin, PluginContext
from mcp_host.server.host import Host, StartRefusedError
from mcp_host.testing import make_host

pytestmark = pytest.mark.anyio


def recording(
    events: list[str], *, gate: anyio.Event | None = None
) -> Callable[..., AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(context: PluginContext) -> AsyncIterator[None]:
        events.append(f"start {context.name}")
        try:
            yield
        finally:
            if gate is not None:
                events.append(f"stopping {context.name}")
                await gate.wait()
            events.append(f"stop {context.name}")

    return lifespan


def failing(context: PluginContext) -> AbstractAsyncContextManager[None]:
    raise RuntimeError("no database")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"plugins": {"bad": {"required": True}}}, "[plugins.bad] required = true"),
        ({"host": {"on_error": "fail"}}, '[host] on_error = "fail"'),
    ],
)
async def test_a_failed_required_plugin_is_an_error_with_the_line_that_requires_it(
    options: dict[str, Any], reason: str
) -> None:
    host = make_host({"good": Plugin(), "bad": object()}, options=options)
    with pytest.raises(StartRefusedError) as caught:
        host.require()
    assert reason in caught.value.what
    assert "bad" in caught.value.what

    events: list[str] = []
    host = make_host({"good": Plugin(lifespan=recording(events)), "bad": Plugin(lifespan=failing)}, options=options)
    host.require()
    with pytest.raises(StartRefusedError, match="no database"):
        async with host.running():
            raise AssertionError
    assert events == ["start good", "stop good"]


async def test_if_an_optional_plugin_fails_the_others_serve() -> None:
    plugin = Plugin(lifespan=failing)
    plugin.tool(name="lost")(lambda: "x")
    good = Plugin()
    good.tool(name="kept")(lambda: "x")
    host = make_host({"bad": plugin, "good": good})
    before = host.catalog
    async with host.running():
        assert list(host.catalog.tools) == ["kept"]
        assert host.catalog.generation == before.generation + 1
        bad, kept = host.records
        assert (bad.stage, kept.stage) == ("collected", "serving")
        assert bad.contributed.tools == ()


async def test_disabled_plugins_are_recorded_and_not_loaded() -> None:
    host = make_host({"off": object()}, options={"plugins": {"off": {"enabled": False}}})
    (record,) = host.records
    assert (record.enabled, record.stage, record.problem) == (False, None, None)
    assert host.plugins == ()
    assert host.instructions is None


async def test_overlapping_runs_start_the_lifespans_once() -> None:
    events: list[str] = []
    host = make_host({"a": Plugin(lifespan=recording(events)), "b": Plugin(lifespan=recording(events))})
    async with host.running():
        async with host.running(), host.running():
            pass
        assert events == ["start a", "start b"]
    assert events == ["start a", "start b", "stop b", "stop a"]


async def test_a_host_that_is_cancelled_repeatedly_still_stops_its_lifespans() -> None:
    events: list[str] = []
    gate = anyio.Event()
    host: Host = make_host({"a": Plugin(lifespan=recording(events, gate=gate))})
    running = asyncio.Event()

    async def serve() -> None:
        async with host.running():
            running.set()
            await anyio.sleep_forever()

    task = asyncio.create_task(serve())
    await running.wait()
    task.cancel()
    while "stopping a" not in events:
        await anyio.lowlevel.checkpoint()
    task.cancel()
    await anyio.lowlevel.checkpoint()
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["start a", "stopping a", "stop a"]
