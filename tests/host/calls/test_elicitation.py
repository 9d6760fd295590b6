"""Elicitation: time limits, answers that do not fit, and the kinds of forms."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Any, Literal

import anyio
import anyio.from_thread
import pytest
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp.client._memory import InMemoryTransport
from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import Elicit, ListRoots, Resolve, Sample
from mcp.shared.message import SessionMessage
from mcp.types import (
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    JSONRPCResponse,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field, create_model

from mcp_host import Context, Plugin, ToolError
from mcp_host.catalog.forms import AnswerError
from mcp_host.containment.runner import Work
from mcp_host.plugins.breaker import CircuitBreaker
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.talking import failure_of, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

SECRET = "x7Qp"
"""What a client sends in answers that do not fit, and no text repeats."""


class Person(BaseModel):
    name: Annotated[str, Field(min_length=5)]


SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "minLength": 5}}, "required": ["name"]}
HELLO = SamplingMessage(role="user", content=TextContent(type="text", text="hello"))


def ask_person() -> Elicit[Person]:
    return Elicit("Who?", Person)


async def ask_person_async() -> Elicit[Person]:
    return Elicit("Who?", Person)


def ask_model() -> Sample:
    return Sample([HELLO], max_tokens=1)


def ask_roots() -> ListRoots:
    return ListRoots()


def make_plugin() -> Plugin:
    """One tool for each way to ask, named as the way."""
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def elicit(ctx: Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    @plugin.tool(structured_output=False)
    def elicit_in_thread(ctx: Context) -> str:
        return anyio.from_thread.run(ctx.elicit, "Who?", Person).action

    @plugin.tool(structured_output=False)
    async def elicit_url(ctx: Context) -> Any:
        return (await ctx.elicit_url("Sign in", "https://example.com/", "id1")).action

    @plugin.tool(structured_output=False)
    async def session_form(ctx: Context) -> Any:
        return (await ctx.session.elicit_form("Who?", SCHEMA, ctx.request_id)).action

    @plugin.tool(structured_output=False)
    async def session_url(ctx: Context) -> Any:
        return (await ctx.session.elicit_url("Sign in", "https://example.com/", "id1", ctx.request_id)).action

    @plugin.tool(structured_output=False)
    async def session_request(ctx: Context) -> Any:
        params = ElicitRequestFormParams(message="Who?", requested_schema=SCHEMA)
        return (await ctx.session.send_request(ElicitRequest(params=params), ElicitResult)).action

    @plugin.tool(structured_output=False)
    async def session_sample(ctx: Context) -> Any:
        return (await ctx.session.create_message([HELLO], max_tokens=1, related_request_id=ctx.request_id)).role

    @plugin.tool(structured_output=False)
    async def session_roots(ctx: Context) -> int:
        return len((await ctx.session.send_request(ListRootsRequest(), ListRootsResult)).roots)

    @plugin.tool(structured_output=False)
    async def resolved(person: Annotated[Person, Resolve(ask_person)]) -> str:
        return person.name

    @plugin.tool(structured_output=False)
    async def resolved_async(person: Annotated[Person, Resolve(ask_person_async)]) -> str:
        return person.name

    @plugin.tool(structured_output=False)
    async def resolved_sample(sample: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
        return sample.role

    @plugin.tool(structured_output=False)
    async def resolved_roots(roots: Annotated[ListRootsResult, Resolve(ask_roots)]) -> int:
        return len(roots.roots)

    @plugin.resource("ask://person")
    async def person(ctx: Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    @plugin.tool(structured_output=False)
    async def nested(ctx: Context) -> str:
        return "".join(str(part.content) for part in await ctx.read_resource("ask://person"))

    @plugin.tool(structured_output=False)
    async def fine() -> str:
        return "fine"

    return plugin


FORMS = ("elicit", "elicit_in_thread", "session_form", "resolved", "resolved_async", "nested")
WAYS = (
    *FORMS,
    "elicit_url",
    "session_url",
    "session_request",
    "session_sample",
    "session_roots",
    "resolved_sample",
    "resolved_roots",
)


class AnsweringUser:
    """Whoever sits at the client: gives the same answer to everything, after `think`."""

    def __init__(self, think: Callable[[], Any] | None = None, answer: ElicitResult | ErrorData | None = None) -> None:
        self._think = think
        self._answer = answer
        self.asked = 0
        self.forms: list[dict[str, Any]] = []

    async def _asked(self) -> None:
        self.asked += 1
        if self._think is not None:
            await self._think()

    async def elicit(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        await self._asked()
        if isinstance(params, ElicitRequestFormParams):
            self.forms.append(params.requested_schema)
            return self._answer or ElicitResult(action="accept", content={"name": "Annabel"})
        return self._answer or ElicitResult(action="accept")

    async def sample(self, context: ClientRequestContext, params: Any) -> CreateMessageResult | ErrorData:
        await self._asked()
        if isinstance(self._answer, ErrorData):
            return self._answer
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="4"), model="m")

    async def roots(self, context: ClientRequestContext) -> ListRootsResult | ErrorData:
        await self._asked()
        return self._answer if isinstance(self._answer, ErrorData) else ListRootsResult(roots=[])

    @property
    def callbacks(self) -> dict[str, Any]:
        return {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.roots,
        }


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# Time


@pytest.mark.parametrize("way", WAYS)
async def test_the_time_until_the_answer_is_not_part_of_the_call(way: str) -> None:
    began = 0.0

    async def think() -> None:
        await anyio.sleep_until(began + 1.2)  # the call's deadline is at 1

    answering = AnsweringUser(think)
    options = {"host": {"call_timeout": 1}}
    async with connect(make_plugin(), mode="legacy", options=options, **answering.callbacks) as client:
        began = anyio.current_time()
        result = await client.call_tool(way, {})
        assert anyio.current_time() > began + 1.2
        assert (result.is_error, answering.asked) == (False, 1), text_of(result)


async def test_in_2026_07_28_the_time_between_the_rounds_is_not_part_of_the_call() -> None:
    async def think() -> None:
        await anyio.sleep_until(began + 1.2)

    began = anyio.current_time()
    answering = AnsweringUser(think)
    async with connect(make_plugin(), options={"host": {"call_timeout": 1}}, **answering.callbacks) as client:
        began = anyio.current_time()
        assert text_of(await client.call_tool("resolved", {})) == "Annabel"


def work_of(limits: dict[str, Any]) -> Work:
    plugin: LoadedPlugin = make_host(make_plugin(), options={"host": {"limits": limits}}).plugins[0]
    return Work(plugin, "a call", asyncio.get_running_loop().time() + 100)


async def test_after_the_answer_the_call_has_as_much_time_left_as_before_the_question() -> None:
    work, loop = work_of({"answer_timeout": 7}), asyncio.get_running_loop()
    before = work.deadline
    assert before is not None
    outside = loop.time()
    with work.asking():
        inside = loop.time()
        assert work.deadline is not None
        assert outside + 7 <= work.deadline <= inside + 7
        with work.asking():
            await anyio.sleep_until(inside + 0.05)  # the user thinks
        assert work.is_asking, "the first question is still open"
        inside = loop.time() - inside
    outside = loop.time() - outside
    assert work.deadline is not None
    assert not work.is_asking
    assert inside <= work.deadline - before <= outside


async def test_progress_during_a_question_gives_the_whole_time_from_the_answer() -> None:
    work, loop = work_of({}), asyncio.get_running_loop()
    with work.asking():
        work.extend(50)
        inside = loop.time()
    assert work.deadline is not None
    assert inside + 50 <= work.deadline <= loop.time() + 50


@pytest.mark.parametrize("extends", [False, True])
async def test_after_the_answer_the_deadline_still_ends_the_call(extends: bool) -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def hang(ctx: Context) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ctx.elicit, "Who?", Person)
            await asked.wait()
            await ctx.report_progress(1)
        await anyio.sleep_forever()

    asked = anyio.Event()

    async def think() -> None:
        asked.set()

    options = {"host": {"call_timeout": 0.2, "limits": {"progress_extends": extends}}}
    answering = AnsweringUser(think)
    async with connect(plugin, mode="legacy", options=options, **answering.callbacks) as client:
        assert "did not finish within 0.2 s" in failure_of(await client.call_tool("hang", {}))


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_never_answers_ends_the_call_and_does_not_count_against_the_plugin(way: str) -> None:
    answering = AnsweringUser(anyio.sleep_forever)
    limits = {"answer_timeout": 0.2, "calls": 1, "queue": 0, "failures": 1}
    host = make_host(make_plugin(), options={"host": {"limits": limits}})
    async with host.running(), Client(HostServer(host), mode="legacy", **answering.callbacks) as client:
        with anyio.fail_after(30):
            result = await client.call_tool(way, {})
        assert failure_of(result) == (
            f"tool {way} of plugin plugin was stopped: the client did not answer its question within 0.2 s"
        )
        assert text_of(await client.call_tool("fine", {})) == "fine"
        assert host.plugins[0].bulkhead.health.circuit.failures == 0


async def test_a_question_of_another_plugin_s_resource_stops_the_time_of_both() -> None:
    reader = Plugin()

    @reader.tool(structured_output=False)
    async def read(ctx: Context) -> str:
        return "".join(str(part.content) for part in await ctx.read_resource("ask://person"))

    async def think() -> None:
        await anyio.sleep_until(began + 1.2)

    began = anyio.current_time()
    answering = AnsweringUser(think)
    plugins = {"a": reader, "b": make_plugin()}
    options: dict[str, Any] = {"host": {"call_timeout": 1}}
    async with connect(plugins, mode="legacy", options=options, **answering.callbacks) as client:
        began = anyio.current_time()
        assert text_of(await client.call_tool("read", {})) == "accept"
    answering = AnsweringUser(anyio.sleep_forever)
    options["host"]["limits"] = {"answer_timeout": 0.2, "failures": 1}
    async with connect(plugins, mode="legacy", options=options, **answering.callbacks) as client:
        assert "the client did not answer" in failure_of(await client.call_tool("read", {}))
        assert text_of(await client.call_tool("fine", {})) == "fine"


async def test_a_client_that_leaves_while_it_is_asked_does_not_count() -> None:
    asked = anyio.Event()

    async def think() -> None:
        asked.set()
        await anyio.sleep_forever()

    answering = AnsweringUser(think)
    host = make_host(make_plugin())
    async with host.running():
        async with (
            Client(HostServer(host), mode="legacy", **answering.callbacks) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(client.call_tool, "elicit", {})
            await asked.wait()
            assert host.plugins[0].bulkhead.health.calls == 1, "the place stays taken"
            group.cancel_scope.cancel()
        with anyio.fail_after(30):
            while host.plugins[0].bulkhead.health.calls:
                await anyio.lowlevel.checkpoint()
        assert host.plugins[0].bulkhead.health.circuit.failures == 0


# Answers that do not fit

UNFIT: dict[str, tuple[ElicitResult, str]] = {
    "missing": (ElicitResult(action="accept", content={}), "name: Field required"),
    "other field": (ElicitResult(action="accept", content={"nmae": SECRET}), "name: Field required"),
    "short": (ElicitResult(action="accept", content={"name": SECRET}), "name: "),
    "wrong type": (ElicitResult(action="accept", content={"name": [SECRET]}), "name: "),
    "null": (ElicitResult(action="accept", content={"name": None}), "name: "),
    "no content": (ElicitResult(action="accept"), "no content"),
}


class Careless:
    """A client's way to the server that puts something else in place of its answers."""

    def __init__(self, inner: Any, result: dict[str, Any]) -> None:
        self._inner = inner
        self._result = result

    async def send(self, message: SessionMessage) -> None:
        if isinstance(message.message, JSONRPCResponse):
            message.message.result = self._result
        await self._inner.send(message)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Careless:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@asynccontextmanager
