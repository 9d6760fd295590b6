"""What a plugin contributes is filtered by name and hint, then bound to schemas, deadlines and wire forms."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import mcp.types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import PromptReference, ResourceTemplateReference, ToolAnnotations
from pydantic import BaseModel

from mcp_host import Completion, Context, Plugin, Prompt, Resource, Tool, hookimpl
from mcp_host.catalog.binder import PROVENANCE
from mcp_host.catalog.served import Parts
from mcp_host.errors import HostError
from mcp_host.plugins.kinds import KINDS, PROMPT, RESOURCE, TOOL
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.sites import problem

pytestmark = pytest.mark.anyio


class Point(BaseModel):
    x: int = 0


def holding(
    tools: list[Any] | None = None,
    resources: list[Resource] | None = None,
    prompts: list[Any] | None = None,
    completions: list[Completion] | None = None,
) -> object:
    """A plugin object that contributes these."""

    class Holding:
        @hookimpl
        def mcp_tools(self) -> list[Any]:
            return tools or []

        @hookimpl
        def mcp_resources(self) -> list[Resource]:
            return resources or []

        @hookimpl
        def mcp_prompts(self) -> list[Any]:
            return prompts or []

        @hookimpl
        def mcp_completions(self) -> list[Completion]:
            return completions or []

    return Holding()


def host_of(plugin: object, **section: Any) -> Host:
    return make_host({"p": plugin}, options={"plugins": {"p": section}})


def parts_of(plugin: object, **section: Any) -> Parts:
    host = host_of(plugin, **section)
    assert host.records[0].problem is None
    return host.catalog.parts[host.plugins[0]]


def names(plugin: object, **section: Any) -> list[str]:
    parts = parts_of(plugin, **section)
    return [item.name for kind in KINDS for item in parts.items[kind]]


def refusal(plugin: object, **section: Any) -> str:
    return problem(host_of(plugin, **section).records[0]).what


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def remove(a: int) -> int:
    return a


class Adder:
    """Adds to what it was made with."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __call__(self, a: int) -> int:
        return self.start + a

    def method(self, a: int) -> int:
        return self.start + a


# --- Every kind of function


async def test_partials_objects_and_methods_are_tools_resources_prompts_and_completers() -> None:
    plugin = holding(
        tools=[functools.partial(add, b=10), Adder(20), Adder(30).method, remove],
        resources=[Resource("x://object/{a}", Adder(0)), Resource("x://partial/{a}", functools.partial(add, b=1))],
        prompts=[Prompt(functools.partial(greet, greeting="Hi"), name="greet")],
        completions=[Completion("greet", "name", functools.partial(complete, extra="z"))],
    )
    async with connect(plugin) as client:
        for tool, expected in (("add", 11), ("adder", 21), ("method", 31), ("remove", 1)):
            assert (await client.call_tool(tool, {"a": 1})).structured_content == {"result": expected}
        for uri, text in (("x://object/5", "5"), ("x://partial/5", "6")):
            (content,) = (await client.read_resource(uri)).contents
            assert getattr(content, "text", None) == text
        (message,) = (await client.get_prompt("greet", {"name": "Ann"})).messages
        assert getattr(message.content, "text", None) == "Hi, Ann"
        completed = await client.complete(PromptReference(name="greet"), {"name": "name", "value": "a"})
        assert completed.completion.values == ["a", "z"]


def greet(name: str, greeting: str) -> str:
    return f"{greeting}, {name}"


def complete(value: str, extra: str) -> list[str]:
    return [value, extra]


def nested(points: list["Point"], ctx: "Context | None" = None) -> list["Point"]:  # noqa: UP037
    """A function whose annotations name things within others."""
    assert ctx is not None
    return points


async def test_names_within_annotations_are_found_and_the_context_beside_them() -> None:
    async with connect(holding(tools=[nested])) as client:
        (tool,) = (await client.list_tools()).tools
        assert list(tool.input_schema["properties"]) == ["points"]
        result = await client.call_tool("nested", {"points": [{"x": 3}]})
        assert result.structured_content == {"result": [{"x": 3}]}


