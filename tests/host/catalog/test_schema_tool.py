"""A tool that is described by a JSON Schema behaves as any other tool, in both protocol eras."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import mcp.types as types
import pytest

from mcp_host import Plugin, SchemaTool, ToolError
from mcp_host.testing import connect, make_host
from support.sites import problem

pytestmark = pytest.mark.anyio

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "pattern": "^[a-z]+$"}},
}
DRAFT_7 = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "definitions": {"id": {"type": "integer", "exclusiveMinimum": 0}},
    "properties": {"pair": {"type": "array", "items": [{"$ref": "#/definitions/id"}, {"type": "string"}]}},
}


def echo(arguments: Mapping[str, Any], ctx: Any) -> Any:
    return dict(arguments)


def plugin_of(**fields: Any) -> Plugin:
    plugin = Plugin()
    plugin._tools.append(SchemaTool(**{"name": "t", "input_schema": PERSON, "handler": echo, **fields}))
    return plugin


async def call(plugin: object, arguments: dict[str, Any], mode: str, **options: Any) -> types.CallToolResult:
    async with connect(plugin, mode=mode, **options) as client:
        await client.list_tools()
        return await client.call_tool("t", arguments)


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("schema", "arguments", "received"),
    [
        (PERSON, {"name": "Ada", "age": 36, "tags": ["a", "b"]}, None),
        (PERSON, {"name": "Ada", "tags": '["a"]'}, {"name": "Ada", "tags": ["a"]}),
        (PERSON, {"name": "[1]"}, None),
        (DRAFT_7, {"pair": [1, "x"]}, None),
        ({"type": "object"}, {"anything": {"at": ["all"]}}, None),
        ({"properties": {"a": {}}}, {"a": "[1]"}, None),
        (
            {"type": "object", "properties": {"child": {"$ref": "#"}, "x": {"type": "integer"}}},
            {"child": {"x": 1}},
            None,
        ),
    ],
)
async def test_good_arguments_arrive_as_they_were_sent(
    schema: dict[str, Any], arguments: dict[str, Any], received: dict[str, Any] | None, mode: str
) -> None:
    given: list[Mapping[str, Any]] = []

    def handle(arguments: Mapping[str, Any], ctx: Any) -> str:
        given.append(arguments)
        return "done"

    result = await call(plugin_of(input_schema=schema, handler=handle), arguments, mode)
    assert not result.is_error
    assert given == [received or arguments]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("schema", "arguments", "texts"),
    [
        (PERSON, {}, ["name is required"]),
        (PERSON, {"name": ""}, ["name: minLength must be 1"]),
        (PERSON, {"name": "Ada", "age": -77}, ["age: minimum must be 0"]),
        (PERSON, {"name": "Ada", "tags": ["SECRET"]}, ["tags.0: pattern must be"]),
        (PERSON, {"nam": "SECRET", "name": "Ada"}, ["there is no 'nam' (did you mean 'name'?)"]),
        (PERSON, {"age": "SECRET"}, ["age: type must be", "name is required"]),
        (DRAFT_7, {"pair": [0, "SECRET"]}, ["pair.0: exclusiveMinimum must be 0"]),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"c": "SECRET"}, ["anyOf"]),
    ],
)
async def test_bad_arguments_are_named_without_their_values(
    schema: dict[str, Any], arguments: dict[str, Any], texts: list[str], mode: str
) -> None:
    def never(arguments: Mapping[str, Any], ctx: Any) -> str:
        raise AssertionError("it was called")

    result = await call(plugin_of(input_schema=schema, handler=never), arguments, mode)
    assert result.is_error
    for text in texts:
        assert text in text_of(result)
    assert "SECRET" not in text_of(result)
    assert "77" not in text_of(result)


@pytest.mark.parametrize("where", ["input_schema", "output_schema"])
def test_a_remote_reference_is_refused_and_never_fetched(where: str, tmp_path: Any) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    schema = {"type": "object", "properties": {"a": {"$ref": other.as_uri()}}}
    host = make_host({"p": plugin_of(**{where: schema})})
    assert f"refers to {other.as_uri()!r}, which is not in it" in problem(host.records[0]).what


def handlers() -> dict[str, Callable[..., Any]]:
    async def later(arguments: Mapping[str, Any], ctx: Any) -> list[int]:
        await asyncio.sleep(0)
        return [1, 2]

    def one_by_one(arguments: Mapping[str, Any], ctx: Any) -> Iterator[int]:
        yield 1
        yield 2

    async def one_by_one_later(arguments: Mapping[str, Any], ctx: Any) -> AsyncIterator[int]:
        yield 1
        yield 2

    class Handler:
        async def __call__(self, arguments: Mapping[str, Any], ctx: Any) -> list[int]:
            return [1, 2]

    return {
        "sync": lambda arguments, ctx: [1, 2],
        "async": later,
        "generator": one_by_one,
        "async generator": one_by_one_later,
        "object": Handler(),
    }


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("form", handlers())
async def test_a_handler_of_any_form_answers(form: str, mode: str) -> None:
    fields = {"handler": handlers()[form], "input_schema": {"type": "object"}}
    plain = await call(plugin_of(**fields), {}, mode)
    assert [text_of(types.CallToolResult(content=[block])) for block in plain.content] == ["1", "2"]
    output = {"type": "array", "items": {"$ref": "#/definitions/n"}, "definitions": {"n": {"type": "integer"}}}
    async with connect(plugin_of(**fields, output_schema=output), mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.output_schema is not None
        assert tool.output_schema["required"] == ["result"]
        result = await client.call_tool("t", {})  # the client checks it by the schema
        assert result.structured_content == {"result": [1, 2]}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_result_conforms_to_the_output_schema_or_is_an_error(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    output = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    def give(arguments: Mapping[str, Any], ctx: Any) -> Any:
        return {"n": arguments["n"]}

    fields = {"handler": give, "input_schema": {"type": "object"}, "output_schema": output}
    good = await call(plugin_of(**fields), {"n": 1}, mode)
    assert good.structured_content == {"n": 1}
    bad = await call(plugin_of(**fields), {"n": "one"}, mode)
    assert bad.is_error
    assert bad.structured_content is None
    assert "the result does not conform to the output schema at n" in caplog.text
    assert "one" not in text_of(bad)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_large_arguments_and_results_are_checked_in_the_plugins_thread(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_host.catalog import jsonschemas, schema_tool

    threads: list[int] = []
    validate, refuse_unfit = schema_tool.SchemaArguments.validate, jsonschemas.refuse_unfit

    def validate_noting(self: Any, given: Any, what: str) -> Any:
        threads.append(threading.get_ident())
        return validate(self, given, what)

    def refuse_noting(validator: Any, made: Any) -> None:
        threads.append(threading.get_ident())
        refuse_unfit(validator, made)

    async def size(arguments: Mapping[str, Any], ctx: Any) -> int:
        return len(arguments["items"])

    monkeypatch.setattr(schema_tool.SchemaArguments, "validate", validate_noting)
    monkeypatch.setattr(schema_tool, "refuse_unfit", refuse_noting)
    plugin = plugin_of(handler=size, input_schema={"type": "object"}, output_schema={"type": "integer"})
    result = await call(plugin, {"items": [0] * 5000}, mode)
    assert result.structured_content == {"result": 5000}
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def decorated() -> Plugin:
    plugin = Plugin()

    @plugin.schema_tool(PERSON, title="A person", read_only=True, scopes=["people"])
    async def greet(arguments: Mapping[str, Any], ctx: Any) -> str:
        """Greet a person."""
        if arguments["name"] == "nobody":
            raise ToolError("nobody is here")
        return f"Hello {arguments['name']}"

    return plugin


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_decorator_takes_what_other_tools_have(mode: str) -> None:
    options = {"plugins": {"plugin": {"prefix": "x_"}}}
    async with connect(decorated(), mode=mode, options=options) as client:
        (tool,) = (await client.list_tools()).tools
        assert (tool.name, tool.title, tool.description) == ("x_greet", "A person", "Greet a person.")
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.input_schema == PERSON
        result = await client.call_tool("x_greet", {"name": "Ada"})
        assert text_of(result) == "Hello Ada"
        failed = await client.call_tool("x_greet", {"name": "nobody"})
        assert failed.is_error
        assert text_of(failed) == "nobody is here"


@pytest.mark.parametrize("section", [{"tools": {"deny": ["greet"]}}, {"tools": {"read_only": False}}])
async def test_it_can_be_filtered(section: dict[str, Any]) -> None:
    async with connect(decorated(), options={"plugins": {"plugin": section}}) as client:
        assert (await client.list_tools()).tools == []


def test_its_scopes_and_its_deadline_are_served() -> None:
    host = make_host({"p": decorated()}, options={"plugins": {"p": {"tools": {"timeouts": {"greet": 7}}}}})
    (tool,) = host.catalog.tools.values()
    assert tool.scopes == {"people"}
    assert tool.timeout == 7


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_handler_that_does_not_end_is_ended_at_its_deadline(mode: str) -> None:
    ended = asyncio.Event()

    async def wait(arguments: Mapping[str, Any], ctx: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    result = await call(plugin_of(handler=wait, input_schema={"type": "object"}, timeout=0.05), {}, mode)
    assert result.is_error
    assert "0.05" in text_of(result)
    assert ended.is_set()


async def test_a_further_implementation_is_a_line_in_the_table_of_the_binder(monkeypatch: pytest.MonkeyPatch) -> None:
    from mcp_host.catalog import binder
    from mcp_host.catalog.implementations import ToolBody

    class Constant(SchemaTool):
        """A tool that always answers the same."""

    def constant(plugin: Any, name: str, tool: Constant) -> ToolBody:
        async def run(arguments: Mapping[str, Any], context: Any) -> types.CallToolResult:
            return types.CallToolResult(content=[types.TextContent(type="text", text=f"{name} of {plugin.name}")])

        return ToolBody(run, "Answers the same.", dict(tool.input_schema))

    monkeypatch.setattr(binder, "TOOLS", {**binder.TOOLS, Constant: constant})
    plugin = Plugin()
    plugin._tools.append(Constant("t", {"type": "object"}, echo))
    assert text_of(await call(plugin, {}, "auto")) == "t of plugin"
