"""Observers see the end of every request, refused ones too, and cannot hold a request up or break it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, PromptReference, ResourceTemplateReference, TextContent
from pydantic import BaseModel

from mcp_host import (
    Context,
    Event,
    Observer,
    Plugin,
    PluginChanged,
    PluginContext,
    Reloaded,
    RequestEnded,
    ResourceNotFoundError,
    SessionClosed,
    SessionOpened,
    ToolError,
    hookimpl,
)
from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

SECRET = "4111-1111"


class Watcher:
    """A plugin with one observer, which keeps what it gets."""

    def __init__(self) -> None:
        self.plugin = Plugin()
        self.events: list[Event] = []
        self.plugin.observer(self.events.append)

    def ended(self, method: str) -> list[RequestEnded]:
        return [event for event in self.events if isinstance(event, RequestEnded) and event.method == method]

    def last(self, method: str) -> tuple[str | None, str | None, str, str | None]:
        """The last request with this method: name, plugin, outcome and reason."""
        event = self.ended(method)[-1]
        return event.name, event.plugin, event.outcome, event.reason


class Person(BaseModel):
    name: str


def make_plugin() -> Plugin:
    """A tool for each way in which a call ends, and one of each other kind."""
    plugin = Plugin()
    plugin.hold = asyncio.Event()  # type: ignore[attr-defined]

    @plugin.tool(structured_output=False)
    async def end(
        how: Literal["well", "tool error", "crash", "exit", "mcp error", "invalid params", "result"], card: str = ""
    ) -> Any:
        match how:
            case "tool error":
                raise ToolError("not this one")
            case "crash":
                raise OSError("no")
            case "exit":
                raise SystemExit(1)
            case "mcp error":
                raise MCPError(-32001, "no")
            case "invalid params":
                raise MCPError(INVALID_PARAMS, "no")
            case "result":
                return CallToolResult(content=[TextContent(type="text", text="no")], is_error=True)
        return "done"

    @plugin.tool(structured_output=False)
    async def wait() -> str:
        plugin.hold.set()  # type: ignore[attr-defined]
        await anyio.sleep_forever()
        return ""

    @plugin.tool(structured_output=False, timeout=0.05)
    async def late() -> str:
        await anyio.sleep_forever()
        return ""

    @plugin.tool(structured_output=False)
    async def read(uri: str, ctx: Context) -> str:
        return str(next(iter(await ctx.read_resource(uri))).content)

    @plugin.tool
    async def rows() -> list[int]:
        return list(range(100_000))

    @plugin.tool(structured_output=False)
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    @plugin.resource("notes://{name}")
    def note(name: str) -> str:
        if name == "lost":
            raise ResourceNotFoundError("no such note")
        return name

    @plugin.prompt
    def review(code: str) -> str:
        return code

    @plugin.completion("review", "code")
    def codes(value: str) -> list[str]:
        return ["x"]

    return plugin


@asynccontextmanager
async def watching(
    mode: str, options: dict[str, Any] | None = None, **client: Any
) -> AsyncIterator[tuple[Client, Watcher]]:
    watcher = Watcher()
    plugins = {"shop": make_plugin(), "watcher": watcher.plugin}
    async with connect(plugins, mode=mode, options=options, **client) as connected:
        yield connected, watcher


# Ends


@each_era
@pytest.mark.parametrize(
    ("how", "outcome", "reason"),
    [
        ("well", "ok", None),
        ("tool error", "error", "failed"),
        ("crash", "error", "crashed"),
        ("exit", "error", "crashed"),
        ("mcp error", "error", "failed"),
        ("invalid params", "error", "failed"),
        ("result", "error", "failed"),
        ("no such way", "refused", "bad-arguments"),
    ],
)
async def test_each_end_of_a_call_has_its_outcome_and_no_value_of_an_argument(
    mode: str, how: str, outcome: str, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(mode) as (client, watcher):
        try:
            await client.call_tool("end", {"how": how, "card": SECRET})
        except MCPError:
            assert how in ("mcp error", "invalid params")
        (event,) = watcher.ended("tools/call")
        assert (event.name, event.plugin, event.outcome, event.reason) == ("end", "shop", outcome, reason)
        assert (event.nested, event.protocol_version) == (False, client.protocol_version)
        assert 0 < event.seconds < 60
        assert SECRET not in repr(event)
        assert (event.error_id is not None) == (reason == "crashed")
        assert event.error_id is None or f"(error {event.error_id})" in caplog.text
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.name = "another"  # type: ignore[misc]


@each_era
async def test_what_is_not_served_is_refused_as_unknown(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        asked = {
            "tools/call": client.call_tool("nothing", {}),
            "resources/read": client.read_resource("nothing://here"),
            "prompts/get": client.get_prompt("nothing", {}),
            "completion/complete": client.complete(
                ResourceTemplateReference(uri="nothing://{here}"), {"name": "here", "value": ""}
            ),
        }
        for method, asking in asked.items():
            with pytest.raises(MCPError):
                await asking
            name, plugin, outcome, reason = watcher.last(method)
            assert str(name).startswith("nothing")
            assert (plugin, outcome, reason) == (None, "refused", "unknown")
            assert len(watcher.ended(method)) == 1


@each_era
async def test_a_template_that_has_no_such_resource_failed(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        with pytest.raises(MCPError, match="no such note"):
            await client.read_resource("notes://lost")
        assert watcher.last("resources/read") == ("notes://{name}", "shop", "error", "failed")


@each_era
async def test_a_name_that_a_client_made_up_is_cut(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        with pytest.raises(MCPError):
            await client.call_tool("x" * 100_000, {})
        assert watcher.last("tools/call")[0] == "x" * 200 + "..."


@each_era
async def test_reads_prompts_completions_and_lists_end_well(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        await client.read_resource("notes://one")
        await client.get_prompt("review", {"code": "x"})
        await client.complete(PromptReference(name="review"), {"name": "code", "value": ""})
        await client.list_tools()
        await client.list_resources()
        await client.list_resource_templates()
        await client.list_prompts()
        assert watcher.last("resources/read") == ("notes://{name}", "shop", "ok", None)
        assert watcher.last("prompts/get") == ("review", "shop", "ok", None)
        assert watcher.last("completion/complete") == ("review", "shop", "ok", None)
        for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
            assert [watcher.last(method), len(watcher.ended(method))] == [(None, None, "ok", None), 1]
        assert len(watcher.ended("initialize" if mode == "legacy" else "server/discover")) == 1


@each_era
async def test_a_read_by_a_plugin_is_an_event_of_its_own(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        await client.call_tool("read", {"uri": "notes://one"})
        await client.call_tool("read", {"uri": "nothing://here"})
        well, unknown = watcher.ended("resources/read")
        assert (well.name, well.plugin, well.outcome, well.nested) == ("notes://{name}", "shop", "ok", True)
        assert (unknown.name, unknown.reason, unknown.nested) == ("nothing://here", "unknown", True)
        first, second = watcher.ended("tools/call")
        assert (first.name, first.outcome, first.nested) == ("read", "ok", False)
        assert (second.name, second.plugin) == ("read", "shop")


# Refusals and limits


@each_era
async def test_a_call_that_takes_too_long_timed_out(mode: str) -> None:
    async with watching(mode) as (client, watcher):
        await client.call_tool("late", {})
        assert watcher.last("tools/call") == ("late", "shop", "error", "timed-out")


@each_era
async def test_a_busy_plugin_refuses(mode: str) -> None:
    plugin, watcher = make_plugin(), Watcher()
    options = {"host": {"limits": {"calls": 1, "queue": 0}}}
    async with (
        connect({"shop": plugin, "watcher": watcher.plugin}, mode=mode, options=options) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.call_tool, "wait", {})
        await plugin.hold.wait()  # type: ignore[attr-defined]
        await client.call_tool("end", {"how": "well"})
        assert watcher.last("tools/call") == ("end", "shop", "refused", "busy")
        group.cancel_scope.cancel()


@each_era
async def test_a_paused_plugin_refuses(mode: str) -> None:
    async with watching(mode, {"host": {"limits": {"failures": 1}}}) as (client, watcher):
        await client.call_tool("end", {"how": "crash"})
        await client.call_tool("end", {"how": "well"})
        assert watcher.last("tools/call") == ("end", "shop", "refused", "paused")


@each_era
async def test_too_large_arguments_and_results_are_refused(mode: str) -> None:
    async with watching(mode, {"host": {"limits": {"argument_size": 1000, "result_size": 10_000}}}) as (
        client,
        watcher,
    ):
        await client.call_tool("end", {"how": "well", "card": "x" * 1000})
        assert watcher.last("tools/call") == ("end", "shop", "refused", "too-large")
        await client.call_tool("rows", {})
        assert watcher.last("tools/call") == ("rows", "shop", "refused", "too-large")


@each_era
async def test_a_call_that_the_client_cancels_is_cancelled(mode: str) -> None:
    plugin, watcher, seen = make_plugin(), Watcher(), asyncio.Event()

    @watcher.plugin.observer
    def note(event: Event) -> None:
        if isinstance(event, RequestEnded) and event.name == "wait":
            seen.set()

    async with connect({"shop": plugin, "watcher": watcher.plugin}, mode=mode) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "wait", {})
            await plugin.hold.wait()  # type: ignore[attr-defined]
            group.cancel_scope.cancel()
        with anyio.fail_after(30):
            await seen.wait()
        assert watcher.last("tools/call") == ("wait", "shop", "error", "cancelled")


@each_era
async def test_a_host_that_shuts_down_refuses(mode: str) -> None:
    watcher = Watcher()
    host = make_host({"shop": make_plugin(), "watcher": watcher.plugin})
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        host.dispatcher.closing = True
        with pytest.raises(MCPError):
            await client.call_tool("end", {"how": "well"})
        assert watcher.last("tools/call") == ("end", None, "refused", "shutting-down")


async def test_an_answer_that_does_not_fit_is_unanswered() -> None:
    from mcp.types import ElicitResult

    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": 5})

    async with watching("legacy", elicitation_callback=answer) as (client, watcher):
        await client.call_tool("ask", {})
        assert watcher.last("tools/call") == ("ask", "shop", "error", "unanswered")


async def test_subscriptions_of_a_session_are_seen() -> None:
    watcher, plugin = Watcher(), Plugin()
    plugin.resource("notes://all")(lambda: "all")
    async with connect({"notes": plugin, "watcher": watcher.plugin}, mode="legacy") as client:
        await client.subscribe_resource("notes://all")
        assert watcher.last("resources/subscribe") == ("notes://all", "notes", "ok", None)
        with pytest.raises(MCPError):
            await client.subscribe_resource("notes://none")
        assert watcher.last("resources/subscribe") == ("notes://none", None, "refused", "unknown")
        await client.unsubscribe_resource("notes://all")
        assert watcher.last("resources/unsubscribe") == ("notes://all", "notes", "ok", None)


@each_era
async def test_a_method_that_is_not_served_and_malformed_parameters_are_refused(mode: str) -> None:
    from mcp.types import EmptyResult, Request, RequestParams

    class Unknown(Request[RequestParams, str]):
        method: str = "example/unknown"
        params: RequestParams = RequestParams()

    async with watching(mode) as (client, watcher):
        with pytest.raises(MCPError):
            await client.session.send_request(Unknown(), EmptyResult)
        assert watcher.last("example/unknown") == (None, None, "refused", "unknown")
        with pytest.raises(MCPError):
            await client.session.send_request(Unknown(method="tools/call"), EmptyResult)
        assert watcher.last("tools/call") == (None, None, "refused", "bad-arguments")


# What else changes


async def test_a_session_opens_and_closes_and_there_is_none_in_the_modern_protocol() -> None:
    for mode, wanted in (("legacy", [SessionOpened, SessionClosed]), ("auto", [])):
        async with watching(mode) as (client, watcher):
            await client.list_tools()
        found = [event for event in watcher.events if isinstance(event, SessionOpened | SessionClosed)]
        assert [type(event) for event in found] == wanted


async def test_the_stage_of_each_plugin_is_an_event_and_so_is_a_failure() -> None:
    watcher = Watcher()

    @asynccontextmanager
    async def failing(plugin: PluginContext) -> AsyncIterator[None]:
        raise OSError("no such disk")
        yield

    host = make_host({"watcher": watcher.plugin, "bad": Plugin(lifespan=failing), "odd": 5})
    async with host.running():
        found = {event.plugin: event for event in watcher.events if isinstance(event, PluginChanged)}
        assert (found["watcher"].stage, found["watcher"].problem) == ("serving", None)
        assert found["bad"].stage == "collected"
        assert "no such disk" in str(found["bad"].problem)
        assert found["bad"].error_id == host.records[1].error_id
        assert (found["odd"].stage, found["odd"].problem is None) == ("imported", False)


async def test_a_reload_that_is_served_and_one_that_is_refused_are_events() -> None:
    watcher = Watcher()
    host = Host(
        parse_config("[plugins.watcher]", environ={}), objects={"watcher": watcher.plugin, "b": make_plugin(), "odd": 5}
    )
    async with host.running():
        await host.reload(parse_config("[plugins.watcher]\n[plugins.b]", environ={}))
        with pytest.raises(HostError):
            await host.reload(parse_config("[plugins.watcher]\n[plugins.odd]", environ={}))
        served, refused = (event for event in watcher.events if isinstance(event, Reloaded))
        assert served == Reloaded(served=True, plugins=("watcher", "b"), problem=None)
        assert (refused.served, refused.plugins) == (False, ("watcher", "b"))
        assert "plugin odd failed" in str(refused.problem)
        assert PluginChanged(plugin="b", stage="serving", problem=None, error_id=None) in watcher.events


# Observers that misbehave


def crash(event: Event) -> None:
    raise OSError("no")


def leave(event: Event) -> None:
    raise SystemExit(1)


def cancel(event: Event) -> None:
    raise asyncio.CancelledError


def lazy(event: Event) -> Any:
    return asyncio.sleep(0)


@each_era
@pytest.mark.parametrize("bad", [crash, leave, cancel, lazy])
async def test_an_observer_that_raises_breaks_nothing_and_is_logged_once(
    mode: str, bad: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    broken, watcher = Plugin(), Watcher()
    broken.observer(bad)
    async with connect({"broken": broken, "shop": make_plugin(), "watcher": watcher.plugin}, mode=mode) as client:
        for _ in range(3):
            assert not (await client.call_tool("end", {"how": "well"})).is_error
    assert len(watcher.ended("tools/call")) == 3
    assert len([record for record in caplog.records if "an observer of plugin broken" in record.message]) == 1


async def test_an_observer_that_is_slow_is_left_out_with_a_warning() -> None:
    slow, watcher, calls = Plugin(), Watcher(), []

    @slow.observer
    def block(event: Event) -> None:
        calls.append(event)
        time.sleep(0.02)

    host = make_host(
        {"slow": slow, "shop": make_plugin(), "watcher": watcher.plugin}, options={"host": {"block_warning": 0.01}}
    )
    async with host.running(), Client(HostServer(host)) as client:
        for _ in range(5):
            await client.call_tool("end", {"how": "well"})
    assert len(calls) == 3
    assert len(watcher.ended("tools/call")) == 5
    assert any("it gets no more events" in warning.what for warning in host.records[0].warnings)


async def test_the_watchdog_names_the_plugin_whose_observer_blocks(caplog: pytest.LogCaptureFixture) -> None:
    slow = Plugin()

    @slow.observer
    def block(event: Event) -> None:
        if isinstance(event, RequestEnded) and event.method == "tools/call":
            until = time.monotonic() + 30
            while "has blocked the event loop" not in caplog.text and time.monotonic() < until:
                time.sleep(0.01)

    options = {"host": {"block_warning": 0.05}}
    async with connect({"slow": slow, "shop": make_plugin()}, options=options) as client:
        await client.call_tool("end", {"how": "well"})
    assert "observer of plugin slow has blocked the event loop" in caplog.text


async def test_what_an_observer_starts_is_its_plugins_and_ends_with_it() -> None:
    starting = Plugin()
    started: list[asyncio.Task[None]] = []

    @starting.observer
    def start(event: Event) -> None:
        if not started:
            started.append(asyncio.get_running_loop().create_task(anyio.sleep_forever()))

    host = make_host({"starting": starting})
    async with host.running():
        pass
    assert started[0].cancelled()
    assert len(host.plugins[0].left_tasks) == 1


@pytest.mark.parametrize("form", ["coroutine", "generator", "object"])
async def test_an_observer_that_is_async_fails_its_plugin_when_it_loads(form: str) -> None:
    async def coroutine(event: Event) -> None: ...

    def generator(event: Event) -> Any:
        yield

    class Object:
        async def __call__(self, event: Event) -> None: ...

    class Hooks:
        @hookimpl
        def mcp_observers(self) -> list[Any]:
            return [{"coroutine": coroutine, "generator": generator, "object": Object()}[form]]

    (record,) = make_host(Hooks()).records
    assert record.problem is not None
    assert "mcp_observers returned" in record.problem.what


async def test_an_observer_may_be_an_object() -> None:
    class Counter:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self) -> None:
            self.count = 0

        def __call__(self, event: Event) -> None:
            self.count += 1

    counter = Counter()

    class Hooks:
        @hookimpl
        def mcp_observers(self) -> list[Observer]:
            return [counter]

    host = make_host(Hooks())
    assert host.records[0].contributed.observers == ("Counter",)
    async with host.running(), Client(HostServer(host)) as client:
        await client.list_tools()
    assert counter.count >= 2