def test_the_wire_form_says_what_the_author_said() -> None:
    tool = Tool(
        add,
        "plus",
        title="Plus",
        description="Adds.",
        annotations=ToolAnnotations(title="P", read_only_hint=False, open_world_hint=True),
        meta={"own": 1},
        input_schema={"type": "object"},
        read_only=True,
        idempotent=True,
        destructive=False,
    )
    (served,) = parts_of(holding(tools=[tool])).items[TOOL]
    wire = served.wire
    assert (wire.name, wire.title, wire.description, wire.input_schema) == ("plus", "Plus", "Adds.", {"type": "object"})
    assert wire.annotations == ToolAnnotations(
        title="P", read_only_hint=True, open_world_hint=True, idempotent_hint=True, destructive_hint=False
    )
    assert wire.meta == {"own": 1, PROVENANCE: {"name": "p", "distribution": None, "version": None}}
    resource = Resource("x://a", lambda: "", title="A", mime_type="text/csv", meta={"own": 2})
    (fixed,) = parts_of(holding(resources=[resource])).items[RESOURCE]
    assert (fixed.wire.name, fixed.wire.title, fixed.wire.mime_type) == ("x://a", "A", "text/csv")
    assert fixed.wire.meta is not None
    assert fixed.wire.meta["own"] == 2
    (prompt,) = parts_of(holding(prompts=[greet])).items[PROMPT]
    assert {a.name for a in prompt.wire.arguments or () if a.required} == {"name", "greeting"}


def test_a_part_without_annotations_has_none() -> None:
    (served,) = parts_of(holding(tools=[add])).items[TOOL]
    assert served.wire.annotations is None


# --- Filters


def three() -> object:
    return holding(
        tools=[Tool(add, read_only=True), Tool(remove, destructive=True, read_only=False), Tool(add, "also")],
        resources=[Resource("x://a", lambda: ""), Resource("x://b/{n}", lambda n: n)],
        prompts=[Prompt(greet, "hello"), Prompt(greet, "bye")],
    )


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({}, ["add", "remove", "also", "x://a", "x://b/{n}", "hello", "bye"]),
        ({"prefix": "p_"}, ["p_add", "p_remove", "p_also", "x://a", "x://b/{n}", "p_hello", "p_bye"]),
        ({"tools": {"allow": ["a*"]}}, ["add", "also", "x://a", "x://b/{n}", "hello", "bye"]),
        ({"tools": {"allow": []}}, ["x://a", "x://b/{n}", "hello", "bye"]),
        ({"tools": {"deny": ["*"]}, "prompts": {"deny": ["*"]}}, ["x://a", "x://b/{n}"]),
        ({"tools": {"allow": ["a*"], "deny": ["also"]}}, ["add", "x://a", "x://b/{n}", "hello", "bye"]),
        ({"prefix": "p_", "tools": {"allow": ["p_add", "also"]}, "prompts": {"allow": ["hel?o"]}},
         ["p_add", "p_also", "x://a", "x://b/{n}", "p_hello"]),
        ({"resources": {"deny": ["x://b/{n}"]}, "tools": {"allow": []}, "prompts": {"allow": []}}, ["x://a"]),
        ({"resources": {"allow": ["x://b/*"]}, "tools": {"allow": []}, "prompts": {"allow": []}}, ["x://b/{n}"]),
        ({"tools": {"read_only": True}, "resources": {"allow": []}, "prompts": {"allow": []}}, ["add"]),
        ({"tools": {"read_only": False}, "resources": {"allow": []}, "prompts": {"allow": []}}, ["remove"]),
        ({"tools": {"destructive": True}, "resources": {"allow": []}, "prompts": {"allow": []}}, ["remove"]),
        ({"tools": {"idempotent": True}, "resources": {"allow": []}, "prompts": {"allow": []}}, []),
        ({"tools": {"open_world": False}, "resources": {"allow": []}, "prompts": {"allow": []}}, []),
    ],
)  # fmt: skip
def test_prefix_globs_and_hints_decide_what_is_served(section: dict[str, Any], expected: list[str]) -> None:
    assert names(three(), **section) == expected


