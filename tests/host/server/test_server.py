"""What the server sends to clients besides responses: capabilities, logs, progress, questions, changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourceUpdated, ServerEvent
from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel

from mcp_host import Context, Plugin, PluginContext
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host

pytestmark = [
    pytest.mark.anyio,
    # The handshake versions' methods are deprecated in the client, but they are still served.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


def text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


def make_plugin() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    async def touch(uri: str, ctx: Context) -> str:
        await ctx.notify_resource_updated(uri)
        await ctx.notify_tools_changed()
        await ctx.notify_prompts_changed()
        await ctx.notify_resources_changed()
        return "touched"

    @plugin.tool
    async def talk(ctx: Context) -> str:
        await ctx.debug("d")
        await ctx.info({"i": 1})
        await ctx.warning("w")
        await ctx.error("e", logger_name="other")
        return "talked"

    @plugin.tool
    async def work(ctx: Context) -> str:
        for step in range(3):
            await ctx.report_progress(step + 1, 3, f"step {step}")
        return "worked"

    @plugin.resource("data://a")
    def a() -> str:
        return "A"

    @plugin.resource("data://t/{name}")
    def t(name: str) -> str:
        return name

    return plugin


# Capabilities


@each_era
async def test_capabilities_list_only_what_is_served(mode: str) -> None:
    async with connect(make_plugin(), mode=mode) as client:
        capabilities = client.server_capabilities
        assert capabilities.prompts is None
        assert capabilities.completions is None
        assert capabilities.tools is not None
        assert capabilities.tools.list_changed
        assert capabilities.resources is not None
        assert capabilities.resources.subscribe
        assert capabilities.resources.list_changed
        assert capabilities.logging is not None
    plugin = make_plugin()
    plugin.prompt(name="p")(lambda x="": x)
    plugin.completion("p", "x")(lambda value: [value])
    async with connect(plugin, mode=mode) as client:
        assert client.server_capabilities.prompts is not None
        assert client.server_capabilities.completions is not None


@pytest.mark.parametrize(("mode", "notifies"), [("auto", True), ("legacy", False)])
async def test_a_stateless_server_promises_handshake_clients_no_notifications(mode: str, notifies: bool) -> None:
    options = {"transport": {"kind": "http", "stateless": True}}
    async with connect(make_plugin(), mode=mode, options=options) as client:
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed is notifies
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe is notifies


@each_era
async def test_the_server_sends_its_name_and_version(mode: str) -> None:
    options = {"host": {"name": "n", "title": "T", "version": "9", "instructions": "Do."}}
    async with connect(make_plugin(), mode=mode, options=options) as client:
        info = client.server_info
        assert info is not None
        assert (info.name, info.title, info.version) == ("n", "T", "9")
        assert client.instructions == "Do."


@each_era
async def test_a_failed_plugin_is_in_the_instructions_and_the_plugins_resource(mode: str) -> None:
    host = make_host(
        {"good": make_plugin(), "bad": object()},
        options={"host": {"instructions": "Do."}, "plugins": {"bad": {}}},
    )
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        assert client.instructions is not None
        first, _, notice = client.instructions.partition("\n\n")
        assert first == "Do."
        error_id = host.records[1].error_id
        failed = f"Not available, because it failed to start: bad (failed after imported, error {error_id})."
        assert notice.startswith(failed)
        assert "mcp-host://plugins" in notice
        contents = (await client.read_resource("mcp-host://plugins")).contents[0]
        assert isinstance(contents, TextResourceContents)
        good, bad = json.loads(contents.text)["plugins"]
        assert (good["name"], good["stage"], good["problem"]) == ("good", "serving", None)
        assert good["contributed"]["tools"] == ["touch", "talk", "work"]
        assert (bad["name"], bad["stage"]) == ("bad", "imported")
        assert "implements no hook" not in contents.text
        assert bad["error_id"] == error_id
        assert bad["problem"] == {
            "what": f"it failed after imported (error {error_id}; the server's log has the details)",
            "where": "plugins.bad",
            "hint": "mcp-host check   (shows why, where the server runs)",
            "code": "other",
        }


# Logging and progress


@pytest.mark.parametrize(
    ("level", "expected"),
    [("warning", ["warning", "error"]), ("debug", ["debug", "info", "warning", "error"]), (None, [])],
)
async def test_log_messages_of_2026_go_to_requests_that_requested_them(level: Any, expected: list[str]) -> None:
    seen: list[Any] = []

    async def log(params: Any) -> None:
        seen.append(params)

    async with connect(make_plugin(), mode="auto", log_level=level, logging_callback=log) as client:
        assert text(await client.call_tool("talk", {})) == "talked"
    assert [params.level for params in seen] == expected


async def test_handshake_clients_set_the_level_of_log_messages_with_set_level() -> None:
    seen: list[Any] = []

    async def log(params: Any) -> None:
        seen.append((params.level, params.data, params.logger))

    async with connect(make_plugin(), mode="legacy", logging_callback=log) as client:
        await client.call_tool("talk", {})
        assert seen == [
            ("debug", "d", "plugin"),
            ("info", {"i": 1}, "plugin"),
            ("warning", "w", "plugin"),
            ("error", "e", "other"),
        ]
        seen.clear()
        await client.set_logging_level("error")
        await client.call_tool("talk", {})
        assert seen == [("error", "e", "other")]


async def test_set_level_is_not_a_method_of_2026() -> None:
    async with connect(make_plugin(), mode="auto") as client:
        with pytest.raises(MCPError) as caught:
            await client.set_logging_level("error")
        assert caught.value.error.code == METHOD_NOT_FOUND


@each_era
async def test_progress_reaches_the_caller(mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []
    done = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        if progress == total:
            done.set()

    async with connect(make_plugin(), mode=mode) as client:
        assert text(await client.call_tool("work", {}, progress_callback=on_progress)) == "worked"
        with anyio.fail_after(5):
            await done.wait()
    assert seen == [(1, 3, "step 0"), (2, 3, "step 1"), (3, 3, "step 2")]


# Changes


async def test_clients_of_2026_are_notified_of_changes_they_listen_for() -> None:
    async with (
        connect(make_plugin(), mode="auto") as client,
        client.listen(
            tools_list_changed=True,
            prompts_list_changed=True,
            resources_list_changed=True,
            resource_subscriptions=["data://a"],
        ) as subscription,
    ):
        await client.call_tool("touch", {"uri": "data://t/x"})
        await client.call_tool("touch", {"uri": "data://a"})
        seen: list[ServerEvent] = []
        with anyio.fail_after(5):
            # The client drops an event that equals an unread one, so four are left.
            async for event in subscription:
                seen.append(event)
                if len(seen) == 4:
                    break
    assert {type(event).__name__ for event in seen} == {
        "ToolsListChanged",
        "PromptsListChanged",
        "ResourcesListChanged",
        "ResourceUpdated",
    }


async def test_handshake_clients_are_notified_of_lists_and_of_subscribed_resources() -> None:
    received: list[str] = []
    enough = anyio.Event()

    async def handle(message: Any) -> None:
        received.append(message.method + (f" {message.params.uri}" if message.method.endswith("updated") else ""))
        if len(received) == 10:
            enough.set()

    async with connect(make_plugin(), mode="legacy", message_handler=handle) as client:
        await client.subscribe_resource("data://a")
        await client.subscribe_resource("data://t/x")
        await client.call_tool("touch", {"uri": "data://t/y"})
        await client.call_tool("touch", {"uri": "data://a"})
        with pytest.raises(MCPError) as caught:
            await client.subscribe_resource("data://nowhere")
        assert caught.value.error.code == INVALID_PARAMS
        await client.unsubscribe_resource("data://a")
        await client.call_tool("touch", {"uri": "data://a"})
        with anyio.fail_after(5):
            await enough.wait()
    lists = [f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")]
    assert sorted(received) == sorted([*lists * 3, "notifications/resources/updated data://a"])


@each_era
async def test_a_plugin_announces_its_changed_resource_outside_of_any_request(mode: Any) -> None:
    asked = anyio.Event()

    @asynccontextmanager
    async def lifespan(plugin: PluginContext) -> AsyncIterator[None]:
        async def announce() -> None:
            await asked.wait()
            await plugin.notify_resource_updated("other://b")
            await plugin.notify_resource_updated("own://missing")
            await plugin.notify_resource_updated("own://t/1")

        async with anyio.create_task_group() as group:
            group.start_soon(announce)
            yield

    own, other = Plugin(lifespan=lifespan), Plugin()
    own.resource("own://t/{number}")(lambda number: number)
    other.resource("other://b")(lambda: "b")
    heard: list[str] = []
    update = anyio.Event()

    async def handle(message: Any) -> None:
        if message.method == "notifications/resources/updated":
            heard.append(str(message.params.uri))
            update.set()

    uris = ["other://b", "own://t/1"]
    async with connect({"own": own, "other": other}, mode=mode, message_handler=handle) as client:
        with anyio.fail_after(5):
            if mode == "legacy":
                for uri in uris:
                    await client.subscribe_resource(uri)
                asked.set()
                await update.wait()
            else:
                async with client.listen(resource_subscriptions=uris) as subscription:
                    asked.set()
                    async for event in subscription:
                        assert isinstance(event, ResourceUpdated)
                        heard.append(event.uri)
                        break
    assert set(heard) == {"own://t/1"}


async def test_an_ended_session_is_removed() -> None:
    host = make_host(make_plugin())
    server = HostServer(host)
    async with host.running():
        async with Client(server, mode="legacy") as client:
            await client.list_tools()
            assert server.bus.session_count == 1
        assert server.bus.session_count == 0


# Questions to the client


class Answer(BaseModel):
    colour: str


async def _ask_colour() -> Elicit[Answer]:
    return Elicit("Which colour?", Answer)


def asking_plugin() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    async def ask(ctx: Context) -> str:
        result = await ctx.elicit("Which colour?", Answer)
        return result.data.colour if isinstance(result, AcceptedElicitation) else result.action

    @plugin.tool
    async def ask_url(ctx: Context) -> str:
        return (await ctx.elicit_url("Sign in", "https://example.com/", "id1")).action

    @plugin.tool
    async def resolve(answer: Annotated[Answer, Resolve(_ask_colour)]) -> str:
        return answer.colour

    @plugin.tool
    async def sample(ctx: Context) -> str:
        message = SamplingMessage(role="user", content=TextContent(type="text", text="2+2?"))
        result = await ctx.session.create_message([message], max_tokens=10)
        assert isinstance(result.content, TextContent)
        return result.content.text

    return plugin


async def accept(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "blue"} if params.mode == "form" else None)


async def test_a_handshake_client_is_asked_during_a_call() -> None:
    async with connect(asking_plugin(), mode="legacy", elicitation_callback=accept) as client:
        assert text(await client.call_tool("ask", {})) == "blue"
        assert text(await client.call_tool("ask_url", {})) == "accept"


@each_era
async def test_asking_a_client_that_cannot_answer_is_a_clear_error(mode: str) -> None:
    async with connect(asking_plugin(), mode=mode) as client:
        with anyio.fail_after(5):
            for tool in ("ask", "ask_url"):
                result = await client.call_tool(tool, {})
                assert result.is_error
                assert "did not declare the elicitation capability" in text(result)


async def test_the_error_for_asking_during_a_call_in_2026_names_the_alternative() -> None:
    async with connect(asking_plugin(), mode="auto", elicitation_callback=accept) as client:
        for tool in ("ask", "ask_url"):
            result = await client.call_tool(tool, {})
            assert result.is_error
            assert "Resolve(...)" in text(result)


@each_era
async def test_a_resolved_parameter_asks_in_every_era(mode: str) -> None:
    async with connect(asking_plugin(), mode=mode, elicitation_callback=accept) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "resolve"]
        assert not tool.input_schema.get("properties")
        assert text(await client.call_tool("resolve", {})) == "blue"


async def test_a_handshake_client_can_be_sampled() -> None:
    async def sampling(context: Any, params: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="4"), model="m")

    async with connect(asking_plugin(), mode="legacy", sampling_callback=sampling) as client:
        assert text(await client.call_tool("sample", {})) == "4"


# The object itself


async def test_the_server_can_be_called_without_a_client() -> None:
    host = make_host(make_plugin())
    server = HostServer(host)
    assert isinstance(server, MCPServer)
    async with host.running():
        assert [tool.name for tool in await server.list_tools()] == ["touch", "talk", "work"]
        contents = await server.read_resource("data://a")
        assert not isinstance(contents, InputRequiredResult)
        assert [item.content for item in contents] == ["A"]


async def test_making_a_server_does_not_change_the_root_logger() -> None:
    import logging

    before = list(logging.getLogger().handlers)
    HostServer(make_host(make_plugin()))
    assert logging.getLogger().handlers == before


def make_asking_plugin() -> Plugin:
    plugin = Plugin()
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    question = ElicitRequest(params=ElicitRequestFormParams(message="Your name?", requested_schema=schema))

    def ask(ctx: Context) -> str | InputRequiredResult:
        answer = (ctx.input_responses or {}).get("name")
        if isinstance(answer, ElicitResult) and answer.content:
            return f"Hello, {answer.content['name']}!"
        return InputRequiredResult(input_requests={"name": question})

    plugin.tool(name="ask", structured_output=False)(ask)
    plugin.prompt(name="ask")(ask)

    @plugin.resource("ask://{one}")
    def ask_about(one: str, ctx: Context) -> str | InputRequiredResult:
        return ask(ctx)

    return plugin


async def say_ann(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Ann"})


async def test_a_question_returned_by_a_plugin_is_asked_and_answered() -> None:
    async with connect(make_asking_plugin(), elicitation_callback=say_ann) as client:
        assert text(await client.call_tool("ask", {})) == "Hello, Ann!"
        (message,) = (await client.get_prompt("ask")).messages
        assert isinstance(message.content, TextContent)
        assert message.content.text == "Hello, Ann!"
        (contents,) = (await client.read_resource("ask://1")).contents
        assert isinstance(contents, TextResourceContents)
        assert contents.text == "Hello, Ann!"


async def test_the_error_for_an_older_client_names_the_supported_questions() -> None:
    message = "works in every protocol version"
    async with connect(make_asking_plugin(), mode="legacy", elicitation_callback=say_ann) as client:
        result = await client.call_tool("ask", {})
        assert result.is_error
        assert message in text(result)
        with pytest.raises(MCPError, match=message):
            await client.get_prompt("ask")
        with pytest.raises(MCPError, match=message):
            await client.read_resource("ask://1")
