"""A text stays the text that was sent; JSON inside it is read only where the text itself does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import mcp.types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, Json

from mcp_host import Plugin, Tool
from mcp_host.catalog.arguments import Arguments
from mcp_host.catalog.signatures import inspect_function
from mcp_host.errors import BadArgumentsError
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


class Point(BaseModel):
    x: int
    y: int = 2


def arguments_of(fn: Callable[..., Any]) -> Arguments:
    return Arguments(fn.__name__, list(inspect_function(fn).signature.parameters.values()), depth=8)


def taking(annotation: Any) -> Arguments:
    def take(a: Any) -> None: ...

    take.__annotations__["a"] = annotation
    return arguments_of(take)


def bare(a):  # type: ignore[no-untyped-def]
    pass


TEXTS = ["null", "true", "1", '"quoted"', "[1, 2]", '{"a": 1}', "[", "", " ", "NaN", "1e5", "plain"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "annotation", [str, str | None, Any, object, str | list[str], str | dict[str, Any], list[int] | str]
)
def test_a_text_that_fits_arrives_as_it_was_sent(annotation: Any, text: str) -> None:
    assert taking(annotation).validate({"a": text}, "t") == {"a": text}


@given(st.text())
def test_an_unannotated_parameter_gets_the_text(text: str) -> None:
    assert arguments_of(bare).validate({"a": text}, "t") == {"a": text}


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (list[int], "[1, 2]", [1, 2]),
        (list[str], '["a"]', ["a"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Point, '{"x": 1}', Point(x=1)),
        (Point | None, "null", None),
        (list[Point] | None, '[{"x": 1}]', [Point(x=1)]),
        (Json[list[int]], "[1]", [1]),
        (int, "3", 3),
        (bool, "true", True),
    ],
)
def test_json_in_a_text_is_read_where_the_text_does_not_fit(annotation: Any, text: str, value: Any) -> None:
    assert taking(annotation).validate({"a": text}, "t") == {"a": value}


def test_one_unfit_text_does_not_change_the_others() -> None:
    def both(a: Any, b: list[int], c: str | None = None) -> None: ...

    given_values = {"a": "[1]", "b": "[1]", "c": "null"}
    assert arguments_of(both).validate(given_values, "t") == {"a": "[1]", "b": [1], "c": "null"}


@pytest.mark.parametrize("text", ["[" * 9 + "]" * 9, '"[1]"', "[NaN]", "{}", "[1"])
def test_what_still_does_not_fit_is_an_error_about_what_was_sent(text: str) -> None:
    with pytest.raises(BadArgumentsError) as caught:
        taking(list[int]).validate({"a": text}, "the tool")
    assert str(caught.value) == "Invalid arguments for the tool: a: Input should be a valid list"


NAMES = [
    *("model_config", "model_extra", "model_fields", "model_fields_set", "model_computed_fields", "model_post_init"),
    *("schema", "copy", "json", "dict", "validate", "construct", "fields", "parse_obj", "model_dump", "p0", "p1"),
    *("_x", "__x", "_", "cls", "self", "arguments", "name", "type", "class_", "naïve", "root", "return_"),
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_parameter_may_have_any_name(mode: str) -> None:
    plugin = Plugin()
    for name in NAMES:
        scope: dict[str, Any] = {}
        exec(f"def give({name}: dict[str, int], other: int = 1) -> dict[str, int]: return {name}", scope)
        plugin._tools.append(Tool(scope["give"], name=f"t{NAMES.index(name)}"))
    async with connect(plugin, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for number, name in enumerate(NAMES):
            schema = tools[f"t{number}"].input_schema
            assert list(schema["properties"]) == [name, "other"]
            assert schema["required"] == [name]
            result = await client.call_tool(f"t{number}", {name: {"x": 1}})
            assert result.structured_content == {"x": 1}, name


def aliased(
    one: Annotated[int, Field(alias="One")],
    two: int = Field(2, alias="Two"),
    three: Annotated[int, Field(validation_alias="Three")] = 3,
    four: Annotated[int, Field(validation_alias=AliasChoices("Four", "IV"))] = 4,
    five: Annotated[int, Field(serialization_alias="Five")] = 5,
) -> list[int]:
    return [one, two, three, four, five]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_alias_is_what_callers_use(mode: str) -> None:
    plugin = Plugin()
    plugin._tools.append(Tool(aliased))
    async with connect(plugin, mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert list(tool.input_schema["properties"]) == ["One", "Two", "Three", "Four", "five"]
        assert tool.input_schema["required"] == ["One"]
        result = await client.call_tool("aliased", {"One": 10, "Two": 20, "Three": 30, "Four": 40, "five": 50})
        assert result.structured_content == {"result": [10, 20, 30, 40, 50]}
        result = await client.call_tool("aliased", {"One": 10, "IV": 40})
        assert result.structured_content == {"result": [10, 2, 3, 40, 5]}
        result = await client.call_tool("aliased", {"one": 10})
        assert result.is_error
        (block,) = result.content
        assert isinstance(block, types.TextContent)
        assert "One: Field required" in block.text
        assert "there is no argument 'one' (did you mean 'One'?)" in block.text


def test_defaults_are_the_functions_own() -> None:
    sentinel = object()

    def defaults(a: int = 1, b: Any = sentinel, c: list[int] = [1], d: Point = Point(x=1), e: str | None = None): ...  # type: ignore[no-untyped-def]  # noqa: B006, B008

    values = arguments_of(defaults).validate({}, "t")
    assert values == {"a": 1, "b": sentinel, "c": [1], "d": Point(x=1), "e": None}
    assert arguments_of(defaults).schema.get("required", []) == []


def test_a_default_of_one_call_is_not_that_of_the_next() -> None:
    def collect(items: list[int] = []) -> None: ...  # noqa: B006

    arguments = arguments_of(collect)
    arguments.validate({}, "t")["items"].append(1)
    assert arguments.validate({}, "t") == {"items": []}


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        list[int],
        Point,
        Literal["a", "b"],
        Annotated[str, Field(pattern="^a$")],
        Annotated[Annotated[int, Field(gt=0)] | bool, Field(description="d")],
        dict[int, int],
    ],
)
@pytest.mark.parametrize("value", [SECRET, json.dumps([SECRET]), [SECRET], {SECRET: SECRET}, json.dumps({"x": SECRET})])
def test_errors_repeat_no_value(annotation: Any, value: Any) -> None:
    with pytest.raises(BadArgumentsError) as caught:
        taking(annotation).validate({"a": value}, "t")
    message = str(caught.value)
    assert message.startswith("Invalid arguments for t: a")
    if not isinstance(value, dict):
        assert SECRET not in message