def test_an_adopted_servers_tools_are_filtered_as_well() -> None:
    server: MCPServer[Any] = MCPServer("alone")
    server.add_tool(add, annotations=ToolAnnotations(read_only_hint=True))
    server.add_tool(remove)
    assert names(server, prefix="p_", tools={"read_only": True}) == ["p_add"]


async def test_what_is_filtered_is_not_there_for_a_client() -> None:
    async with connect(three(), options={"plugins": {"plugin": {"tools": {"deny": ["remove"]}}}}) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "also"]
        with pytest.raises(Exception, match="Unknown tool: remove"):
            await client.call_tool("remove", {"a": 1})


NAMES = st.sampled_from(["add", "remove", "a", "ab", "b", "x_a"])
PATTERNS = st.sampled_from(["*", "a*", "?", "add", "[ab]", "x_*", "p_*", "zzz"])


@given(
    st.lists(NAMES, unique=True),
    st.sampled_from(["", "p_", "x_"]),
    st.none() | st.lists(PATTERNS, max_size=3),
    st.lists(PATTERNS, max_size=3),
)
def test_allow_and_deny_keep_what_one_allows_and_none_denies(
    given_names: list[str], prefix: str, allow: list[str] | None, deny: list[str]
) -> None:
    from fnmatch import fnmatchcase

    def matched(name: str, patterns: list[str]) -> bool:
        return any(fnmatchcase(name, pattern) or fnmatchcase(prefix + name, pattern) for pattern in patterns)

    tools = [Tool(add, name) for name in given_names]
    section: dict[str, Any] = {"deny": deny} | ({} if allow is None else {"allow": allow})
    served = names(holding(tools=tools), prefix=prefix, tools=section)
    assert served == [
        prefix + name for name in given_names if (allow is None or matched(name, allow)) and not matched(name, deny)
    ]


def test_a_pattern_or_a_deadline_that_matches_nothing_is_a_warning() -> None:
    section = {
        "prefix": "p_",
        "tools": {"allow": ["add", "remoev"], "timeouts": {"p_add": "1s", "remove": "1s", "adds": "1s"}},
        "resources": {"deny": ["x://a", "x://b/{n}", "zzzz*"]},
        "prompts": {"deny": ["hallo"]},
    }
    warnings = [warning.what for warning in host_of(three(), **section).records[0].warnings]
    assert warnings == [
        "resources.deny: 'zzzz*' matches nothing",
        "tools.allow: 'remoev' matches nothing (did you mean 'p_remove'?)",
        "prompts.deny: 'hallo' matches nothing (did you mean 'p_hello'?)",
        "tools.timeouts: 'adds' matches nothing (did you mean 'p_add'?)",
    ]


def test_the_most_specific_deadline_counts() -> None:
    plugin = holding(tools=[Tool(add, timeout=7), Tool(remove)], prompts=[Prompt(greet, timeout=3)])

    def timeouts(**section: Any) -> list[float | None]:
        parts = parts_of(plugin, **section)
        return [item.timeout for item in (*parts.items[TOOL], *parts.items[PROMPT])]

    assert timeouts() == [7, 60, 3]
    assert timeouts(timeout="5s") == [5, 5, 5]
    assert timeouts(timeout="5s", tools={"timeouts": {"add": "1s"}}) == [1, 5, 5]
    assert timeouts(prefix="p_", tools={"timeouts": {"p_add": "1s", "remove": "2s"}}) == [1, 2, 3]
    host = make_host({"p": plugin}, options={"host": {"call_timeout": "none"}})
    assert [tool.timeout for tool in host.catalog.parts[host.plugins[0]].items[TOOL]] == [7, None]


# --- What cannot be served


class Unschemable:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise SystemExit("no schema")


def private(_a: int, /) -> int:
    return _a


def unschemable(a: Unschemable) -> int:
    return 1


