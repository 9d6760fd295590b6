"""The results and errors of calls, reads, prompts and completions, as callers see them in both eras."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    ErrorData,
    ImageContent,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

from mcp_host import Call, Context, Plugin, ResourceError, Tool, ToolError, hookimpl
from mcp_host.api import CallNext
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


def text(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def read_text(client: Client, uri: str) -> str:
    contents = (await client.read_resource(uri)).contents[0]
    assert isinstance(contents, TextResourceContents)
    return contents.text


async def refusal(awaitable: Any) -> ErrorData:
    with pytest.raises(MCPError) as caught:
        await awaitable
    return caught.value.error


# Tools


class Point(BaseModel):
    x: float
    y: float = Field(description="upwards")


class Place(TypedDict):
    lat: float


class Plain:
    name: str
    size: int

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = len(name)


@dataclass
class Data:
    n: int


def structured_plugin() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    def model() -> Point:
        return Point(x=1, y=2)

    @plugin.tool
    def typed_dict() -> Place:
        return {"lat": 1.5}

    @plugin.tool
    def plain() -> Plain:
        return Plain("ann")

    @plugin.tool
    def data() -> Data:
        return Data(3)

    @plugin.tool
    def number() -> int:
        return 5

    @plugin.tool(structured_output=False)
    def raw() -> dict[str, int]:
        return {"a": 1}

    @plugin.tool
    def own() -> CallToolResult:
        return CallToolResult(content=[ImageContent(type="image", data="AA==", mime_type="image/png")])

    return plugin


@each_era
@pytest.mark.parametrize(
    ("tool", "structured"),
    [
        ("model", {"x": 1.0, "y": 2.0}),
        ("typed_dict", {"lat": 1.5}),
        ("plain", {"name": "ann", "size": 3}),
        ("data", {"n": 3}),
        ("number", {"result": 5}),
        ("raw", None),
        ("own", None),
    ],
)
async def test_results_are_structured_by_the_return_annotation(mode: str, tool: str, structured: Any) -> None:
    async with connect(structured_plugin(), mode=mode) as client:
        assert (await client.call_tool(tool, {})).structured_content == structured


@each_era
async def test_the_text_of_a_plain_annotated_class_is_its_json(mode: str) -> None:
    async with connect(structured_plugin(), mode=mode) as client:
        assert text(await client.call_tool("plain", {})) == '{\n  "name": "ann",\n  "size": 3\n}'


class Scale:
    """Multiplies."""

    def __init__(self, by: int) -> None:
        self.by = by

    def times(self, n: int) -> int:
        """Multiply."""
        return n * self.by

    def __call__(self, n: int) -> int:
        """Multiply by calling."""
        return n * self.by


def add(a: int, b: int) -> int:
    return a + b


async def async_add(a: int, b: int) -> int:
    return a + b


@each_era
@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        (Tool(add), {"a": 1, "b": 2}, 3),
        (Tool(async_add), {"a": 1, "b": 2}, 3),
        (Tool(Scale(3).times), {"n": 2}, 6),
        (Tool(Scale(3)), {"n": 2}, 6),
        (Tool(functools.partial(add, 10)), {"b": 2}, 12),
        (Tool(functools.partial(add, b=10)), {"a": 2}, 12),
        (Tool(functools.partial(async_add, b=10)), {"a": 2}, 12),
        (Tool(lambda a: async_add(a, 1), name="lambda"), {"a": 1}, 2),
    ],
    ids=["sync", "async", "method", "object", "partial", "partial-by-name", "async-partial", "lambda"],
)
async def test_any_callable_is_a_tool(mode: str, tool: Tool, arguments: dict[str, Any], expected: int) -> None:
    class Module:
        @hookimpl
        def mcp_tools(self) -> list[Tool]:
            return [tool]

    async with connect(Module(), mode=mode) as client:
        (listed,) = (await client.list_tools()).tools
        assert set(listed.input_schema["properties"]) == set(arguments)
        assert text(await client.call_tool(listed.name, arguments)) == str(expected)


async def test_a_hand_written_input_schema_is_advertised_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "$comment": "kept"}}, "$defs": {"x": {}}}
    plugin = Plugin()
    plugin.tool(input_schema=schema)(lambda_named("show"))
    async with connect(plugin) as client:
        assert (await client.list_tools()).tools[0].input_schema == schema


def lambda_named(name: str) -> Any:
    def show(a: int = 0) -> str:
        return str(a)

    show.__name__ = name
    return show


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def failing_plugin() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    def told() -> str:
        raise ToolError("the bird has flown")

    @plugin.tool
    def crashed() -> str:
        raise ValueError("password=hunter2")

    @plugin.tool
    def left() -> str:
        raise SystemExit(3)

    @plugin.tool
    async def left_async() -> str:
        raise SystemExit(3)

    @plugin.tool
    async def interrupted() -> str:
        raise KeyboardInterrupt

    @plugin.tool
    async def cancelled() -> str:
        raise asyncio.CancelledError

    @plugin.tool
    def wordless() -> str:
        raise WordlessError

    @plugin.tool
    def protocol() -> str:
        raise MCPError(-32042, "go elsewhere", {"url": "x"})

    @plugin.tool
    def odd_result() -> int:
        return "not a number"  # type: ignore[return-value]

    @plugin.tool
    def picky(
        n: Annotated[int, Field(ge=1)], kind: Literal["a", "b"], at: Point | None = None, tags: list[str] | None = None
    ) -> str:
        return "ok"

    @plugin.resource("data://told/{code}")
    def told_resource(code: str) -> str:
        if code == "none":
            raise ResourceNotFoundError("no such code")
        raise ResourceError(f"cannot read {code}")

    @plugin.resource("data://crash")
    def crash_resource() -> str:
        raise ValueError("password=hunter2")

    @plugin.resource("data://number/{n}")
    def number_resource(n: int) -> str:
        return str(n)

    @plugin.prompt
    def told_prompt(code: str) -> str:
        raise ToolError(f"no prompt for {code}")

    @plugin.prompt
    def crash_prompt(n: int = 1) -> str:
        raise ValueError("password=hunter2")

    @plugin.completion("told_prompt", "code")
    def crash_completion(value: str) -> list[str]:
        raise ValueError("password=hunter2")

    return plugin


@each_era
async def test_the_text_of_a_tool_error_reaches_the_model_as_it_is(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        result = await client.call_tool("told", {})
        assert result.is_error
        assert text(result) == "the bird has flown"


@each_era
@pytest.mark.parametrize(
    "tool", ["crashed", "left", "left_async", "interrupted", "cancelled", "wordless", "odd_result"]
)
async def test_a_crash_is_masked_with_an_id_that_is_in_the_log(
    mode: str, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        result = await client.call_tool(tool, {})
        assert result.is_error
        assert "hunter2" not in text(result)
        error_id = text(result).partition("(error ")[2].partition(";")[0]
        (record,) = [record for record in caplog.records if error_id in record.getMessage()]
        assert record.exc_info is not None
        assert text(await client.call_tool("told", {})) == "the bird has flown"


@each_era
async def test_debug_shows_callers_the_text_of_a_crash(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode, options={"host": {"debug": True}}) as client:
        assert "ValueError: password=hunter2" in text(await client.call_tool("crashed", {}))
        assert "WordlessError: (its text cannot be shown)" in text(await client.call_tool("wordless", {}))


@each_era
async def test_an_mcp_error_of_a_tool_is_passed_on_verbatim(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        error = await refusal(client.call_tool("protocol", {}))
        assert (error.code, error.message, error.data) == (-32042, "go elsewhere", {"url": "x"})


@each_era
async def test_bad_arguments_are_named_by_field_without_values_or_addresses(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        result = await client.call_tool("picky", {"n": -17, "kind": "sesame", "at": {"x": "sesame"}, "tags": [17]})
        assert result.is_error
        message = text(result)
        assert message.startswith("Invalid arguments for tool picky: n: ")
        assert all(field in message for field in ("n: ", "kind: ", "at.x: ", "at.y: ", "tags.0: "))
        assert "sesame" not in message
        assert "17" not in message
        assert "http" not in message


@each_era
async def test_a_misspelt_argument_is_named_next_to_the_one_that_is_missing(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        result = await client.call_tool("picky", {"n": 1, "kid": "a"})
        assert text(result) == (
            "Invalid arguments for tool picky: kind: Field required; there is no argument 'kid' (did you mean 'kind'?)"
        )


@each_era
async def test_an_unknown_tool_is_invalid_params_with_a_suggestion(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        error = await refusal(client.call_tool("tolld", {}))
        assert error.code == INVALID_PARAMS
        assert error.message == "Unknown tool: tolld (did you mean 'told'?)"


@each_era
@pytest.mark.parametrize(
    ("uri", "code", "message"),
    [
        ("data://unknown", INVALID_PARAMS, "Unknown resource: data://unknown"),
        ("data://told/none", INVALID_PARAMS, "no such code"),
        ("data://told/7", INTERNAL_ERROR, "cannot read 7"),
        ("data://number/x", INVALID_PARAMS, "Unknown resource: data://number/x"),
        ("data://told/..%2Fx", INVALID_PARAMS, "Unknown resource: data://told/..%2Fx"),
    ],
)
async def test_the_error_of_a_resource_names_it_and_the_reason(mode: str, uri: str, code: int, message: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        error = await refusal(client.read_resource(uri))
        assert error.code == code
        assert error.message.startswith(message)


@each_era
async def test_a_crashed_resource_prompt_or_completer_is_masked(mode: str) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        ref = PromptReference(type="ref/prompt", name="told_prompt")
        for request in (
            client.read_resource("data://crash"),
            client.get_prompt("crash_prompt", {}),
            client.complete(ref, {"name": "code", "value": ""}),
        ):
            error = await refusal(request)
            assert error.code == INTERNAL_ERROR
            assert "failed unexpectedly (error " in error.message
            assert "hunter2" not in error.message


@each_era
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("told_promt", {}, "Unknown prompt: told_promt (did you mean 'told_prompt'?)"),
        ("told_prompt", {}, "Prompt told_prompt: missing argument code"),
        ("told_prompt", {"code": "7"}, "no prompt for 7"),
        ("crash_prompt", {"n": "many"}, "Invalid arguments for prompt crash_prompt: n: "),
    ],
)
async def test_a_prompt_that_cannot_be_rendered_is_invalid_params_with_its_name(
    mode: str, name: str, arguments: dict[str, str], message: str
) -> None:
    async with connect(failing_plugin(), mode=mode) as client:
        error = await refusal(client.get_prompt(name, arguments))
        assert error.code == INVALID_PARAMS
        assert error.message.startswith(message)


# Deadlines


@each_era
async def test_a_call_past_its_deadline_is_stopped_with_an_error(mode: str) -> None:
    plugin = Plugin()
    release = threading.Event()
    cancelled = anyio.Event()

    @plugin.tool(timeout=0.05)
    async def slow() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    @plugin.tool(timeout=0.05)
    def slow_in_thread() -> str:
        release.wait(30)
        return "late"

    @plugin.resource("data://slow", timeout=0.05)
    async def slow_resource() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    @plugin.prompt(timeout=0.05)
    async def slow_prompt() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async with connect(plugin, mode=mode) as client:
        for tool in ("slow", "slow_in_thread"):
            result = await client.call_tool(tool, {})
            assert result.is_error
            assert text(result) == f"tool {tool} of plugin plugin did not finish within 0.05 s and was stopped"
        await cancelled.wait()
        for request in (client.read_resource("data://slow"), client.get_prompt("slow_prompt", {})):
            assert "did not finish within 0.05 s" in (await refusal(request)).message
        release.set()


async def test_the_most_specific_deadline_wins() -> None:
    plugin = Plugin()

    @plugin.tool(timeout=600)
    async def own() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    for options in (
        {"plugins": {"plugin": {"timeout": "10ms"}}},
        {"plugins": {"plugin": {"timeout": "10m", "prefix": "p_", "tools": {"timeouts": {"own": "10ms"}}}}},
        {"plugins": {"plugin": {"timeout": "10m", "prefix": "p_", "tools": {"timeouts": {"p_own": "10ms"}}}}},
    ):
        async with connect(plugin, options=options) as client:
            (tool,) = (await client.list_tools()).tools
            assert "within 0.01 s" in text(await client.call_tool(tool.name, {}))


async def test_a_host_without_deadline_lets_a_tool_run() -> None:
    plugin = Plugin()

    @plugin.tool
    async def quick() -> str:
        return "done"

    async with connect(plugin, options={"host": {"call_timeout": "none"}}) as client:
        assert text(await client.call_tool("quick", {})) == "done"


# Middleware


@each_era
async def test_middleware_sees_every_kind_of_call_and_may_change_it(mode: str) -> None:
    outer, inner = Plugin(), Plugin()
    seen: list[tuple[str, str, str, dict[str, Any]]] = []

    @outer.middleware
    async def watch(call: Call, call_next: CallNext) -> Any:
        seen.append((call.kind, call.plugin, call.name, dict(call.arguments)))
        return await call_next(call)

    @outer.middleware
    async def refuse(call: Call, call_next: CallNext) -> Any:
        if call.arguments.get("word") == "forbidden":
            raise ToolError("that word is forbidden")
        return await call_next(call)

    @inner.tool
    async def say(word: str, ctx: Context) -> str:
        await ctx.read_resource("data://b")
        return word

    @inner.resource("data://b")
    def data() -> str:
        return "B"

    @inner.prompt
    def ask(word: str) -> str:
        return word

    options = {"plugins": {"outer": {"middleware": "all"}}}
    async with connect({"outer": outer, "inner": inner}, mode=mode, options=options) as client:
        assert text(await client.call_tool("say", {"word": "hello"})) == "hello"
        await client.get_prompt("ask", {"word": "x"})
        assert text(await client.call_tool("say", {"word": "forbidden"})) == "that word is forbidden"
    assert seen == [
        ("tool", "inner", "say", {"word": "hello"}),
        ("resource", "inner", "data://b", {}),
        ("prompt", "inner", "ask", {"word": "x"}),
        ("tool", "inner", "say", {"word": "forbidden"}),
    ]


# Context


class Settings(BaseModel):
    digits: int = 3


@each_era
async def test_a_plugin_sees_its_own_settings_and_state_and_never_anothers(mode: str) -> None:
    def make(word: str) -> Plugin:
        @asynccontextmanager
        async def lifespan(context: Any) -> Any:
            yield {"word": word, "plugin": context.name}

        plugin = Plugin(settings=Settings, lifespan=lifespan)

        @plugin.tool(name=f"{word}_tool")
        async def tool(ctx: Context[Settings, dict[str, str]]) -> str:
            assert ctx.state is ctx.request_context.lifespan_context
            assert ctx.plugin.name == ctx.state["plugin"]
            inner = next(iter(await ctx.read_resource("one://state"))).content
            return f"{ctx.settings.digits} {ctx.state['word']} {inner!s} {ctx.client_id}"

        return plugin

    one, two = make("one"), make("two")

    @one.resource("one://state")
    def state(ctx: Context[Settings, dict[str, str]]) -> str:
        return ctx.state["word"]

    options = {"plugins": {"a": {"settings": {"digits": 1}}, "b": {"settings": {"digits": 2}}}}
    async with connect({"a": one, "b": two}, mode=mode, options=options) as client:
        assert text(await client.call_tool("one_tool", {})) == "1 one one None"
        assert text(await client.call_tool("two_tool", {})) == "2 two one None"
        assert await read_text(client, "one://state") == "one"


# Completion


@each_era
async def test_completions_answer_for_prompts_and_templates(mode: str) -> None:
    plugin = Plugin()

    @plugin.prompt
    def greet(name: str, style: str = "warm") -> str:
        return name

    @plugin.resource("greeting://{name}")
    def greeting(name: str) -> str:
        return name

    @plugin.completion("greet", "style")
    def styles(value: str, arguments: dict[str, str]) -> list[str]:
        return [
            f"{style} {arguments.get('name', '')}" for style in ("warm", "wry", "formal") if style.startswith(value)
        ]

    @plugin.completion("greeting://{name}", "name")
    async def names(value: str, ctx: Context) -> list[str]:
        assert ctx.plugin.name == "plugin"
        return [f"{value}{n}" for n in range(150)]

    options = {"plugins": {"plugin": {"prefix": "p_"}}}
    async with connect(plugin, mode=mode, options=options) as client:
        prompt = PromptReference(type="ref/prompt", name="p_greet")
        template = ResourceTemplateReference(type="ref/resource", uri="greeting://{name}")
        argument = {"name": "style", "value": "w"}
        completion = (await client.complete(prompt, argument, context_arguments={"name": "ann"})).completion
        assert completion.values == ["warm ann", "wry ann"]
        completion = (await client.complete(template, {"name": "name", "value": "a"})).completion
        assert (len(completion.values), completion.total, completion.has_more) == (100, 150, True)
        assert (await client.complete(prompt, {"name": "name", "value": ""})).completion.values == []
        unknown = PromptReference(type="ref/prompt", name="greet")
        assert (await refusal(client.complete(unknown, argument))).code == INVALID_PARAMS


# Scopes are the subject of test_auth.py


async def test_resources_are_text_bytes_or_json(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Plugin()
    plugin.resource("data://text", mime_type="text/markdown")(lambda: "# hi")
    plugin.resource("data://bytes", mime_type="image/png")(lambda: b"\x89PNG")
    plugin.resource("data://json", mime_type="application/json")(lambda: {"a": [1, Point(x=1, y=2)]})
    plugin.resource("data://page{?n}")(lambda n="1": f"page {n}")
    caplog.set_level(logging.INFO)
    async with connect(plugin) as client:
        assert await read_text(client, "data://text") == "# hi"
        assert (await client.read_resource("data://bytes")).contents[0].model_dump()["blob"] == "iVBORw=="
        assert '"x": 1.0' in await read_text(client, "data://json")
        assert await read_text(client, "data://page?n=2") == "page 2"
        assert await read_text(client, "data://page") == "page 1"