async def careless(server: HostServer, result: dict[str, Any]) -> AsyncIterator[Any]:
    async with InMemoryTransport(server) as (read, write):
        yield read, Careless(write, result)


@pytest.mark.parametrize(
    "way", ["elicit", "session_url", "session_form", "session_roots", "resolved", "resolved_sample"]
)
@pytest.mark.parametrize(
    "result", [{"action": "accept", "content": {"name": {"a": SECRET}}}, {"action": "accept", "content": SECRET}, {}]
)
async def test_an_answer_that_the_protocol_does_not_allow_does_not_count(result: dict[str, Any], way: str) -> None:
    host = make_host(make_plugin(), options={"host": {"limits": {"failures": 1}}})
    async with (
        host.running(),
        Client(careless(HostServer(host), result), mode="legacy", **AnsweringUser().callbacks) as client,
    ):
        said = failure_of(await client.call_tool(way, {}))
        assert "is malformed: " in said
        assert SECRET not in said
        assert text_of(await client.call_tool("fine", {})) == "fine"


@pytest.mark.parametrize("way", FORMS)
@pytest.mark.parametrize("answer", UNFIT)
async def test_an_answer_that_does_not_fit_is_reported_without_its_values_and_does_not_count(
    answer: str, way: str
) -> None:
    given, expected = UNFIT[answer]
    options = {"host": {"limits": {"failures": 1}}}
    answering = AnsweringUser(answer=given)
    async with connect(make_plugin(), mode="legacy", options=options, **answering.callbacks) as client:
        for _ in range(2):
            said = failure_of(await client.call_tool(way, {}))
            assert expected in said
            assert SECRET not in said
        assert text_of(await client.call_tool("fine", {})) == "fine"