def asks(a: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821, UP037
    return 1


@pytest.mark.parametrize(
    ("tool", "what"),
    [
        (Tool(private), "tool 'private': parameter '_a' of private cannot be passed by name"),
        (Tool(unschemable), "tool 'unschemable': SystemExit: no schema"),
        (Tool(asks), "tool 'asks': the annotations of asks cannot be evaluated: name 'Nowhere' is not defined"),
        (Tool(lambda: 1), "tool '<lambda>': a lambda has no name"),
        (Tool(add, title=5), "tool 'add': title: Input should be a valid string"),  # type: ignore[arg-type]
        (Tool(add, meta=5), "tool 'add': TypeError: "),  # type: ignore[arg-type]
        (Tool(add, timeout="30s"), "tool 'add': its timeout is '30s', not a number of seconds above 0"),  # type: ignore[arg-type]
        (Tool(add, timeout=0), "tool 'add': its timeout is 0, not a number of seconds above 0"),
        (Tool(add, timeout=True), "tool 'add': its timeout is True, not a number"),
        (Tool(add, scopes="admin"), "tool 'add': its scopes are the text 'admin'"),
        (Tool(5), "tool 'int': int has no readable signature: TypeError: 5 is not a callable object"),  # type: ignore[arg-type]
        (Tool(add, 5), "its contributions cannot be read: TypeError: "),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_tool_that_cannot_be_served_is_named_with_the_reason(tool: Tool, what: str) -> None:
    assert refusal(holding(tools=[tool])).startswith(what)


def test_a_tool_that_cannot_be_served_can_be_denied() -> None:
    plugin = holding(tools=[add, private, unschemable])
    host = host_of(plugin, tools={"deny": ["unschemable"]})
    assert "by name" in problem(host.records[0]).what
    assert names(plugin, tools={"deny": ["unschemable", "private"]}) == ["add"]


@pytest.mark.parametrize(
    ("resource", "what"),
    [
        (Resource("all", lambda: ""), "resource 'all': its URI has no scheme"),
        (Resource("x://{a", lambda a: ""), "resource 'x://{a': InvalidUriTemplate: Unclosed expression"),
        (Resource("x://{a}", lambda: ""), "resource 'x://{a}': its URI has the variables a and its function the"),
        (Resource("x://a", lambda a: ""), "resource 'x://a': its URI has the variables none and its function the"),
        (Resource("x://a{?q}", lambda q: ""), "resource 'x://a{?q}': the query variable 'q' has no default"),
        (Resource("x://a", lambda: "", scopes="x"), "resource 'x://a': its scopes are the text 'x'"),
        (Resource(5, lambda: ""), "resource 5: "),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_resource_that_cannot_be_served_is_named_with_the_reason(resource: Resource, what: str) -> None:
    assert refusal(holding(resources=[resource])).startswith(what)


def test_a_prompt_that_cannot_be_served_is_named_with_the_reason() -> None:
    def star(*texts: str) -> str:
        return ""

    assert refusal(holding(prompts=[star])) == "prompt 'star': parameter '*texts' of star cannot be passed by name"


# --- Completions


def by_value(value: str) -> list[str]:
    return [f"{value}!"]


def by_others(value: str, arguments: dict[str, str]) -> list[str]:
    return sorted(arguments.values())


async def by_context(typed: str, ctx: Context, chosen: dict[str, str], limit: int = 5) -> Iterator[str]:
    return iter([ctx.plugin.name, *chosen, str(limit)])


def by_default(value: str, limit: int = 5) -> list[str]:
    return [str(limit)]


@pytest.mark.parametrize(
    ("fn", "values"),
    [(by_value, ["v!"]), (by_others, ["Hi"]), (by_context, ["plugin", "greeting", "5"]), (by_default, ["5"])],
)
async def test_a_completer_takes_the_value_the_other_arguments_and_a_context(
    fn: Callable[..., Any], values: list[str]
) -> None:
    plugin = holding(prompts=[greet], completions=[Completion("greet", "name", fn)])
    async with connect(plugin, options={"plugins": {"plugin": {"prefix": "p_"}}}) as client:
        result = await client.complete(
            PromptReference(name="p_greet"), {"name": "name", "value": "v"}, context_arguments={"greeting": "Hi"}
        )
        assert result.completion.values == values


async def test_a_template_is_completed_by_its_uri_whatever_the_prefix() -> None:
    plugin = holding(resources=[Resource("x://{n}", lambda n: n)], completions=[Completion("x://{n}", "n", by_value)])
    async with connect(plugin, options={"plugins": {"plugin": {"prefix": "p_"}}}) as client:
        result = await client.complete(ResourceTemplateReference(uri="x://{n}"), {"name": "n", "value": "v"})
        assert result.completion.values == ["v!"]


def test_the_completion_of_what_is_filtered_goes_with_it() -> None:
    plugin = holding(prompts=[greet], completions=[Completion("greet", "name", by_value)])
    assert parts_of(plugin, prompts={"deny": ["greet"]}).completers == {}
    assert list(parts_of(plugin, prefix="p_").completers) == [("p_greet", "name")]


@pytest.mark.parametrize(
    ("completion", "what"),
    [
        (Completion("great", "name", by_value), "completion of 'great': the plugin has no such prompt or template"),
        (Completion("greet", "nam", by_value), "completion of 'greet': it has no argument 'nam' (did you mean"),
        (Completion("x://a", "n", by_value), "completion of 'x://a': it has no argument 'n'"),
        (Completion("greet", "name", lambda: []), "completion 'greet': a completer takes the value typed so far"),
        (Completion("greet", "name", lambda a, b, c: []), "completion 'greet': a completer takes the value"),
    ],
)  # fmt: skip
def test_a_completion_of_nothing_is_refused(completion: Completion, what: str) -> None:
    plugin = holding(prompts=[greet], resources=[Resource("x://a", lambda: "")], completions=[completion])
    assert refusal(plugin).startswith(what)


def test_two_completers_of_one_argument_are_refused() -> None:
    twice = [Completion("greet", "name", by_value), Completion("greet", "name", by_default)]
    assert refusal(holding(prompts=[greet], completions=twice)) == "completion of 'greet': 'name' has two completers"


# --- An existing server


async def test_an_existing_server_is_adopted_whole() -> None:
    server: MCPServer[Any] = MCPServer("alone")

    @server.tool(title="Sum")
    def total(values: Annotated[list[int], "numbers"]) -> int:
        return sum(values)

    @server.resource("x://all")
    def everything() -> str:
        return "all"

    @server.resource("x://one/{n}")
    def single(n: str) -> str:
        return n

    @server.prompt()
    def ask(topic: str) -> str:
        return f"What of {topic}?"

    @server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
    async def suggest(ref: Any, argument: Any, context: Any) -> Any:
        return types.Completion(values=[f"{ref.name}.{argument.name}"])

    async with connect(server, options={"plugins": {"plugin": {"prefix": "p_"}}}) as client:
        completed = await client.complete(PromptReference(name="p_ask"), {"name": "topic", "value": ""})
        assert completed.completion.values == ["ask.topic"]
        assert (await client.call_tool("p_total", {"values": [1, 2]})).structured_content == {"result": 3}
        for uri, text in (("x://all", "all"), ("x://one/7", "7")):
            (content,) = (await client.read_resource(uri)).contents
            assert getattr(content, "text", None) == text
        (message,) = (await client.get_prompt("p_ask", {"topic": "it"})).messages
        assert getattr(message.content, "text", None) == "What of it?"


async def test_a_bound_error_keeps_its_cause() -> None:
    from mcp_host.catalog.binder import bind

    host = host_of(holding(tools=[private]))
    with pytest.raises(HostError) as caught:
        bind(host.plugins[0])
    assert re.match("parameter '_a'", str(caught.value.__cause__))


async def test_a_decorated_plugin_serves_what_its_decorators_say() -> None:
    plugin = Plugin()
    plugin.tool(add)
    plugin.tool("other", "Other", "Adds.", read_only=True, timeout=3)(add)
    server = HostServer(make_host(plugin))
    async with Client(server) as client:
        assert [(tool.name, tool.title) for tool in (await client.list_tools()).tools] == [
            ("add", None),
            ("other", "Other"),
        ]
