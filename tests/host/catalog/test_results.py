"""What a plugin's results need to be made, its own thread makes, within the deadline, once, and under its caps."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import mcp.types as types
import pytest
from mcp import Client
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.prompts.base import AssistantMessage
from mcp.types import PromptReference
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_serializer

from mcp_host import Completion, Plugin, Prompt, Resource, SchemaTool, Tool
from mcp_host.testing import connect
from support.parts import plugin_of

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Watched:
    """Notes the threads in which a plugin's code runs, and holds it up until another plugin was called."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.started = threading.Event()
        self.may_end = threading.Event()
        self.loop_thread = threading.get_ident()

    def work(self) -> None:
        self.threads.append(threading.get_ident())
        self.started.set()
        # Where this is the loop's thread nobody can set the event, and waiting would hang.
        if threading.get_ident() != self.loop_thread:
            self.may_end.wait(60)

    def noting(self, value: int) -> int:
        self.work()
        return value

    def check(self, times: int) -> None:
        assert len(self.threads) == times
        assert self.loop_thread not in self.threads


def other() -> Plugin:
    async def answer() -> str:
        return "answered"

    return plugin_of(Tool(answer))


async def while_another_answers(watched: Watched, plugin: Plugin, mode: str, ask: Callable[[Client], Any]) -> Any:
    """What `ask` gets of a plugin, while whose code runs another plugin has answered a call."""
    async with connect({"slow": plugin, "other": other()}, mode=mode) as client, asyncio.TaskGroup() as group:
        asked = group.create_task(ask(client))
        await asyncio.to_thread(watched.started.wait, 60)
        result = await client.call_tool("answer", {})
        assert texts(result) == ["answered"]
        assert not asked.done()
        watched.may_end.set()
        return await asked


def texts(result: types.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, types.TextContent)]


def call(client: Client) -> Any:
    return client.call_tool("give", {})


# Everything that runs code after the function has returned


def cases(watched: Watched) -> dict[str, tuple[Callable[..., Any], list[str], int]]:
    class Computed(BaseModel):
        @computed_field  # type: ignore[prop-decorator]
        @property
        def x(self) -> int:
            watched.work()
            return 1

    class Serialized(BaseModel):
        x: int = 0

        @field_serializer("x")
        def _x(self, value: int) -> int:
            watched.work()
            return 1

    class Dumping(BaseModel):
        x: int = 1

        def model_dump(self, **options: Any) -> dict[str, Any]:
            watched.work()
            return super().model_dump(**options)

    class Shown:
        def __str__(self) -> str:
            watched.work()
            return "shown"

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Items(BaseModel):
        items: Iterable[int]

    @dataclasses.dataclass(slots=True)
    class Slotted:
        items: Any

    def numbers() -> Iterator[int]:
        watched.work()
        yield 1
        yield 2

    async def numbers_later() -> AsyncIterator[Any]:
        yield map(watched.noting, [1])
        yield 2

    async def later(value: Any) -> Any:
        return value

    def computed() -> Computed:
        return Computed()

    async def computed_later() -> Computed:
        return Computed()

    def without_schema():  # type: ignore[no-untyped-def]
        return Computed()

    async def serialized() -> Serialized:
        return Serialized()

    async def serialized_in_list() -> list[Serialized]:
        return [Serialized()]

    async def dumping() -> Any:
        return {"x": 1}

    # Their annotations name local classes, which are out of reach for whoever evaluates the text.
    computed.__annotations__ = computed_later.__annotations__ = {"return": Computed}
    serialized.__annotations__, dumping.__annotations__ = {"return": Serialized}, {"return": Dumping}
    serialized_in_list.__annotations__ = {"return": list[Serialized]}

    model, items = '{\n  "x": 1\n}', '{\n  "items": [\n    1,\n    2\n  ]\n}'
    return {
        "a generator": (numbers, ["1", "2"], 1),
        "a generator of an async function": (lambda: later(numbers()), ["1", "2"], 1),
        "an iterator among the items of an async generator": (numbers_later, ["1", "2"], 1),
        "a map": (lambda: map(watched.noting, [1]), ["1"], 1),
        "a generator in a list": (lambda: [numbers()], ["1", "2"], 1),
        "a generator in a dict": (lambda: later({"items": numbers()}), [items], 1),
        "a generator in a deque": (lambda: collections.deque([numbers()]), ["1", "2"], 1),
        "a generator in a model": (lambda: later(Items(items=numbers())), [items], 1),
        "a generator among extra fields": (lambda: Open(items=numbers()), [items], 1),  # type: ignore[call-arg]
        "a generator in a dataclass with slots": (lambda: Slotted(numbers()), [items], 1),
        "a computed field": (computed, [model], 1),
        "a computed field, async": (computed_later, [model], 1),
        "a computed field without a schema": (without_schema, [model], 1),
        "a serializer": (serialized, [model], 1),
        "a serializer in a list": (serialized_in_list, [model], 1),
        "a model_dump of its own": (dumping, [model], 1),
        "__str__": (lambda: later(Shown()), ['"shown"'], 1),
    }


