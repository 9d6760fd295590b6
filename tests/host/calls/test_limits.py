"""The limits of one plugin, as clients of that plugin and of other plugins see them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, CompletionArgument, PromptReference, TextContent, TextResourceContents

from mcp_host import Context, Plugin, ToolError
from mcp_host.calls.dispatch import check_arguments
from mcp_host.containment.runner import Work, run_apart
from mcp_host.errors import BadArgumentsError
from mcp_host.plugins.breaker import CircuitBreaker
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.talking import failure_of, text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Gate:
    """Sync and async tools that wait until they are released, and the number of waiting calls."""

    def __init__(self) -> None:
        self.plugin = Plugin()
        self.inside = 0
        self.entered = asyncio.Condition()
        self.leave = threading.Event()
        self.leave_async = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.plugin.tool(self.hold)
        self.plugin.tool(self.hold_thread)
        self.plugin.tool("free", structured_output=False)(lambda: "free")

    async def hold(self) -> str:
        await self._enter()
        await self.leave_async.wait()
        return "held"

    def hold_thread(self) -> str:
        asyncio.run_coroutine_threadsafe(self._enter(), self._loop)
        self.leave.wait()
        return "held"

    async def _enter(self) -> None:
        async with self.entered:
            self.inside += 1
            self.entered.notify_all()

    async def wait_for(self, inside: int) -> None:
        with anyio.fail_after(30):
            async with self.entered:
                await self.entered.wait_for(lambda: self.inside >= inside)

    def open(self) -> None:
        self.leave.set()
        self.leave_async.set()


@asynccontextmanager
async def serving(host: Host, mode: str = "auto") -> AsyncIterator[Client]:
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        yield client


@pytest.fixture
def neighbour() -> Plugin:
    plugin = Plugin()
    plugin.tool("neighbour", structured_output=False)(lambda: "here")
    plugin.tool(structured_output=False)(alive)
    return plugin


async def alive() -> str:
    return "alive"


# Places


@each_era
@pytest.mark.parametrize("tool", ["hold", "hold_thread"])
async def test_a_plugin_whose_45_calls_hang_does_not_delay_another(mode: str, tool: str, neighbour: Plugin) -> None:
    gate = Gate()
    options = {"host": {"limits": {"threads": 45}}}
    async with (
        connect({"a": gate.plugin, "b": neighbour}, mode=mode, options=options) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(45):
            group.start_soon(client.call_tool, tool, {})
        await gate.wait_for(45)
        for name, said in (("neighbour", "here"), ("alive", "alive")):
            assert text_of(await client.call_tool(name, {})) == said
        gate.open()


@each_era
async def test_calls_beyond_the_places_wait_and_calls_beyond_the_queue_get_the_error_busy(mode: str) -> None:
    gate = Gate()
    host = make_host(gate.plugin, options={"plugins": {"plugin": {"limits": {"calls": 2, "queue": 1}}}})
    results: list[str] = []
    async with serving(host, mode) as client, anyio.create_task_group() as group:

        async def call() -> None:
            results.append(text_of(await client.call_tool("hold", {})))

        group.start_soon(call)
        group.start_soon(call)
        await gate.wait_for(2)
        group.start_soon(call)
        with anyio.fail_after(30):
            while not host.plugins[0].bulkhead.health.waiting:
                await anyio.lowlevel.checkpoint()
        assert failure_of(await client.call_tool("free", {})) == (
            "plugin plugin is busy: 2 calls are running and 1 are waiting. Try again later"
        )
        health = host.records[0].health
        assert health is not None
        assert (health.calls, health.waiting) == (2, 1)
        gate.open()
    assert results == ["held"] * 3


async def test_a_call_that_waits_for_a_place_gets_the_error_busy_at_its_deadline() -> None:
    gate = Gate()
    options = {"plugins": {"plugin": {"limits": {"calls": 1}, "tools": {"timeouts": {"free": "50ms"}}}}}
    async with connect(gate.plugin, options=options) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "hold", {})
        await gate.wait_for(1)
        assert failure_of(await client.call_tool("free", {})) == (
            "plugin plugin is busy: none of its 1 running calls ended in time. Try again later"
        )
        gate.open()


async def test_a_call_within_a_call_of_the_same_plugin_shares_its_place() -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def outer(ctx: Context) -> str:
        (inner,) = await ctx.read_resource("own://inner")
        return str(inner.content)

    plugin.resource("own://inner")(lambda: "inner")
    options = {"host": {"limits": {"calls": 1, "queue": 0}}}
    async with connect(plugin, options=options) as client:
        assert text_of(await client.call_tool("outer", {})) == "inner"


async def test_a_thread_that_outlives_its_call_is_counted_until_it_ends() -> None:
    gate = Gate()
    host = make_host(gate.plugin, options={"plugins": {"plugin": {"timeout": "50ms", "limits": {"threads": 1}}}})

    def abandoned() -> int:
        health = host.records[0].health
        return health.abandoned if health else -1

    async with serving(host) as client:
        assert "did not finish within 0.05 s" in failure_of(await client.call_tool("hold_thread", {}))
        assert abandoned() == 1
        assert failure_of(await client.call_tool("free", {})).startswith("plugin plugin is stuck: all of its 1 threads")
        gate.open()
        with anyio.fail_after(30):
            while abandoned():
                await anyio.lowlevel.checkpoint()
        assert text_of(await client.call_tool("free", {})) == "free"


async def test_a_coroutine_that_ignores_its_cancellation_is_abandoned_and_its_caller_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mcp_host.containment.runner.STOP_GRACE", 0.05)
    plugin = Plugin()
    leave = asyncio.Event()

    @plugin.tool
    async def stubborn() -> str:
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    host = make_host(plugin, options={"host": {"call_timeout": "50ms"}})
    async with serving(host) as client:
        assert "did not finish within 0.05 s" in failure_of(await client.call_tool("stubborn", {}))
        health = host.records[0].health
        assert health is not None
        assert (health.calls, health.abandoned) == (0, 1)
        leave.set()
        with anyio.fail_after(30):
            while (health := host.records[0].health) and health.abandoned:
                await anyio.lowlevel.checkpoint()
    assert "tool stubborn of plugin plugin still runs although it was cancelled; it is abandoned" in caplog.text


# Deadlines


@pytest.mark.parametrize("extends", [True, False])
async def test_progress_extends_the_deadline_only_if_configured(extends: bool) -> None:
    plugin = Plugin()
    reported: list[float] = []

    @plugin.tool(structured_output=False)
    async def steps(ctx: Context) -> str:
        loop = asyncio.get_running_loop()
        started = loop.time()
        while loop.time() - started < 1.5:
            reported.append(loop.time())
            await ctx.report_progress(len(reported))
            await asyncio.sleep(0.01)  # the work
        return "done"

    options = {"host": {"call_timeout": 1, "limits": {"progress_extends": extends}}}
    async with connect(plugin, options=options) as client:
        result = await client.call_tool("steps", {})
    if extends:
        assert text_of(result) == "done"
    else:
        assert "did not finish within 1 s" in failure_of(result)


# The circuit breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@each_era
async def test_a_plugin_that_keeps_failing_is_paused_and_tried_again(mode: str, neighbour: Plugin) -> None:
    plugin, broken = Plugin(), [True]

    @plugin.tool(structured_output=False)
    async def shaky() -> str:
        if broken[0]:
            raise OSError("no")
        return "well"

    host = make_host({"a": plugin, "b": neighbour})
    clock = Clock()
    host.plugins[0].bulkhead.breaker = CircuitBreaker(3, 30, clock)
    async with serving(host, mode) as client:
        for _ in range(3):
            assert "failed unexpectedly" in failure_of(await client.call_tool("shaky", {}))
        clock.now = 10
        assert failure_of(await client.call_tool("shaky", {})) == (
            "plugin a is paused after 3 failures in a row; it is tried again in 20 s. Last: tool shaky raised OSError"
        )
        health = host.records[0].health
        assert health is not None
        assert (health.circuit.state, health.circuit.retry_in) == ("open", 20.0)
        assert text_of(await client.call_tool("alive", {})) == "alive"
        clock.now, broken[0] = 30, False
        assert text_of(await client.call_tool("shaky", {})) == "well"
        health = host.records[0].health
        assert health is not None
        assert health.circuit.state == "closed"


CANARY = "canary-of-one-caller"


def failing_items() -> Plugin:
    plugin = Plugin()

    @plugin.resource("notes://{owner}")
    async def crashing(owner: str) -> str:
        raise OSError(owner)

    @plugin.resource("slow://{owner}", timeout=0.01)
    async def hanging(owner: str) -> str:
        await asyncio.Event().wait()
        return owner

    @plugin.tool
    async def broken(owner: str) -> str:
        raise OSError(owner)

    @plugin.prompt
    async def greeting(owner: str) -> str:
        raise OSError(owner)

    @plugin.completion("greeting", "owner")
    async def owners(value: str) -> list[str]:
        raise OSError(value)

    return plugin


def failing_server() -> MCPServer:
    server = MCPServer("adopted")

    @server.prompt()
    def greeting(owner: str) -> str:
        return owner

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(ref: Any, argument: CompletionArgument, context: Any) -> Any:
        await asyncio.Event().wait()

    return server


async def complete_greeting(client: Client, argument: str, value: str) -> Any:
    return await client.complete(
        PromptReference(type="ref/prompt", name="greeting"), {"name": argument, "value": value}
    )


@each_era
@pytest.mark.parametrize(
    ("make", "ask", "shown"),
    [
        (
            failing_items,
            lambda client: client.read_resource(f"notes://{CANARY}"),
            "resource notes://{owner} raised OSError",
        ),
        (
            failing_items,
            lambda client: client.read_resource(f"slow://{CANARY}"),
            "resource slow://{owner} did not finish within 0.01 s",
        ),
        (failing_items, lambda client: client.call_tool("broken", {"owner": CANARY}), "tool broken raised OSError"),
        (
            failing_items,
            lambda client: client.get_prompt("greeting", {"owner": CANARY}),
            "prompt greeting raised OSError",
        ),
        (
            failing_items,
            lambda client: complete_greeting(client, "owner", CANARY),
            "a completion for greeting raised OSError",
        ),
        (
            failing_server,
            lambda client: complete_greeting(client, CANARY, CANARY),
            "a completion for greeting did not finish within 0.05 s",
        ),
    ],
)
async def test_no_client_sees_what_another_one_asked_for_when_it_failed(
    mode: str,
    make: Callable[[], object],
    ask: Callable[[Client], Awaitable[Any]],
    shown: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    timeout = "50ms" if make is failing_server else "60s"
    host = make_host({"bad": make()}, options={"host": {"limits": {"failures": 1}, "call_timeout": timeout}})
    async with serving(host, mode) as client, serving(host, mode) as other:
        with suppress(MCPError):
            await ask(client)
        contents = (await other.read_resource("mcp-host://plugins")).contents[0]
        assert isinstance(contents, TextResourceContents)
        assert shown in contents.text
        with pytest.raises(MCPError) as refused:
            await other.get_prompt("greeting", {"owner": "x"})
        assert f"Last: {shown}" in str(refused.value)
    assert CANARY not in f"{contents.text} {refused.value}"
    assert CANARY in caplog.text  # the operator finds the call in the log


async def test_errors_for_the_caller_do_not_pause_the_plugin() -> None:
    plugin = Plugin()

    @plugin.tool
    async def picky(value: int) -> str:
        raise ToolError("not this one")

    async with connect(plugin, options={"host": {"limits": {"failures": 1}}}) as client:
        for arguments in ({"value": 1}, {"value": "x"}, {"value": 1}):
            assert "paused" not in failure_of(await client.call_tool("picky", arguments))


async def test_a_middleware_that_crashes_does_not_count_against_the_wrapped_plugin(
    caplog: pytest.LogCaptureFixture, neighbour: Plugin
) -> None:
    plugin = Plugin()

    @plugin.middleware
    async def broken(call: Any, call_next: Any) -> Any:
        await call_next(call)
        raise OSError("no")

    options = {"host": {"limits": {"failures": 1}}, "plugins": {"m": {"middleware": "all"}}}
    async with connect({"m": plugin, "b": neighbour}, options=options) as client:
        for _ in range(3):
            assert "Tool alive failed unexpectedly" in failure_of(await client.call_tool("alive", {}))
    assert "tool alive of plugin m crashed" in caplog.text


# Sizes


def make_large() -> Plugin:
    plugin = Plugin()
    plugin.tool(structured_output=False)(large)
    plugin.tool("large_structured_text")(large)

    @plugin.tool
    def rows(count: int) -> list[int]:
        return list(range(1_000_000, 1_000_000 + count))

    @plugin.tool(structured_output=False)
    def blocks(size: int) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="a" * size) for _ in range(3)])

    @plugin.tool(structured_output=False)
    def endless() -> Any:
        def numbers() -> Iterator[int]:
            while True:
                yield 1

        return numbers()

    @plugin.tool
    def infinite() -> dict[str, float]:
        return {"mean": float("nan")}

    plugin.resource("large://text/{size}", mime_type="text/markdown")(large)
    plugin.resource("large://json/{size}", mime_type="application/json")(large)
    plugin.prompt(name="large_prompt")(large)
    return plugin


def large(size: int) -> str:
    return "é" * (size // 2)


@each_era
async def test_results_over_the_cap_are_cut_if_text_and_refused_if_not(mode: str) -> None:
    refused = "larger than the 1000 bytes that plugin plugin may return. Ask for less of it"
    note = "\n[Cut here: 1000 of 5000 bytes are shown, the most that plugin plugin may return.]"
    async with connect(make_large(), mode=mode, options={"host": {"limits": {"result_size": 1000}}}) as client:
        for tool in ("large", "large_structured_text"):
            assert text_of(await client.call_tool(tool, {"size": 1000})) == "é" * 500
            assert text_of(await client.call_tool(tool, {"size": 5000})) == "é" * 500 + note
        assert not (await client.call_tool("rows", {"count": 50})).is_error
        assert failure_of(await client.call_tool("rows", {"count": 500})) == f"The result of tool rows is {refused}"
        assert refused in failure_of(await client.call_tool("endless", {}))
        cut = await client.call_tool("blocks", {"size": 600})
        assert [len(block.text.partition("\n")[0]) for block in cut.content if isinstance(block, TextContent)] == [
            600,
            400,
        ]
        (content,) = (await client.read_resource("large://text/5000")).contents
        assert isinstance(content, TextResourceContents)
        assert content.text == "é" * 500 + note
        with pytest.raises(MCPError, match=refused):
            await client.read_resource("large://json/5000")
        with pytest.raises(MCPError, match=refused):
            await client.get_prompt("large_prompt", {"size": "5000"})


@each_era
async def test_numbers_that_json_does_not_have_are_refused(mode: str) -> None:
    async with connect(make_large(), mode=mode) as client:
        assert failure_of(await client.call_tool("infinite", {})) == (
            "The result of tool infinite has a NaN or an infinity, which JSON cannot express"
        )


@each_era
async def test_arguments_over_the_caps_are_refused(mode: str) -> None:
    plugin = Plugin()

    @plugin.tool
    def take(value: Any) -> str:
        return "taken"

    nested: Any = 1
    for _ in range(9):
        nested = [nested]
    options = {"host": {"limits": {"argument_size": 1000, "argument_depth": 10}}}
    async with connect(plugin, mode=mode, options=options) as client:
        assert text_of(await client.call_tool("take", {"value": nested})) == "taken"
        assert failure_of(await client.call_tool("take", {"value": [[nested]]})) == (
            "The arguments of tool take are nested deeper than 10 levels"
        )
        assert failure_of(await client.call_tool("take", {"value": "x" * 1000})) == (
            "The arguments of tool take are larger than 1000 bytes"
        )


@each_era
async def test_the_values_that_a_completion_is_for_have_the_cap_of_arguments(mode: str) -> None:
    plugin = Plugin()

    @plugin.prompt
    def review(code: str, style: str) -> str:
        return code

    @plugin.completion("review", "code")
    def codes(value: str) -> list[str]:
        return ["x"]

    options = {"host": {"limits": {"argument_size": 1000}}}
    reference = PromptReference(name="review")
    async with connect(plugin, mode=mode, options=options) as client:
        for value, style in (("x" * 1000, ""), ("", "x" * 1000)):
            with pytest.raises(MCPError, match="completion of code for review are larger than 1000 bytes"):
                await client.complete(reference, {"name": "code", "value": value}, {"style": style})
        answer = await client.complete(reference, {"name": "code", "value": "x"}, {"style": "x"})
        assert answer.completion.values == ["x"]


def test_numbers_that_do_not_fit_into_a_double_are_refused() -> None:
    (plugin,) = make_host(Plugin()).plugins
    check_arguments({"value": [1e308]}, "tool take", plugin)
    # As the parser reads 1e999. An answer that repeats it would be no JSON.
    with pytest.raises(BadArgumentsError, match="tool take have a number that is too large, NaN or an infinity"):
        check_arguments({"value": [float("inf")]}, "tool take", plugin)


async def test_a_call_that_is_cancelled_before_it_began_raises() -> None:
    began = False

    async def call() -> None:
        nonlocal began
        began = True

    work = Work(make_host(Plugin()).plugins[0], "call")
    doing = call()
    caller = asyncio.create_task(run_apart(doing, work))
    await asyncio.sleep(0)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == str(work))
    task.cancel()
    outcome = await caller
    assert isinstance(outcome.error, asyncio.CancelledError)
    assert not began
    doing.close()


# The configuration


async def test_a_plugins_own_limits_win_over_the_hosts_one_by_one() -> None:
    options = {"host": {"limits": {"calls": 3, "queue": 4}}, "plugins": {"plugin": {"limits": {"queue": 5}}}}
    host = make_host(Plugin(), options=options)
    limits = host.plugins[0].limits
    assert (limits.calls, limits.queue, limits.threads) == (3, 5, 40)
