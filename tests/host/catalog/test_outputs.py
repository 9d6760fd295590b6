"""Structured content conforms to the output schema; an annotation without a schema costs the schema only."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import datetime
import decimal
import enum
import re
import typing
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, NoReturn, TypeVar

import mcp.types as types
import pytest
import typing_extensions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
)

from mcp_host import Plugin, Tool
from mcp_host.catalog.outputs import output_of
from mcp_host.catalog.signatures import inspect_function
from mcp_host.errors import HostError
from mcp_host.testing import connect, make_host

if TYPE_CHECKING:
    from nowhere import Frame  # type: ignore[import-not-found]

pytestmark = pytest.mark.anyio

T = TypeVar("T")


def plugin_of(fn: Callable[..., Any], **fields: Any) -> Plugin:
    plugin = Plugin()
    plugin._tools.append(Tool(fn, name="t", **fields))
    return plugin


def returning(annotation: Any, value: Any) -> Callable[..., Any]:
    def give() -> Any:
        return value() if callable(value) and not isinstance(value, type) else value

    give.__annotations__ = {"return": annotation}
    return give


async def conforming(annotation: Any, value: Any, mode: str = "auto") -> Any:
    """The structured content of a tool, after it was checked by the schema that the tool has in the list."""
    async with connect(plugin_of(returning(annotation, value)), mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        result = await client.call_tool("t", {})
        assert not result.is_error, result.content
        Draft202012Validator(tool.output_schema).validate(result.structured_content)
        return result.structured_content


class Aliased(BaseModel):
    one: int = Field(1, alias="One")
    two: int = Field(2, serialization_alias="Two")
    three: int = Field(3, validation_alias="Three")
    four: int = Field(4, validation_alias=AliasChoices("Four", "IV"))


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=str.upper, populate_by_name=True, serialize_by_alias=False)
    word: str = "w"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int = 1

    @computed_field(alias="Double")  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.x


class Wider(Closed):
    y: int = 2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = 1


class OpenWider(Open):
    y: int = 2


class Serialized(BaseModel):
    typed: int = 1
    untyped: int = 2
    wrapped: int = 3

    @field_serializer("typed")
    def _typed(self, value: int) -> str:
        return f"<{value}>"

    @field_serializer("untyped")
    def _untyped(self, value):  # type: ignore[no-untyped-def]
        return f"<{value}>"

    @field_serializer("wrapped", mode="wrap")
    def _wrapped(self, value, handler):  # type: ignore[no-untyped-def]
        return [handler(value)]


class Remade(BaseModel):
    x: int = 1

    @model_serializer
    def _remade(self) -> dict[str, str]:
        return {"made": "of it"}


class Excluding(BaseModel):
    x: int = 1
    left_out: bytes = Field(b"\xff", exclude=True)
    maybe: int = Field(0, exclude_if=lambda value: value == 0)
    _private: bytes = b"\xff"


class NoneByDefault(BaseModel):
    x: str = None  # type: ignore[assignment]


class Lazy(BaseModel):
    items: Iterable[int]


class Box(BaseModel, Generic[T]):
    value: T


class Units(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float", ser_json_bytes="base64")
    took: datetime.timedelta
    raw: bytes


class Tree(BaseModel):
    children: list[Tree] = []


class Names(RootModel[list[str]]):
    pass


class Ages(RootModel[dict[str, int]]):
    pass


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2


@dataclasses.dataclass(slots=True, frozen=True)
class SlottedPoint:
    x: int


class Movie(typing.TypedDict, total=False):
    name: typing.Required[str]
    year: int


class Film(typing_extensions.TypedDict):
    name: str
    made_from: typing_extensions.NotRequired[Movie]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Color(enum.Enum):
    RED = "red"
    NUMBER = 3


class Plain:
    x: int
    _hidden: int = 2
    shared: typing.ClassVar[int] = 3

    def __init__(self) -> None:
        self.x = 1


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    age: int = 1


GOOD: dict[str, tuple[Any, Any, Any]] = {
    "aliases of both kinds": (Aliased, Aliased.model_validate({}), {"One": 1, "Two": 2, "three": 3, "four": 4}),
    "an alias generator": (Generated, Generated.model_validate({"WORD": "w"}), {"WORD": "w"}),
    "a computed field of a closed model": (Closed, Closed(), {"x": 1, "Double": 2}),
    "a subclass of a closed model": (Closed, Wider(), {"x": 1, "Double": 2}),
    "a subclass of an open model": (Open, OpenWider(), {"x": 1, "y": 2}),
    "extra fields": (Open, Open(z=[1]), {"x": 1, "z": [1]}),  # type: ignore[call-arg]
    "serializers, typed or not": (Serialized, Serialized(), {"typed": "<1>", "untyped": "<2>", "wrapped": [3]}),
    "a model serializer": (Remade, Remade(), {"made": "of it"}),
    "fields that are not sent": (Excluding, Excluding.model_validate({}), {"x": 1}),
    "None as a default": (NoneByDefault, NoneByDefault(), {"x": None}),
    "an iterable field": (Lazy, lambda: Lazy(items=iter([1, 2])), {"items": [1, 2]}),
    "a generic model": (Box[int], Box[int](value=1), {"value": 1}),
    "units of the configuration": (
        Units,
        Units(took=datetime.timedelta(seconds=2), raw=b"\xff"),
        {"took": 2.0, "raw": "_w=="},
    ),
    "a model within itself": (Tree, Tree(children=[Tree()]), {"children": [{"children": []}]}),
    "a root that is a list": (Names, Names(["a"]), {"result": ["a"]}),
    "a root that is a dict": (Ages, Ages({"a": 1}), {"a": 1}),
    "a dataclass": (Point, Point(1), {"x": 1, "y": 2}),
    "a dataclass with slots": (SlottedPoint, SlottedPoint(1), {"x": 1}),
    "a TypedDict of typing": (Movie, {"name": "n"}, {"name": "n"}),
    "a TypedDict within another": (Film, {"name": "n", "made_from": {"name": "m"}}, None),
    "a named tuple": (Pair, Pair(1), {"result": [1, "r"]}),
    "an enum": (Color, Color.RED, {"result": "red"}),
    "an ordinary class": (Plain, Plain(), {"x": 1}),
    "a tagged union": (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(), {"result": {"kind": "dog", "age": 1}}),
    "a union with None": (Cat | None, None, {"result": None}),
    "a date and time": (datetime.datetime, datetime.datetime(2020, 1, 2), {"result": "2020-01-02T00:00:00"}),
    "keys that are dates": (dict[datetime.date, int], {datetime.date(2020, 1, 2): 1}, {"result": {"2020-01-02": 1}}),
    "a decimal": (decimal.Decimal, decimal.Decimal("1.50"), {"result": "1.50"}),
    "a UUID": (uuid.UUID, uuid.UUID(int=1), {"result": str(uuid.UUID(int=1))}),
    "a serializer in an annotation": (
        Annotated[int, PlainSerializer(lambda value: f"{value}!", return_type=str)],
        3,
        {"result": "3!"},
    ),
    "a mapping": (Mapping[str, int], {"a": 1}, {"result": {"a": 1}}),
    "a default dict": (collections.defaultdict[str, int], collections.defaultdict(int, a=1), {"result": {"a": 1}}),
    "an iterable": (Iterable[int], lambda: iter([1, 2]), {"result": [1, 2]}),
    "anything": (Any, {"a": [1]}, {"result": {"a": [1]}}),
    "nothing": (None, None, {"result": None}),
    "a huge number": (int, 10**400, {"result": 10**400}),
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("label", GOOD)
async def test_structured_content_conforms_to_the_output_schema(label: str, mode: str) -> None:
    annotation, value, expected = GOOD[label]
    assert await conforming(annotation, value, mode) == (value if expected is None else expected)


NAMES = st.from_regex(r"[a-z][a-z_]{0,5}[a-z]", fullmatch=True).filter(lambda name: not hasattr(BaseModel, name))
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    datetime.date: st.dates(),
    datetime.datetime: st.datetimes(),
    datetime.timedelta: st.timedeltas(),
    decimal.Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Color: st.sampled_from(Color),
    Literal["a", 1]: st.sampled_from(["a", 1]),
    Pair: st.builds(Pair, st.integers()),
    Serialized: st.builds(Serialized),
    Closed: st.builds(Closed, x=st.integers()),
    Point: st.builds(Point, st.integers()),
}


@st.composite
def models(draw: st.DrawFn) -> tuple[type[BaseModel], BaseModel]:
    """A model of any fields, and an instance of it."""
    fields: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(list(LEAVES)))
        form = draw(st.sampled_from(["alone", "list", "dict", "optional"]))
        leaf = LEAVES[kind]
        annotation, value = {
            "alone": (kind, leaf),
            "list": (list[kind], st.lists(leaf, max_size=2)),  # type: ignore[valid-type]
            "dict": (dict[str, kind], st.dictionaries(LEAVES[str], leaf, max_size=2)),  # type: ignore[valid-type]
            "optional": (kind | None if isinstance(kind, type) else typing.Optional[kind], st.none() | leaf),  # noqa: UP045
        }[form]
        key = draw(st.sampled_from(["alias", "serialization_alias", "validation_alias", "none"]))
        given: dict[str, Any] = {} if key == "none" else {key: f"{name} {key}"}
        fields[name] = (annotation, Field(**given, exclude=draw(st.booleans()) or None))
        values[name] = draw(value)
    config = ConfigDict(
        extra=draw(st.sampled_from(["forbid", "ignore", "allow"])),
        alias_generator=draw(st.sampled_from([None, str.upper])),
        populate_by_name=True,
        use_enum_values=draw(st.booleans()),
    )
    model = create_model("Made", __config__=config, **fields)
    return model, model.model_validate(values, by_name=True)


@given(models())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_model_of_any_fields_conforms_to_its_schema(made: tuple[type[BaseModel], BaseModel]) -> None:
    model, instance = made
    for annotation, value in ((model, instance), (list[model], [instance]), (model | None, instance)):  # type: ignore[valid-type]
        output, warnings = output_of(inspect_function(returning(annotation, value)), None)
        assert output is not None
        assert warnings == ()
        Draft202012Validator.check_schema(output.schema)
        Draft202012Validator(output.schema).validate(output.structured(value, lambda same: same))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_value_that_was_never_validated_is_an_error_and_no_unfit_content(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    unfit = Closed.model_construct(x="text")
    async with connect(plugin_of(returning(Closed, unfit)), mode=mode) as client:
        await client.list_tools()
        result = await client.call_tool("t", {})
    assert result.is_error
    assert "does not conform to the output schema" in caplog.text


class Series:
    """As pandas has them: hints that name what is imported for type checkers only."""

    frame: Frame

    def __str__(self) -> str:
        return "a series"


def one() -> Iterator[str]:
    yield "x"


async def one_later() -> AsyncIterator[str]:
    yield "x"


async def task() -> Awaitable[str]:
    return asyncio.ensure_future(asyncio.sleep(0, "x"))


def behind() -> Frame:
    return "x"


def done() -> concurrent.futures.Future[str]:
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    future.set_result("x")
    return future


def never() -> NoReturn:
    raise ValueError


WITHOUT: dict[str, tuple[Callable[..., Any], str | None]] = {
    "hints behind TYPE_CHECKING": (returning(Series, Series()), '"a series"'),
    "a name behind TYPE_CHECKING": (behind, "x"),
    "a match": (returning(re.Match[str] | None, None), ""),
    "an iterator": (one, "x"),
    "an asynchronous iterator": (one_later, "x"),
    "a generator": (returning(Generator[str, None, None], one), "x"),
    "a list of iterators": (returning(list[Iterator[str]], lambda: [one()]), "x"),
    "a future": (done, None),
    "an awaitable": (task, "x"),
    "no return": (never, None),
    "a protocol": (returning(typing.SupportsInt, 3), "3"),
    "a function": (returning(Callable[[], int], None), ""),
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("label", WITHOUT)
async def test_an_annotation_without_a_schema_costs_the_schema_only(label: str, mode: str) -> None:
    fn, text = WITHOUT[label]
    plugin = plugin_of(fn)
    record = make_host({"p": plugin}).records[0]
    assert record.problem is None
    assert any("there is no output schema" in warning.what for warning in record.warnings)
    async with connect(plugin, mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.output_schema is None
        if text is not None:
            result = await client.call_tool("t", {})
            assert not result.is_error, result.content
            assert "".join(getattr(block, "text", "") for block in result.content) == text


@pytest.mark.parametrize("annotation", [dict, list, typing.Dict, typing.List, object])  # noqa: UP006
def test_an_untyped_annotation_has_no_schema_and_no_warning(annotation: Any) -> None:
    assert output_of(inspect_function(returning(annotation, None)), None) == (None, ())


def test_an_author_who_requires_structured_output_gets_it_or_an_error() -> None:
    with pytest.raises(HostError, match="no JSON Schema"):
        output_of(inspect_function(returning(re.Match[str], None)), True)
    assert output_of(inspect_function(returning(int, 1)), False) == (None, ())


# Results that the author makes


class WithDefault(BaseModel):
    size: int = Field(serialization_alias="howLarge")
    unit: str = "m"


OWN_RESULTS: dict[str, tuple[Any, dict[str, Any] | None, dict[str, Any] | None]] = {
    "any, nothing structured": (Any, None, {"result": None}),
    "any, an object": (Any, {"a": 1}, {"result": {"a": 1}}),
    "any, the whole content": (Any, {"result": 1}, {"result": 1}),
    "a list": (Annotated[types.CallToolResult, list[int]], {"result": [1]}, {"result": [1]}),
    "a list, nothing structured": (Annotated[types.CallToolResult, list[int]], None, None),
    "a model": (Annotated[types.CallToolResult, WithDefault], {"size": 1}, {"howLarge": 1, "unit": "m"}),
    "a model, unfit": (Annotated[types.CallToolResult, WithDefault], {"size": "large"}, None),
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("label", OWN_RESULTS)
async def test_a_result_that_the_author_makes_conforms_to_the_schema_too(label: str, is_async: bool, mode: str) -> None:
    annotation, structured, expected = OWN_RESULTS[label]
    own = types.CallToolResult(content=[types.TextContent(type="text", text="x")], structured_content=structured)

    async def later() -> Any:
        return own

    fn = later if is_async else returning(Any, own)
    fn.__annotations__ = {"return": annotation}
    async with connect(plugin_of(fn), mode=mode) as client:
        # The client raises if the content does not conform.
        result = await client.call_tool("t", {})
    assert result.is_error == (expected is None)
    assert result.structured_content == expected


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_error_that_the_author_makes_needs_no_structured_content(mode: str) -> None:
    own = types.CallToolResult(content=[types.TextContent(type="text", text="why")], is_error=True)
    async with connect(plugin_of(returning(Any, own)), mode=mode) as client:
        result = await client.call_tool("t", {})
    assert result.is_error
    assert result.structured_content is None