@MODES
@pytest.mark.parametrize("label", cases(Watched()))
async def test_code_that_makes_a_result_runs_once_and_in_the_plugins_thread(label: str, mode: str) -> None:
    watched = Watched()
    fn, expected, times = cases(watched)[label]
    result = await while_another_answers(watched, plugin_of(Tool(fn, name="give")), mode, call)
    assert not result.is_error, result.content
    assert texts(result) == expected
    watched.check(times)


@MODES
@pytest.mark.parametrize("uri", ["x://fixed", "x://{name}"])
async def test_a_generator_of_a_resource_runs_in_the_plugins_thread(uri: str, mode: str) -> None:
    watched = Watched()

    def items(**_: str) -> Iterator[int]:
        watched.work()
        yield 1

    def fixed() -> Iterator[int]:
        return items()

    def named(name: str) -> Iterator[int]:
        return items()

    plugin = plugin_of(Resource(uri, named if "{" in uri else fixed, name="r"))
    result = await while_another_answers(watched, plugin, mode, lambda client: client.read_resource("x://fixed"))
    assert result.contents[0].text == "[\n  1\n]"
    watched.check(1)


async def three_later() -> AsyncIterator[Any]:
    yield "one"
    yield AssistantMessage("two")
    yield types.PromptMessage(role="user", content=types.TextContent(type="text", text="three"))


@MODES
@pytest.mark.parametrize("form", ["sync", "async"])
async def test_a_prompt_that_is_a_generator_is_several_messages(form: str, mode: str) -> None:
    watched = Watched()

    def three() -> Iterator[Any]:
        watched.work()
        yield "one"
        yield AssistantMessage("two")
        yield {"role": "user", "content": {"type": "text", "text": "three"}}

    def get(client: Client) -> Any:
        return client.get_prompt("p")

    if form == "sync":
        result = await while_another_answers(watched, plugin_of(Prompt(three, name="p")), mode, get)
        watched.check(1)
    else:
        async with connect(plugin_of(Prompt(three_later, name="p")), mode=mode) as client:
            result = await get(client)
    assert [(message.role, message.content.text) for message in result.messages] == [
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
    ]


def endless() -> Iterator[str]:
    while True:
        yield "again"


async def endless_later() -> AsyncIterator[str]:
    while True:
        yield "again"


@MODES
@pytest.mark.parametrize("fn", [endless, endless_later])
async def test_a_completer_without_an_end_gives_its_first_hundred(fn: Callable[[], Any], mode: str) -> None:
    plugin = plugin_of(Prompt(lambda word: word, name="p"), Completion("p", "word", lambda value: fn()))
    async with connect(plugin, mode=mode) as client:
        found = await client.complete(PromptReference(type="ref/prompt", name="p"), {"name": "word", "value": "a"})
    assert found.completion.values == ["again"] * 100
    assert found.completion.has_more is True


class Endless(BaseModel):
    items: Iterable[str]


@MODES
@pytest.mark.parametrize(
    "fn",
    [
        endless,
        endless_later,
        lambda: {"a": [endless()]},
        lambda: Endless(items=endless()),
        lambda: collections.OrderedDict(a=endless()),
    ],
)
async def test_an_iterator_without_an_end_is_refused_at_the_cap(fn: Callable[[], Any], mode: str) -> None:
    options = {"plugins": {"slow": {"limits": {"result_size": 1000}}}}
    async with connect(
        {"slow": plugin_of(Tool(fn, name="give")), "other": other()}, mode=mode, options=options
    ) as client:
        result = await call(client)
        assert result.is_error
        assert "larger than the 1000 bytes" in texts(result)[0]
        assert texts(await client.call_tool("answer", {})) == ["answered"]


def tick_forever(ended: threading.Event) -> Callable[..., Any]:
    def ticks() -> Iterator[str]:
        gate = threading.Event()
        try:
            while True:
                gate.wait(0.01)
                yield "x"
        finally:
            ended.set()

    return ticks