@pytest.mark.parametrize("answer", UNFIT)
async def test_in_2026_07_28_too(answer: str) -> None:
    given, expected = UNFIT[answer]
    options = {"host": {"limits": {"failures": 1}}}
    answering = AnsweringUser(answer=given)
    async with connect(make_plugin(), options=options, **answering.callbacks) as client:
        for way in ("resolved", "resolved_async"):
            said = failure_of(await client.call_tool(way, {}))
            assert expected in said
            assert SECRET not in said
        assert text_of(await client.call_tool("fine", {})) == "fine"


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_of_the_client_s_is_a_result_that_names_it_and_does_not_count(way: str) -> None:
    options = {"host": {"limits": {"failures": 1}}}
    answering = AnsweringUser(answer=ErrorData(code=-1, message="The user is away"))
    async with connect(make_plugin(), mode="legacy", options=options, **answering.callbacks) as client:
        assert "with an error (-1): The user is away" in failure_of(await client.call_tool(way, {}))
        assert text_of(await client.call_tool("fine", {})) == "fine"


async def test_an_unfit_answer_to_a_resource_or_a_prompt_does_not_count_either() -> None:
    plugin = make_plugin()

    @plugin.prompt
    async def greet(ctx: Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    options = {"host": {"limits": {"failures": 1}}}
    answering = AnsweringUser(answer=ElicitResult(action="accept", content={"name": SECRET}))
    async with connect(plugin, mode="legacy", options=options, **answering.callbacks) as client:
        for ask in (lambda: client.read_resource("ask://person"), lambda: client.get_prompt("greet")):
            with pytest.raises(MCPError, match="does not fit the form: name: "):
                await ask()
        assert text_of(await client.call_tool("fine", {})) == "fine"


async def test_it_does_not_count_however_the_plugin_passes_it_on() -> None:
    plugin = make_plugin()

    @plugin.tool(structured_output=False)
    async def from_it(ctx: Context) -> None:
        try:
            await ctx.elicit("Who?", Person)
        except ValueError as error:
            raise RuntimeError("no answer") from error

    @plugin.tool(structured_output=False)
    async def meanwhile(ctx: Context) -> None:
        try:
            await ctx.elicit("Who?", Person)
        except ValueError:
            raise KeyError("no answer")  # noqa: B904 - as a plugin may write it

    @plugin.tool(structured_output=False)
    async def in_a_group(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.elicit("Who?", Person))
            group.create_task(ctx.elicit("Who else?", Person))

    @plugin.tool(structured_output=False)
    async def in_words_of_its_own(ctx: Context) -> None:
        try:
            await ctx.elicit("Who?", Person)
        except ValueError:
            raise ToolError("I need a name") from None

    options = {"host": {"limits": {"failures": 1}}}
    answering = AnsweringUser(answer=ElicitResult(action="accept", content={"name": SECRET}))
    async with connect(plugin, mode="legacy", options=options, **answering.callbacks) as client:
        for way in ("from_it", "meanwhile", "in_a_group"):
            said = failure_of(await client.call_tool(way, {}))
            assert said.startswith("The client's answer does not fit the form: name: ")
            assert SECRET not in said
        assert failure_of(await client.call_tool("in_words_of_its_own", {})) == "I need a name"
        assert text_of(await client.call_tool("fine", {})) == "fine"


async def test_a_plugin_that_crashes_on_an_answer_that_fits_counts() -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def crash(ctx: Context) -> None:
        await ctx.elicit("Who?", Person)
        raise OSError("no")

    options = {"host": {"limits": {"failures": 1}}}
    async with connect(plugin, mode="legacy", options=options, **AnsweringUser().callbacks) as client:
        assert "failed unexpectedly" in failure_of(await client.call_tool("crash", {}))
        assert "is paused" in failure_of(await client.call_tool("crash", {}))


async def test_an_unfit_answer_neither_ends_the_pause_nor_prolongs_it() -> None:
    host, clock = make_host(make_plugin()), Clock()
    breaker = host.plugins[0].bulkhead.breaker = CircuitBreaker(1, 30, clock)
    answering = AnsweringUser(answer=ElicitResult(action="accept", content={}))
    async with host.running(), Client(HostServer(host), mode="legacy", **answering.callbacks) as client:
        breaker.failed("it was broken")
        clock.now = 30
        for _ in range(2):
            assert "name: Field required" in failure_of(await client.call_tool("elicit", {}))
            assert (breaker.circuit.state, breaker.trying) == ("half-open", False)
        assert text_of(await client.call_tool("fine", {})) == "fine"
        assert breaker.circuit.state == "closed"


async def test_a_plugin_may_catch_what_the_sdk_raises_for_an_answer() -> None:
    plugin, caught = Plugin(), list[Exception]()

    @plugin.tool(structured_output=False)
    async def careful(ctx: Context) -> str:
        try:
            await ctx.session.create_message([HELLO], max_tokens=1)
        except MCPError as error:
            caught.append(error)
        try:
            await ctx.elicit("Who?", Person)
        except ValueError as error:
            caught.append(error)
        return "careful"

    answering = AnsweringUser(answer=ErrorData(code=-1, message="The user is away", data={"back": "soon"}))
    async with connect(plugin, mode="legacy", **answering.callbacks) as client:
        assert text_of(await client.call_tool("careful", {})) == "careful"
    sampled, elicited = caught
    assert isinstance(sampled, MCPError)
    assert (sampled.code, sampled.message, sampled.data) == (-1, "The user is away", {"back": "soon"})
    assert isinstance(elicited, AnswerError)


async def test_an_invalid_schema_is_the_plugin_s_own_failure() -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def ask(ctx: Context) -> None:
        await ctx.session.elicit_form("Who?", {"type": "object", "properties": 3})

    answering = AnsweringUser()
    async with connect(plugin, mode="legacy", **answering.callbacks) as client:
        assert "failed unexpectedly" in failure_of(await client.call_tool("ask", {}))
    assert answering.asked == 0


# Forms


class Colour(enum.Enum):
    """What it looks like."""

    RED = "red"
    BLUE = "blue"


class Size(enum.StrEnum):
    LARGE = "large"


CHOICES = ["red", "blue"]
FIELDS: dict[str, tuple[Any, dict[str, Any], Any, Any]] = {
    # annotation and default, what the client is shown, what it answers, what the plugin gets
    "enum": ((Colour, ...), {"type": "string", "enum": CHOICES}, "red", Colour.RED),
    "enum with default": ((Colour, Colour.BLUE), {"enum": CHOICES, "default": "blue"}, None, Colour.BLUE),
    "optional enum": ((Colour | None, None), {"type": "string", "enum": CHOICES}, None, None),
    "titled enum": ((Annotated[Colour, Field(title="T")], ...), {"enum": CHOICES, "title": "T"}, "red", Colour.RED),
    "enum of one": ((Size, ...), {"type": "string", "enum": ["large"]}, "large", Size.LARGE),
    "literal": ((Literal["red", "blue"], ...), {"type": "string", "enum": CHOICES}, "blue", "blue"),
    "literal of one": ((Literal["red"], ...), {"type": "string", "enum": ["red"]}, "red", "red"),
    "list of enum": ((list[Colour], ...), {"type": "array"}, ["blue", "red"], [Colour.BLUE, Colour.RED]),
    "set of enum": ((set[Colour], ...), {"type": "array"}, ["blue"], {Colour.BLUE}),
    "optional list": ((list[Colour] | None, None), {"type": "array"}, None, None),
    "list with default": ((list[Colour], [Colour.RED]), {"default": ["red"]}, None, [Colour.RED]),
    "list of literal": ((list[Literal["red"]], ...), {"items": {"type": "string", "enum": ["red"]}}, ["red"], ["red"]),
    "bounded list": ((Annotated[list[Colour], Field(max_length=2)], ...), {"maxItems": 2}, ["red"], [Colour.RED]),
    "optional text": ((str | None, None), {"type": "string"}, None, None),
    "date": ((date, ...), {"type": "string", "format": "date"}, "2026-07-28", date(2026, 7, 28)),
    "optional date": ((date | None, None), {"type": "string", "format": "date"}, "2026-07-28", date(2026, 7, 28)),
}


@pytest.mark.parametrize(("mode", "way"), [("legacy", "ask"), ("legacy", "ask_before"), ("auto", "ask_before")])
@pytest.mark.parametrize("kind", FIELDS)
async def test_a_form_has_every_field_that_the_protocol_has(kind: str, mode: str, way: str) -> None:
    field, shown, answer, expected = FIELDS[kind]
    form: Any = create_model("Form", pick=field)
    got: list[Any] = []

    def question() -> Elicit[Any]:
        return Elicit("Which?", form)

    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def ask(ctx: Context) -> None:
        result = await ctx.elicit("Which?", form)
        assert isinstance(result, AcceptedElicitation)
        got.append(result.data)

    async def ask_before(data: Any) -> None:
        got.append(data)

    ask_before.__annotations__["data"] = Annotated[form, Resolve(question)]
    plugin.tool(structured_output=False)(ask_before)
    answering = AnsweringUser(answer=ElicitResult(action="accept", content={} if answer is None else {"pick": answer}))
    async with connect(plugin, mode=mode, **answering.callbacks) as client:
        result = await client.call_tool(way, {})
        assert not result.is_error, text_of(result)
    assert type(got[0]) is form
    assert got[0].pick == expected
    asked = answering.forms[0]
    assert "$" not in str(asked)
    assert shown.items() <= asked["properties"]["pick"].items()
    if shown.get("type") == "array":
        assert asked["properties"]["pick"]["items"]["enum"] == CHOICES


@pytest.mark.parametrize("kind", [Person, list[str], dict[str, str]])
async def test_a_field_that_the_protocol_does_not_have_is_the_plugin_s_own_failure(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, form = Plugin(), create_model("Form", pick=(kind, ...))

    @plugin.tool(structured_output=False)
    async def ask(ctx: Context) -> None:
        await ctx.elicit("Which?", form)

    async with connect(plugin, mode="legacy", **AnsweringUser().callbacks) as client:
        assert "failed unexpectedly" in failure_of(await client.call_tool("ask", {}))
    assert "Elicitation schema field 'pick' rendered as" in caplog.text


# Resolvers

leave = threading.Event()


def hang() -> str:
    leave.wait()
    return "late"


class Asks:
    def __init__(self) -> None:
        self.ran = 0

    def person(self, suffix: str) -> Elicit[Person]:
        self.ran += 1
        return Elicit(f"Who{suffix}", Person)


asks = Asks()


async def greeting(person: Annotated[Person, Resolve(asks.person)], ctx: Context) -> str:
    return f"{ctx.plugin.name} greets {person.name}"


@each_era
async def test_a_plain_resolver_runs_in_a_thread_of_its_plugin(mode: str) -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def ask(late: Annotated[str, Resolve(hang)]) -> str:
        return late

    leave.clear()
    host = make_host(plugin, options={"host": {"call_timeout": 0.2}})
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        assert "did not finish" in failure_of(await client.call_tool("ask", {}))
        assert host.plugins[0].bulkhead.health.abandoned == 1
        leave.set()


@each_era
async def test_resolvers_that_need_each_other_ask_each_question_once(mode: str) -> None:
    plugin = Plugin()

    @plugin.tool(structured_output=False)
    async def greet(
        suffix: str, said: Annotated[str, Resolve(greeting)], person: Annotated[Person, Resolve(asks.person)]
    ) -> str:
        return f"{said}: {person.name}"

    answering, asks.ran = AnsweringUser(), 0
    async with connect(plugin, mode=mode, **answering.callbacks) as client:
        assert text_of(await client.call_tool("greet", {"suffix": "?"})) == "plugin greets Annabel: Annabel"
    assert answering.asked == 1
    assert asks.ran == (1 if mode == "legacy" else 2), "once a round"
