"""An existing MCPServer object as a plugin, with no change to its code."""

from __future__ import annotations

import base64
import sys
import types as pytypes
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.prompts.base import AssistantMessage, Message, UserMessage
from mcp.server.mcpserver.resources import FileResource, TextResource
from mcp.types import (
    Completion,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    ToolAnnotations,
    ToolListChangedNotification,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mcp_host.config import parse_config
from mcp_host.server.adopt import adopt
from mcp_host.server.growing import _places
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.talking import text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


@dataclass
class App:
    database: str


def make_server(tmp_path: Path) -> tuple[MCPServer[App], list[str]]:
    """A server as its author wrote it for a life of its own."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(server: MCPServer[App]) -> AsyncIterator[App]:
        events.append(f"start {server.name}")
        yield App(database="conn")
        events.append("stop")

    mcp = MCPServer("alone", lifespan=lifespan)

    @mcp.tool(title="Add", annotations=ToolAnnotations(read_only_hint=True), meta={"a": 1})
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    @mcp.tool()
    async def state(ctx: Context[App]) -> str:
        config = next(iter(await ctx.read_resource("config://app"))).content
        return f"{ctx.request_context.lifespan_context.database} {config!s}"

    @mcp.tool()
    def picture() -> Image:
        return Image(data=b"..", format="png")

    @mcp.tool()
    def gather(*args: Any, **kwargs: Any) -> str:
        return "odd, but the SDK takes it"

    @mcp.resource("config://app", mime_type="application/json")
    def config() -> dict[str, int]:
        return {"a": 1}

    @mcp.resource("greeting://{name}{?loud}")
    async def greeting(name: str, ctx: Context, loud: bool = False) -> str:
        """Greet."""
        assert ctx.request_id
        return f"Hello {name}" + "!" * loud

    (tmp_path / "notes.txt").write_text("noted", encoding="utf-8")
    mcp.add_resource(TextResource(uri="text://fixed", text="fixed"))
    mcp.add_resource(FileResource(uri="file:///notes", path=tmp_path / "notes.txt"))

    @mcp.prompt(title="Debug")
    def debug(error: str, ctx: Context) -> list[Message]:
        """Debug an error."""
        return [UserMessage("I see"), AssistantMessage(error)]

    @mcp.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
        if isinstance(ref, PromptReference) and ref.name == "debug":
            return Completion(values=[f"{argument.value}1"])
        return None

    @mcp.custom_route("/health", methods=["GET"])  # type: ignore[untyped-decorator]
    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    return mcp, events


@each_era
async def test_an_mcpserver_serves_all_it_has_through_the_host(mode: str, tmp_path: Path) -> None:
    server, events = make_server(tmp_path)
    options = {"plugins": {"plugin": {"prefix": "x_"}}}
    async with connect(server, mode=mode, options=options) as client:
        assert events == ["start alone"]
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["x_add", "x_state", "x_picture", "x_gather"]
        original = {tool.name: tool for tool in await server.list_tools()}
        assert tools["x_add"].input_schema == original["add"].input_schema
        assert tools["x_add"].output_schema == original["add"].output_schema
        assert tools["x_add"].title == "Add"
        assert tools["x_add"].annotations == original["add"].annotations
        assert tools["x_add"].meta is not None
        assert tools["x_add"].meta["a"] == 1
        assert tools["x_add"].meta["mcp-host/plugin"]["name"] == "plugin"

        assert (await client.call_tool("x_add", {"a": 1})).structured_content == {"result": 3}
        block = (await client.call_tool("x_state", {})).content[0]
        assert isinstance(block, TextContent)
        assert block.text == 'conn {\n  "a": 1\n}'
        assert (await client.call_tool("x_picture", {})).content[0].type == "image"

        resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert resources == {"mcp-host://plugins", "config://app", "text://fixed", "file:///notes"}
        for uri, expected in (
            ("config://app", '{\n  "a": 1\n}'),
            ("text://fixed", "fixed"),
            ("file:///notes", "noted"),
            ("greeting://bob", "Hello bob"),
            ("greeting://bob?loud=true", "Hello bob!"),
        ):
            assert (await client.read_resource(uri)).contents[0].model_dump()["text"] == expected

        (prompt,) = (await client.list_prompts()).prompts
        assert (prompt.name, prompt.title, prompt.description) == ("x_debug", "Debug", "Debug an error.")
        assert [argument.name for argument in prompt.arguments or ()] == ["error"]
        messages = (await client.get_prompt("x_debug", {"error": "E"})).messages
        assert [message.role for message in messages] == ["user", "assistant"]

        argument = {"name": "error", "value": "E"}
        ref = PromptReference(type="ref/prompt", name="x_debug")
        assert (await client.complete(ref, argument)).completion.values == ["E1"]
        template = ResourceTemplateReference(type="ref/resource", uri="greeting://{name}{?loud}")
        assert (await client.complete(template, {"name": "name", "value": ""})).completion.values == []
    assert events == ["start alone", "stop"]


async def test_an_adopted_lifespan_starts_anew_each_time_the_host_runs(tmp_path: Path) -> None:
    server, events = make_server(tmp_path)
    host = make_host(server)
    for _ in range(2):
        async with host.running(), host.running():
            assert host.records[0].stage == "serving"
    assert events == ["start alone", "stop"] * 2


async def test_what_is_not_taken_over_is_said() -> None:
    async def middleware(ctx: Any, call_next: Any) -> Any:
        return await call_next(ctx)

    host = make_host(MCPServer("m", middleware=[middleware]))
    (warning,) = host.records[0].warnings
    assert warning.what == "the middleware of the adopted server are not taken over"


@each_era
async def test_a_published_mcpserver_is_served_by_naming_its_object(mode: str) -> None:
    """`mcp-validation-server` is on PyPI, written for a life of its own, and has no entry point for this host."""
    config = parse_config('[plugins.validate]\nobject = "mcp_validation_server.app:mcp"\nprefix = "v_"\n', environ={})
    host = Host(config, adopt=adopt)
    (record,) = host.records
    assert (record.distribution, record.version) == ("mcp-validation-server", "0.1.0")
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == ["v_validate_rows", "v_reconcile", "v_count_distinct", "v_duplicate_report"]
        balance = {"opening_balance": 100, "movements": [10, -5], "closing_balance": 105}
        result = await client.call_tool("v_reconcile", balance)
        assert result.structured_content is not None
        assert (result.structured_content["ok"], result.structured_content["movements_net"]) == (True, 5.0)
        refused = await client.call_tool("v_count_distinct", {"rows": [{"id": "a"}], "key": ""})
        assert refused.is_error
        block = refused.content[0]
        assert isinstance(block, TextContent)
        assert block.text.startswith("key must be the name of the column")


async def test_an_object_that_is_not_there_is_named_with_a_suggestion() -> None:
    module = pytypes.ModuleType("adoptable")
    module.server = MCPServer("s")  # type: ignore[attr-defined]
    sys.modules["adoptable"] = module
    try:
        config = parse_config('[plugins.a]\nobject = "adoptable:serer"\n', environ={})
        (record,) = Host(config, adopt=adopt).records
    finally:
        del sys.modules["adoptable"]
    assert record.problem is not None
    assert "has no attribute 'serer' (did you mean 'server'?)" in record.problem.what


async def test_binary_content_arrives_whole(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"\x00\xff")
    server = MCPServer("b")
    server.add_resource(FileResource(uri="file:///b", path=tmp_path / "b.bin", mime_type="application/octet-stream"))
    async with connect(server) as client:
        blob = (await client.read_resource("file:///b")).contents[0].model_dump()["blob"]
        assert base64.b64decode(blob) == b"\x00\xff"


# What changes while it serves


def growing() -> MCPServer[None]:
    mcp: MCPServer[None] = MCPServer("growing")

    @mcp.tool()
    async def grow() -> str:
        mcp.add_tool(lambda: "new", name="new_tool", description="New.")
        mcp.add_resource(TextResource(uri="thing://new", name="new", text="new"))

        @mcp.resource("thing://of/{name}")
        def of(name: str) -> str:
            return name

        @mcp.prompt()
        def new_prompt() -> str:
            return "new"

        return "grown"

    @mcp.tool()
    def shrink() -> str:
        # In a thread.
        mcp.remove_tool("new_tool")
        mcp.remove_prompt("new_prompt")
        return "shrunk"

    return mcp


async def names(client: Client) -> set[str]:
    """Return what is listed now, without what is there from the beginning."""
    tools = (await client.list_tools(cache_mode="bypass")).tools
    resources = (await client.list_resources(cache_mode="bypass")).resources
    templates = (await client.list_resource_templates(cache_mode="bypass")).resource_templates
    prompts = (await client.list_prompts(cache_mode="bypass")).prompts
    found = {*(tool.name for tool in tools), *(prompt.name for prompt in prompts)}
    found |= {str(each.uri) for each in resources} | {each.uri_template for each in templates}
    return found - {"grow", "shrink", "mcp-host://plugins"}


async def until(client: Client, expected: set[str]) -> None:
    with anyio.fail_after(30):
        while await names(client) != expected:
            await anyio.lowlevel.checkpoint()


@each_era
async def test_what_it_adds_and_removes_while_it_serves_is_served(mode: Any) -> None:
    notified = anyio.Event()

    async def note(message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            notified.set()

    mcp = growing()
    async with connect(mcp, mode=mode, message_handler=note) as client, AsyncExitStack() as stack:
        if mode == "auto":
            await stack.enter_async_context(client.listen(tools_list_changed=True))
        assert await names(client) == set()
        await client.call_tool("grow", {})
        await until(client, {"new_tool", "new_prompt", "thing://new", "thing://of/{name}"})
        with anyio.fail_after(30):
            await notified.wait()
        assert text_of(await client.call_tool("new_tool", {})) == "new"
        await client.call_tool("shrink", {})
        await until(client, {"thing://new", "thing://of/{name}"})
    assert all(type(getattr(manager, name)) is dict for manager, name in _places(mcp))


async def test_what_its_lifespan_adds_is_served() -> None:
    @asynccontextmanager
    async def lifespan(server: MCPServer[None]) -> AsyncIterator[None]:
        server.add_tool(lambda: "new", name="new_tool", description="New.")
        yield

    async with connect(MCPServer("growing", lifespan=lifespan)) as client:
        await until(client, {"new_tool"})


async def test_a_name_that_another_plugin_has_is_not_added_and_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    other = MCPServer("other")
    other.add_tool(lambda: "other", name="new_tool", description="Other.")
    async with connect({"growing": growing(), "other": other}) as client:
        await client.call_tool("grow", {})
        with anyio.fail_after(30):
            while "what it contributes now is not served: tool 'new_tool' of plugin 'other'" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        assert text_of(await client.call_tool("new_tool", {})) == "other"
        assert text_of(await client.call_tool("shrink", {})) == "shrunk"