@MODES
@pytest.mark.parametrize("kind", ["tool", "resource", "template", "prompt", "completion"])
async def test_an_iterator_without_an_end_ends_with_the_deadline(kind: str, mode: str) -> None:
    ended = threading.Event()
    ticks = tick_forever(ended)
    requests: dict[str, tuple[list[Any], Callable[[Client], Any]]] = {
        "tool": ([Tool(ticks, name="give", timeout=0.1)], call),
        "resource": ([Resource("x://r", ticks, timeout=0.1)], lambda client: client.read_resource("x://r")),
        "template": (
            [Resource("x://{a}", lambda a: ticks(), timeout=0.1)],
            lambda client: client.read_resource("x://r"),
        ),
        "prompt": ([Prompt(ticks, name="p", timeout=0.1)], lambda client: client.get_prompt("p")),
        "completion": (
            [Prompt(lambda word: word, name="p"), Completion("p", "word", lambda value: ticks())],
            lambda client: client.complete(PromptReference(type="ref/prompt", name="p"), {"name": "word", "value": ""}),
        ),
    }
    parts, ask = requests[kind]
    options = {"plugins": {"slow": {"timeout": 0.1}}}
    async with connect({"slow": plugin_of(*parts), "other": other()}, mode=mode, options=options) as client:
        if kind == "tool":
            assert (await ask(client)).is_error
        else:
            with pytest.raises(Exception, match=r"0\.1"):
                await ask(client)
        assert await asyncio.to_thread(ended.wait, 60)
        assert texts(await client.call_tool("answer", {})) == ["answered"]


# Caps


class Hiding(BaseModel):
    x: int = 1
    left_out: bytes = Field(b"\xff" * 5000, exclude=True)
    _private: str = "p" * 5000


@dataclasses.dataclass(slots=True)
class Slotted:
    text: str


@MODES
async def test_what_is_never_sent_counts_for_no_cap(mode: str) -> None:
    def give() -> Hiding:
        return Hiding.model_validate({})

    options = {"plugins": {"plugin": {"limits": {"result_size": 1000}}}}
    async with connect(plugin_of(Tool(give)), mode=mode, options=options) as client:
        assert (await call(client)).structured_content == {"x": 1}


class Growing(BaseModel):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        return "x" * 5000


class Long:
    def __str__(self) -> str:
        return "x" * 5000


LARGE: dict[str, Callable[[], Any]] = {
    "a list": lambda: ["x" * 600] * 2,
    "a computed field": Growing,
    "__str__": Long,
    "a dataclass with slots": lambda: Slotted("x" * 5000),
    "a set": lambda: {"x" * 600, "y" * 600},
    "a generator": lambda: (character * 600 for character in "xy"),
}


@MODES
@pytest.mark.parametrize("label", LARGE)
async def test_a_result_over_the_cap_is_refused_whatever_makes_it_large(label: str, mode: str) -> None:
    def give() -> Any:
        return LARGE[label]()

    options = {"plugins": {"plugin": {"limits": {"result_size": 1000}}}}
    for structured in (None, False) if label != "__str__" else (False,):
        plugin = plugin_of(Tool(give, structured_output=structured))
        async with connect(plugin, mode=mode, options=options) as client:
            result = await call(client)
        assert result.is_error
        assert "larger than the 1000 bytes" in texts(result)[0]


@MODES
@pytest.mark.parametrize(
    ("text", "structured", "fits"), [(900, 900, True), (1100, 10, False), (10, 1100, False), (900, 0, True)]
)
async def test_what_a_result_says_as_text_and_as_structure_counts_once(
    text: int, structured: int, fits: bool, mode: str
) -> None:
    def give() -> types.CallToolResult:
        block = types.TextContent(type="text", text="x" * text)
        return types.CallToolResult(
            content=[block], structured_content={"a": "y" * (structured - 12)} if structured else None
        )

    options = {"plugins": {"plugin": {"limits": {"result_size": 1000}}}}
    async with connect(plugin_of(Tool(give)), mode=mode, options=options) as client:
        result = await call(client)
    assert result.is_error is not fits
    assert fits or "larger than the 1000 bytes" in texts(result)[0]


@MODES
@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": float("-inf")}, Slotted(float("nan"))])  # type: ignore[arg-type]
async def test_a_number_that_json_does_not_have_is_refused(value: Any, mode: str) -> None:
    async with connect(plugin_of(Tool(lambda: value, name="give")), mode=mode) as client:
        result = await call(client)
    assert result.is_error
    assert "NaN or an infinity" in texts(result)[0]


