"""Lifespans start once, in order, with deadlines, and stop in reverse. A failure affects only its own plugin."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_host import Context, HostError, Plugin, PluginContext, Tool
from mcp_host.plugins.kinds import TOOL
from mcp_host.plugins.records import Stage
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import make_host
from support.sites import problem

pytestmark = pytest.mark.anyio

Lifespan = Callable[[PluginContext[Any]], AbstractAsyncContextManager[Any]]
BASE_EXCEPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopAsyncIteration, ValueError]


def plugin(name: str, lifespan: Lifespan | None = None) -> Plugin:
    made = Plugin(lifespan=lifespan)
    made._tools.append(Tool(lambda: name, name=f"tool_of_{name}"))
    return made


def hosted(lifespans: dict[str, Lifespan | None], **host: Any) -> Host:
    plugins = {name: plugin(name, lifespan) for name, lifespan in lifespans.items()}
    return make_host(plugins, options={"host": host, "plugins": host.pop("plugins", {})})


def noting(events: list[str], name: str) -> Lifespan:
    @asynccontextmanager
    async def lifespan(plugin: PluginContext[Any]) -> AsyncIterator[str]:
        events.append(f"enter {name}")
        try:
            yield f"state of {name}"
        finally:
            events.append(f"leave {name}")

    return lifespan


def tools(host: Host) -> list[str]:
    return [tool.name for tool in host.catalog.listed(TOOL)]


async def test_lifespans_start_in_order_and_stop_in_reverse() -> None:
    events: list[str] = []
    host = hosted({name: noting(events, name) for name in ("b", "a", "c")})
    async with host.running():
        assert events == ["enter b", "enter a", "enter c"]
        assert [each.state for each in host.plugins] == ["state of b", "state of a", "state of c"]
        assert {record.stage for record in host.records} == {Stage.SERVING}
    assert events[3:] == ["leave c", "leave a", "leave b"]
    assert [each.state for each in host.plugins] == [None, None, None]


async def test_lifespans_start_once_for_any_number_of_sessions() -> None:
    events: list[str] = []
    server = HostServer(hosted({"a": noting(events, "a")}))
    async with server.host.running():
        async with Client(server) as one, Client(server, mode="legacy") as two, Client(server) as three:
            for client in (one, two, three):
                assert (await client.call_tool("tool_of_a", {})).structured_content is None
        async with Client(server):
            pass
        assert events == ["enter a"]
    assert events == ["enter a", "leave a"]
    async with server.host.running():
        assert events[2:] == ["enter a"]


async def test_a_plugin_without_a_lifespan_has_no_state() -> None:
    host = hosted({"a": None})
    async with host.running():
        assert (host.plugins[0].state, host.records[0].stage) == (None, Stage.SERVING)


# --- Starting


@pytest.mark.parametrize("error", BASE_EXCEPTIONS)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after a pause"])
async def test_a_plugin_that_cannot_start_fails_and_the_others_serve(error: type[BaseException], late: bool) -> None:
    @asynccontextmanager
    async def failing(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        if late:
            await asyncio.sleep(0)
        raise error("the database is down")
        yield

    events: list[str] = []
    host = hosted({"a": noting(events, "a"), "bad": failing, "c": noting(events, "c")})
    assert tools(host) == ["tool_of_a", "tool_of_bad", "tool_of_c"]
    async with host.running():
        assert events == ["enter a", "enter c"]
        assert tools(host) == ["tool_of_a", "tool_of_c"]
        bad = host.records[1]
        assert problem(bad).what.startswith("its lifespan failed to start: ")
        assert "the database is down" in problem(bad).what or error is StopAsyncIteration
        assert (bad.stage, bad.contributed.tools) == (Stage.COLLECTED, ())
    assert events[2:] == ["leave c", "leave a"]


async def test_a_failure_with_its_own_hint_has_that_hint_in_the_record() -> None:
    @asynccontextmanager
    async def failing(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        raise HostError("the driver is missing", hint="pip install driver")
        yield

    host = hosted({"bad": failing})
    async with host.running():
        assert problem(host.records[0]).what == "its lifespan failed to start: the driver is missing"
        assert problem(host.records[0]).hint == "pip install driver"


async def test_a_lifespan_that_hangs_is_cancelled_at_its_deadline_and_the_others_serve() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def hanging(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")
        yield

    host = hosted({"hanging": hanging, "good": noting(events, "good")}, start_timeout="50ms")
    async with host.running():
        assert events == ["cancelled", "enter good"]
        assert tools(host) == ["tool_of_good"]
        assert problem(host.records[0]).what == "its lifespan did not start within 0.05 s"
        assert problem(host.records[0]).hint.startswith('[host] start_timeout = "..."')


async def test_a_lifespan_that_starts_despite_its_cancellation_stops_immediately() -> None:
    left = asyncio.Event()

    @asynccontextmanager
    async def stubborn(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            yield
        finally:
            left.set()

    host = hosted({"stubborn": stubborn, "good": None}, start_timeout="50ms")
    async with host.running():
        await left.wait()
        assert host.plugins[0].state is None
        assert tools(host) == ["tool_of_good"]


async def test_a_lifespan_that_neither_starts_nor_ends_is_given_up_and_the_others_serve() -> None:
    release = asyncio.Event()

    @asynccontextmanager
    async def immovable(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        yield

    host = hosted({"immovable": immovable, "good": None}, start_timeout="50ms", stop_timeout="50ms")
    async with host.running():
        assert tools(host) == ["tool_of_good"]
        release.set()


async def test_when_the_start_is_cancelled_the_started_plugins_are_stopped() -> None:
    events: list[str] = []
    starting = asyncio.Event()

    @asynccontextmanager
    async def slow(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        starting.set()
        await asyncio.Event().wait()
        yield

    host = hosted({"first": noting(events, "first"), "slow": slow})

    async def run() -> None:
        async with host.running():
            raise AssertionError("started")

    task = asyncio.create_task(run())
    await starting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["enter first", "leave first"]


async def test_when_a_scope_around_the_start_is_cancelled_the_started_plugins_are_stopped() -> None:
    events: list[str] = []
    with anyio.CancelScope() as scope:

        @asynccontextmanager
        async def slow(plugin: PluginContext[Any]) -> AsyncIterator[None]:
            scope.cancel()
            await asyncio.Event().wait()
            yield

        host = hosted({"first": noting(events, "first"), "slow": slow})
        async with host.running():
            raise AssertionError("started")
    assert events == ["enter first", "leave first"]


async def test_a_lifespan_that_is_not_a_context_manager_is_an_error_with_a_hint() -> None:
    async def undecorated(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        yield

    host = hosted({"a": undecorated, "good": None})  # type: ignore[dict-item]
    async with host.running():
        assert problem(host.records[0]).what == "mcp_lifespan returned an async_generator, not an async context manager"
        assert problem(host.records[0]).hint == "decorate it with contextlib.asynccontextmanager"
        assert tools(host) == ["tool_of_good"]


# --- Serving


@pytest.mark.parametrize("kind", [asyncio.TaskGroup, anyio.create_task_group])
async def test_a_crash_in_a_background_task_is_contained_and_recorded(kind: Callable[[], Any]) -> None:
    crash = asyncio.Event()
    events: list[str] = []
    ended = asyncio.Event()

    @asynccontextmanager
    async def crashing(plugin: PluginContext[Any]) -> AsyncIterator[str]:
        async def background() -> None:
            await crash.wait()
            raise RuntimeError("the feed broke")

        try:
            async with kind() as group:
                (group.create_task(background()) if kind is asyncio.TaskGroup else group.start_soon(background))
                yield "state"
        finally:
            ended.set()

    server = HostServer(hosted({"crashing": crashing, "good": noting(events, "good")}))
    async with server.host.running():
        crash.set()
        await ended.wait()
        async with Client(server) as client:
            result = await client.call_tool("tool_of_good", {})
            assert not result.is_error
        (warning,) = server.host.records[0].warnings
        assert warning.what.startswith("its lifespan ended by itself: ")
        assert events == ["enter good"]
    assert events == ["enter good", "leave good"]


async def test_a_lifespan_that_cancels_itself_while_serving_is_recorded() -> None:
    ended = asyncio.Event()
    scopes: list[anyio.CancelScope] = []

    @asynccontextmanager
    async def self_cancelling(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            yield
        ended.set()

    host = hosted({"a": self_cancelling})
    async with host.running():
        scopes[0].cancel()
        await ended.wait()
        await asyncio.sleep(0)
        assert [warning.what for warning in host.records[0].warnings] == ["its lifespan ended by itself"]


# --- Stopping


@pytest.mark.parametrize("error", BASE_EXCEPTIONS)
async def test_an_error_while_stopping_does_not_stop_the_others_from_stopping(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def failing(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        yield
        raise error("cannot close")

    host = hosted({"a": noting(events, "a"), "bad": failing, "c": noting(events, "c")})
    async with host.running():
        pass
    assert events == ["enter a", "enter c", "leave c", "leave a"]
    said = "the lifespan of plugin bad failed to stop" in caplog.messages
    assert said is (error is not asyncio.CancelledError)


async def test_a_lifespan_that_hangs_at_its_end_is_cancelled_at_its_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: list[str] = []
    cancelled = asyncio.Event()

    @asynccontextmanager
    async def hanging(plugin: PluginContext[Any]) -> AsyncIterator[None]:
        yield
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    host = hosted({"a": noting(events, "a"), "hanging": hanging}, stop_timeout="50ms")
    async with host.running():
        pass
    await cancelled.wait()
    assert events == ["enter a", "leave a"]
    assert "the lifespan of plugin hanging did not stop within 0.05 s and is cancelled" in caplog.messages


def test_lifespans_stop_in_order_when_the_event_loop_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[str] = []
    host = hosted({"a": noting(events, "a")})

    async def leave_without_stopping() -> None:
        await host._lifespans.start(host.plugins)

    asyncio.run(leave_without_stopping())
    assert events == ["enter a", "leave a"]
    assert host.records[0].warnings == ()


@pytest.mark.parametrize("seen", ["state", "lifespan_context"])
async def test_each_plugin_sees_only_its_own_state(seen: str) -> None:
    def make(name: str) -> Plugin:
        made = Plugin(lifespan=noting([], name))

        @made.tool(f"ask_{name}")
        def ask(ctx: Context) -> str:
            return str(ctx.state if seen == "state" else ctx.request_context.lifespan_context)

        return made

    server = HostServer(make_host({"a": make("a"), "b": make("b")}))
    async with Client(server) as client:
        for name in ("a", "b"):
            assert (await client.call_tool(f"ask_{name}", {})).structured_content == {"result": f"state of {name}"}
