"""Each item is proven before it is served: what a client cannot read fails its own plugin or gets a faithful form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import mcp.types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from mcp.server.mcpserver import MCPServer
from mcp_types import methods
from pydantic import BaseModel, ConfigDict, Field, RootModel, WithJsonSchema

from mcp_host import Plugin, Prompt, Resource, SchemaTool, Tool
from mcp_host.catalog import jsonschemas
from mcp_host.plugins.kinds import KINDS
from mcp_host.server.host import Host
from mcp_host.testing import connect, make_host
from support.parts import plugin_of
from support.sites import problem

pytestmark = pytest.mark.anyio

SURROGATE = "half \ud800 of a pair"


class Strings(RootModel[list[str]]):
    pass


class Either(RootModel[int | str]):
    pass


class ListOfTypes(BaseModel):
    model_config = ConfigDict(json_schema_extra={"type": ["object", "null"]})
    x: int = 1


class RequiredObject(BaseModel):
    model_config = ConfigDict(json_schema_extra={"required": {}})
    x: int = 1


def strings() -> Strings:
    return Strings(["a"])


def either() -> Either:
    return Either(1)


def list_of_types() -> ListOfTypes:
    return ListOfTypes()


def required_object() -> RequiredObject:
    return RequiredObject()


def work(a: int = 1) -> int:
    return a


def page() -> str:
    return "page"


def handle(arguments: Any, ctx: Any) -> str:
    return "handled"


def deep(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {"a": nested}
    return nested


def neighbour() -> Plugin:
    return plugin_of(
        Tool(work, name="neighbour"),
        Resource("near://by", lambda: "text", name="neighbour"),
        Resource("near://by/{x}", lambda x: x, name="neighbour"),
        Prompt(lambda: "text", name="neighbour"),
    )


def both(item: Any) -> Host:
    return make_host({"bad": plugin_of(item) if not isinstance(item, MCPServer) else item, "good": neighbour()})


def lists_of(host: Host) -> dict[str, list[str]]:
    """What each list holds after it has passed the models of every protocol version, and JSON."""
    names: dict[str, list[str]] = {}
    parts = [host.catalog.parts[plugin] for plugin in host.plugins if plugin in host.catalog.parts]
    for kind in KINDS:
        wires = [item.wire for of_plugin in parts for item in of_plugin.items[kind]]
        dumped = [
            wire.model_dump(by_alias=True, mode="json", exclude_none=True)
            for wire in wires
            if not getattr(wire, "uri", "").startswith("mcp-host:")
        ]
        for method, version in methods.SERVER_RESULTS:
            if method == kind.list_method:
                envelope = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", kind.list_key: dumped}
                sent = json.dumps(methods.serialize_server_result(method, version, envelope), allow_nan=False)
                names[f"{method} {version}"] = [item["name"] for item in json.loads(sent.encode())[kind.list_key]]
    return names


SCHEMA = {"type": "object"}
BAD: dict[str, tuple[Any, str]] = {
    "required is an object in an output schema": (Tool(required_object), "tool 'required_object'"),
    "required is an object": (SchemaTool("t", {**SCHEMA, "required": {}}, handle), "tool 't'"),
    "required is an object below": (
        SchemaTool("t", {**SCHEMA, "properties": {"a": {"required": {}}}}, handle),
        "tool 't'",
    ),
    "a type that JSON Schema does not have": (Tool(work, input_schema={"type": "int"}), "tool 'work'"),
    "such a type below": (Tool(work, input_schema={**SCHEMA, "properties": {"a": {"type": "int"}}}), "properties.a"),
    "an array as input": (Tool(work, input_schema={"type": "array"}), "tool 'work'"),
    "a reference to nowhere": (
        SchemaTool("t", {**SCHEMA, "properties": {"a": {"$ref": "#/$defs/nowhere"}}}, handle),
        "'#/$defs/nowhere'",
    ),
    "a remote reference": (
        SchemaTool("t", {**SCHEMA, "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}, handle),
        "'http://127.0.0.1:9/a.json'",
    ),
    "a reference to itself": (
        SchemaTool("t", {**SCHEMA, "$defs": {"a": {"$ref": "#/$defs/a"}}}, handle),
        "leads back to itself",
    ),
    "an object in a tool's meta": (Tool(work, meta={"a": object()}), "tool 'work'"),
    "an object in a resource's meta": (Resource("x://y", page, name="r", meta={"a": object()}), "resource 'x://y'"),
    "an object in a template's meta": (
        Resource("x://{a}", lambda a: a, name="r", meta={"a": object()}),
        "resource 'x://{a}'",
    ),
    "NaN in meta": (Tool(work, meta={"a": float("nan")}), "JSON"),
    "meta that is nested deeper than JSON's readers go": (Tool(work, meta={"a": deep(500)}), "JSON"),
    "an icon that does not validate": (Tool(work, icons=[{"src": 1}]), "icons"),  # type: ignore[list-item]
    "an icon made without validation": (Tool(work, icons=[types.Icon.model_construct(src=1)]), "icons"),
    "a prompt's icon": (Prompt(lambda: "x", name="p", icons=[{"src": 1}]), "prompt 'p'"),  # type: ignore[list-item]
    "a resource's icon": (Resource("x://y", page, icons=[{"src": 1}]), "resource 'x://y'"),  # type: ignore[list-item]
    "annotations made without validation": (
        Resource("x://y", page, annotations=types.Annotations.model_construct(priority=7)),
        "resource 'x://y'",
    ),
    "a tool's annotations that do not validate": (
        Tool(work, annotations=types.ToolAnnotations.model_construct(title=object())),
        "tool 'work'",
    ),
    "a hint that is no bool": (Tool(work, read_only="perhaps"), "tool 'work'"),  # type: ignore[arg-type]
    "a title that is a number": (Tool(work, title=7), "tool 'work'"),  # type: ignore[arg-type]
    "a prompt's title that is a number": (Prompt(lambda: "x", name="p", title=7), "prompt 'p'"),  # type: ignore[arg-type]
    "half a pair in a name": (Tool(work, name="a\ud800"), "surrogate"),
    "half a pair in a URI": (Resource("x://\ud800", page, name="r"), "surrogate"),
}


@pytest.mark.parametrize("label", BAD)
def test_an_item_that_some_client_cannot_read_fails_its_own_plugin_only(label: str) -> None:
    item, what = BAD[label]
    host = both(item)
    bad, good = host.records
    assert what in problem(bad).what
    assert good.problem is None
    lists = lists_of(host)
    assert len(lists) == sum(method in {kind.list_method for kind in KINDS} for method, _ in methods.SERVER_RESULTS)
    assert all(names == ["neighbour"] for names in lists.values())


FAITHFUL: dict[str, tuple[Any, str]] = {
    "a surrogate in a tool's description": (Tool(work, description=SURROGATE), "U+FFFD"),
    "a surrogate in a resource's title": (Resource("x://y", page, name="r", title=SURROGATE), "U+FFFD"),
    "a surrogate in a template's description": (
        Resource("x://{a}", lambda a: a, name="r", description=SURROGATE),
        "U+FFFD",
    ),
    "a surrogate in a prompt's description": (Prompt(lambda: "x", name="p", description=SURROGATE), "U+FFFD"),
    "an input schema without a type": (Tool(work, input_schema={"properties": {}}), '"type"'),
    "an infinite default": (
        Tool(work, input_schema={**SCHEMA, "properties": {"a": {"type": "number", "default": float("inf")}}}),
        "default",
    ),
}


@pytest.mark.parametrize("label", FAITHFUL)
def test_an_item_that_has_a_faithful_form_is_served_in_it_with_a_warning(label: str) -> None:
    item, warning = FAITHFUL[label]
    host = both(item)
    bad = host.records[0]
    assert bad.problem is None
    assert any(warning in line.what for line in bad.warnings), bad.warnings
    assert any(len(names) == 2 for names in lists_of(host).values())


@pytest.mark.parametrize(("fn", "value"), [(strings, ["a"]), (either, 1), (list_of_types, {"x": 1})])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_root_that_is_no_object_is_wrapped(fn: Callable[[], Any], value: Any, mode: str) -> None:
    async with connect(plugin_of(Tool(fn)), mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        assert tool.output_schema["required"] == ["result"]
        result = await client.call_tool(fn.__name__, {})
        assert result.structured_content == {"result": value}


async def test_an_infinite_default_of_a_parameter_is_not_advertised_and_works() -> None:
    def below(most: float = float("inf")) -> str:
        return str(most)

    async with connect(plugin_of(Tool(below))) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.input_schema["properties"]["most"] == {"title": "Most", "type": "number"}
        result = await client.call_tool("below", {})
        assert result.structured_content == {"result": "inf"}


def test_an_annotation_with_a_bad_schema_names_the_tool() -> None:
    def odd(a: Annotated[int, WithJsonSchema({"type": "int"})]) -> str:
        return str(a)

    def choice(a: Annotated[str, Field(json_schema_extra={"enum": 3})]) -> str:
        return a

    for fn in (odd, choice):
        host = both(Tool(fn))
        assert (
            f"tool {fn.__name__!r}: its input_schema is not JSON Schema: properties.a" in problem(host.records[0]).what
        )


def test_the_items_of_an_adopted_server_are_proven_too() -> None:
    server = MCPServer("adopted")
    server.add_tool(work, meta={"a": object()})
    host = both(server)
    assert "tool 'work'" in problem(host.records[0]).what
    assert all(names == ["neighbour"] for names in lists_of(host).values())


def test_references_inside_a_schema_are_fine() -> None:
    tree = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}, "child": {"$ref": "#"}, "leaf": {"$ref": "#leaf"}},
        "$defs": {"leaf": {"$anchor": "leaf", "type": "string", "default": {"$ref": "#/no/reference"}}},
    }
    draft_7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "definitions": {"id": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/definitions/id"}},
    }
    host = both(SchemaTool("tree", tree, handle))
    assert host.records[0].problem is None
    host = both(SchemaTool("draft", draft_7, handle))
    assert host.records[0].problem is None


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from(["string", "object", "int", "a", "#"])
    | st.just({})
    | st.just([]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                (
                    *(
                        "type",
                        "properties",
                        "$defs",
                        "items",
                        "additionalProperties",
                        "anyOf",
                        "required",
                        "enum",
                        "default",
                    ),
                    *("const", "$ref", "title", "minLength", "maximum", "pattern", "prefixItems", "not"),
                )
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["type", "required", "minLength", "maximum", "items", "enum"]), VALUES) | VALUES)
def test_the_quick_check_of_a_schema_passes_nothing_that_the_whole_check_refuses(schema: Any) -> None:
    if jsonschemas._is_plain(schema):
        Draft202012Validator.check_schema(schema)
        Draft7Validator.check_schema(schema)