# What JSON does not know


class Unknown:
    """An object that JSON does not know. Its text is `shown`."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def __str__(self) -> str:
        self._watched.work()
        return "shown"


def unknown_parts(watched: Watched) -> dict[str, tuple[Any, Callable[[Client], Any], Any]]:
    unknown = Unknown(watched)
    block = types.TextContent(type="text", text="x", _meta={"about": unknown})

    def with_return(annotation: Any, value: Any) -> Callable[[], Any]:
        def work() -> Any:
            return value

        work.__annotations__ = {"return": annotation}
        return work

    async def later() -> Any:
        return unknown

    def tool(fn: Callable[[], Any], **options: Any) -> Any:
        return Tool(fn, name="work", **options)

    def schema_tool(value: Any) -> Any:
        return SchemaTool("work", {"type": "object"}, lambda arguments, ctx: value, {"type": "object"})

    async def called(client: Client) -> Any:
        result = await client.call_tool("work", {})
        assert not result.is_error, texts(result)
        metas = [block.meta for block in result.content if block.meta]
        return result.structured_content or texts(result), (result.meta or {}).get("about", metas)

    async def read(client: Client) -> Any:
        (contents,) = (await client.read_resource("x://y")).contents
        assert isinstance(contents, types.TextResourceContents)
        return contents.text, (contents.meta or {}).get("about")

    async def prompted(client: Client) -> Any:
        (message,) = (await client.get_prompt("ask")).messages
        assert isinstance(message.content, types.TextContent)
        return message.content.text, message.content.meta

    text = [types.TextContent(type="text", text="x")]
    structured = types.CallToolResult(content=list(text), structured_content={"a": unknown})
    with_meta = types.CallToolResult(content=list(text), _meta={"about": unknown})
    contents = ReadResourceContents(content="x", mime_type="text/plain", meta={"about": unknown})
    messages = [types.PromptMessage(role="user", content=block)]
    return {
        "any": (tool(with_return(Any, unknown)), called, ({"result": "shown"}, [])),
        "any, async": (tool(later), called, ({"result": "shown"}, [])),
        "list": (tool(with_return(list[Any], [unknown])), called, ({"result": ["shown"]}, [])),
        "dict": (tool(with_return(dict[str, Any], {"a": [unknown]})), called, ({"a": ["shown"]}, [])),
        "key": (tool(with_return(Any, {unknown: 1})), called, ({"result": {"shown": 1}}, [])),
        "object": (tool(with_return(object, unknown)), called, (['"shown"'], [])),
        "no structured output": (
            tool(with_return(Any, unknown), structured_output=False),
            called,
            (['"shown"'], []),
        ),
        "schema tool": (schema_tool({"a": unknown}), called, ({"a": "shown"}, [])),
        "result of the author's": (tool(with_return(types.CallToolResult, structured)), called, ({"a": "shown"}, [])),
        "meta of a result": (tool(with_return(types.CallToolResult, with_meta)), called, (["x"], "shown")),
        "meta of a block": (tool(with_return(types.TextContent, block)), called, (["x"], [{"about": "shown"}])),
        "resource": (Resource("x://y", lambda: unknown), read, ('"shown"', None)),
        "resource with a dict": (Resource("x://y", lambda: {"a": unknown}), read, ('{\n  "a": "shown"\n}', None)),
        "meta of contents": (Resource("x://y", lambda: contents), read, ("x", "shown")),
        "prompt": (Prompt(lambda: unknown, name="ask"), prompted, ('"shown"', None)),
        "meta of a message": (Prompt(lambda: messages, name="ask"), prompted, ("x", {"about": "shown"})),
    }


@MODES
@pytest.mark.parametrize("label", unknown_parts(Watched()))
async def test_an_object_that_json_does_not_know_is_sent_as_its_text(label: str, mode: str) -> None:
    watched = Watched()
    part, ask, expected = unknown_parts(watched)[label]
    assert await while_another_answers(watched, plugin_of(part), mode, ask) == expected
    watched.check(1)


@MODES
@pytest.mark.parametrize("make", [threading.Lock, lambda: re.match("a", "a"), object, lambda: len, lambda: re])
async def test_any_object_has_a_text(make: Callable[[], Any], mode: str) -> None:
    value = make()

    def work() -> Any:
        return value

    async with connect(plugin_of(Tool(work)), mode=mode) as client:
        assert (await client.call_tool("work", {})).structured_content == {"result": str(value)}
