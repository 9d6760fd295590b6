"""What is served is decided before it is served: names, owners, order; a conflict names both sides and its hint."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router, WebSocketRoute
from starlette.routing import Host as StarletteHost

from mcp_host import Plugin, Prompt, Resource, Tool
from mcp_host.catalog.binder import PROVENANCE
from mcp_host.catalog.catalog import NAME, build_catalog
from mcp_host.config import parse_config
from mcp_host.plugins.kinds import PROMPT, RESOURCE, TEMPLATE, TOOL
from mcp_host.server.host import Host
from support.sites import Site, apply_hint, problem


def contributing(
    tools: list[str] | None = None,
    resources: list[str] | None = None,
    prompts: list[str] | None = None,
    routes: list[BaseRoute] | None = None,
) -> Plugin:
    """A plugin with these names and URIs; a URI's variable is always `n`."""

    class Contributing(Plugin):
        pass

    plugin = Contributing()
    plugin._tools += [Tool(lambda: "", name=name) for name in tools or ()]
    plugin._prompts += [Prompt(lambda: "", name=name) for name in prompts or ()]
    plugin._resources += [
        Resource(uri, (lambda n="": n) if "{" in uri else (lambda: ""), name="r") for uri in resources or ()
    ]
    for route in routes or ():
        assert isinstance(route, Route)
        plugin.route(route.path, methods=sorted(route.methods or ()))(health)
    return plugin


async def health(request: object) -> Response:
    return PlainTextResponse("ok")


def serve(toml: str, plugins: dict[str, Any]) -> Host:
    return Host(parse_config(toml, environ={}), objects=plugins)


def everything(host: Host) -> list[str]:
    catalog = host.catalog
    return [*catalog.tools, *catalog.resources, *catalog.templates, *catalog.prompts]


# --- Names


def test_the_order_is_that_of_the_file_and_then_of_the_plugin() -> None:
    plugins = {"a": contributing(["z", "y"]), "b": contributing(["b", "a"])}
    assert [tool.name for tool in serve("[plugins.b]\n[plugins.a]", plugins).catalog.listed(TOOL)] == [
        "b",
        "a",
        "z",
        "y",
    ]
    assert [tool.name for tool in serve("[plugins.a]\n[plugins.b]", plugins).catalog.listed(TOOL)] == [
        "z",
        "y",
        "b",
        "a",
    ]


def test_every_tool_resource_template_and_prompt_says_where_it_comes_from(site: Site) -> None:
    site.plugin(
        "all",
        """
        from mcp_host import Plugin
        plugin = Plugin()
        plugin.tool("t")(lambda: "")
        plugin.prompt("p")(lambda: "")
        plugin.resource("x://a")(lambda: "")
        plugin.resource("x://b/{n}")(lambda n: "")
        """,
        version="1.2",
    )
    catalog = site.host("[plugins.all]").catalog
    mine = {"name": "all", "distribution": "mcp-plugin-all", "version": "1.2"}
    host = {"name": "mcp-host", "distribution": None, "version": None}
    assert [(tool.meta or {})[PROVENANCE] for tool in catalog.listed(TOOL)] == [mine]
    assert [(prompt.meta or {})[PROVENANCE] for prompt in catalog.listed(PROMPT)] == [mine]
    assert [(template.meta or {})[PROVENANCE] for template in catalog.listed(TEMPLATE)] == [mine]
    assert [(resource.meta or {})[PROVENANCE] for resource in catalog.listed(RESOURCE)] == [host, mine]


@pytest.mark.parametrize("kind", ["tool", "prompt"])
@pytest.mark.parametrize("name", ["two words", "ümlaut", "a/b", "x" * 129, "a\n", 'quo"te', "back\\slash", "\x7f"])
def test_a_name_outside_sep_986_is_refused_and_denying_it_mends_that(kind: str, name: str) -> None:
    names = [name, "fine"]
    plugin = {"p": contributing(names) if kind == "tool" else contributing(prompts=names)}
    toml = "[plugins.p]\n"
    host = serve(toml, plugin)
    found = problem(host.records[0])
    assert found.what == f"{kind} name {name!r} is not made of 1 to 128 of A-Z a-z 0-9 . _ -"
    fixed = serve(apply_hint(toml, found.hint), plugin)
    assert fixed.records[0].problem is None
    assert "fine" in everything(fixed)


def test_names_are_checked_after_prefixing() -> None:
    plugin = {"p": contributing(["x" * 127])}
    assert serve("[plugins.p]\nprefix = 'p'", plugin).records[0].problem is None
    assert "is not made of" in problem(serve("[plugins.p]\nprefix = 'pp'", plugin).records[0]).what


def test_a_tool_name_past_60_characters_is_a_warning() -> None:
    plugin = {"p": contributing(["x" * 60], prompts=["y" * 61])}
    assert serve("[plugins.p]", plugin).records[0].warnings == ()
    (warning,) = serve("[plugins.p]\nprefix = 'p'", plugin).records[0].warnings
    assert warning.what.endswith("has 61 characters; some clients refuse more than 60")
    assert warning.hint.startswith("[plugins.p] prefix = ")


# --- Conflicts

CONFLICTS = {
    "tool": (contributing(["add", "more"]), contributing(["add", "else"])),
    "prompt": (contributing(prompts=["ask"]), contributing(prompts=["ask", "else"])),
    "resource": (contributing(resources=["x://a"]), contributing(["else"], resources=["x://a", "x://b"])),
    "template": (contributing(resources=["x://{n}/a"]), contributing(resources=["x://{n}/a", "y://a"])),
    "overlapping templates": (contributing(resources=["x://{n}/a"]), contributing(["t"], resources=["x://b/{n}"])),
    "template over resource": (contributing(resources=["x://a"]), contributing(["t"], resources=["x://{n}"])),
    "resource under template": (contributing(resources=["x://{n}"]), contributing(["t"], resources=["x://a"])),
    "query": (contributing(resources=["x://a{?n}"]), contributing(["t"], resources=["x://a"])),
    "the host's own": (contributing(["t"]), contributing(["u"], resources=["mcp-host://plugins"])),
}


@pytest.mark.parametrize("name", ["second", "my.second-plugin"])
@pytest.mark.parametrize("kind", CONFLICTS)
def test_a_conflict_names_both_and_writing_the_printed_line_mends_it(kind: str, name: str) -> None:
    first, second = CONFLICTS[kind]
    plugins = {"first": first, name: second}
    toml = f'[plugins.first]\n[plugins."{name}"]\n'
    host = serve(toml, plugins)
    assert host.records[0].problem is None
    found = problem(host.records[1])
    owner = "mcp-host" if kind == "the host's own" else "first"
    assert f"of plugin {name!r} (" in found.what
    assert f"plugin {owner!r} (" in found.what
    assert host.catalog.parts.keys() == {host._builtin, host.plugins[0]}
    assert host.records[1].contributed.tools == ()
    fixed = serve(apply_hint(toml, found.hint), plugins)
    assert [record.problem for record in fixed.records] == [None, None]
    assert len(everything(fixed)) > len(everything(host))


def test_a_conflict_names_both_distributions(site: Site) -> None:
    site.plugin("one", version="1.0")
    site.plugin("two", version="2.0")
    record = site.load("[plugins.one]\n[plugins.two]")["two"]
    assert problem(record).what == (
        "tool 'add' of plugin 'two' (mcp-plugin-two 2.0) is contributed twice: "
        "plugin 'one' (mcp-plugin-one 1.0) has it already"
    )
    assert problem(record).hint == '[plugins.two] prefix = "two_"'


def fixed(toml: str, plugins: dict[str, Any], rounds: int = 1) -> Host:
    """Write the printed lines into the text, one a round, until nothing fails."""
    host = serve(toml, plugins)
    for _ in range(rounds):
        failed = [record for record in host.records if record.failed]
        if not failed:
            break
        toml = apply_hint(toml, problem(failed[0]).hint)
        host = serve(toml, plugins)
    assert [record.problem for record in host.records] == [None] * len(plugins)
    return host


def test_the_printed_prefix_is_one_that_is_free() -> None:
    plugins = {"a": contributing(["add", "b_add", "b_2_add"]), "b": contributing(["add"])}
    assert "b_3_add" in fixed("[plugins.a]\n[plugins.b]", plugins).catalog.tools
    plugins = {"a": contributing(["b_add"]), "b": contributing(["add", "more"])}
    assert "b_2_more" in fixed("[plugins.a]\n[plugins.b]\nprefix = 'b_'", plugins).catalog.tools
    plugins = {"a": contributing(["add"], prompts=["b_ask"]), "b": contributing(["add"], prompts=["ask"])}
    assert "b_2_ask" in fixed("[plugins.a]\n[plugins.b]", plugins).catalog.prompts


def test_where_no_prefix_can_do_the_printed_line_denies() -> None:
    long = "x" * 127
    host = fixed("[plugins.a]\n[plugins.b]", {"a": contributing(["add"]), "b": contributing(["add", long])})
    assert list(host.catalog.tools) == ["add", long]


def test_the_printed_line_keeps_what_is_denied_already() -> None:
    plugins = {
        "a": contributing(resources=["x://{n}", "y://{n}"]),
        "b": contributing(["t"], resources=["x://1", "x://2", "y://1"]),
    }
    host = fixed("[plugins.a]\n[plugins.b]\nresources.deny = ['x://1']", plugins, rounds=2)
    assert list(host.catalog.tools) == ["t"]


def test_what_a_plugin_contributes_twice_itself_can_be_denied() -> None:
    plugins = {"a": contributing(["add", "add", "t"], ["x://a", "x://a"], ["ask", "ask"])}
    assert problem(serve("[plugins.a]", plugins).records[0]).what == (
        "tool 'add' is contributed twice by plugin 'a' (mcp_host.api.Plugin) itself"
    ).replace("mcp_host.api.Plugin", f"{__name__}.contributing.<locals>.Contributing")
    assert everything(fixed("[plugins.a]", plugins, rounds=3)) == ["t", "mcp-host://plugins"]


def test_templates_of_one_plugin_may_overlap() -> None:
    host = serve("[plugins.a]", {"a": contributing(resources=["x://{n}", "x://{n}/b", "x://a"])})
    assert host.records[0].problem is None
    assert host.catalog.resource_at("x://a")
    assert host.catalog.resource_at("x://c")
    assert host.catalog.resource_at("y://c") is None


# --- Routes


def route(path: str, method: str = "GET") -> Route:
    return Route(path, health, methods=[method])


class Hooks:
    """A plugin of one route, whatever it is."""

    def __init__(self, *routes: Any) -> None:
        self.routes = routes

    def contributed(self) -> Any:
        from mcp_host import hookimpl

        routes = self.routes

        class Contributing:
            @hookimpl
            def mcp_routes(self) -> Any:
                return routes

        return Contributing()


def test_a_route_at_a_path_that_is_taken_is_refused() -> None:
    plugins = {
        "a": contributing(routes=[route("/health"), route("/health", "POST")]),
        "b": contributing(["t"], routes=[route("/health")]),
        "c": contributing(["u"], routes=[route("/mcp")]),
        "d": Hooks(Mount("/files", routes=[])).contributed(),
        "e": contributing(["v"], routes=[route("/mcp/")]),
    }
    host = serve("".join(f"[plugins.{name}]\n" for name in plugins), plugins)
    assert [record.failed for record in host.records] == [False, True, True, False, True]
    assert len(host.catalog.routes) == 3
    assert re.match(r"route '/health' of plugin 'b' \(.*\) is taken by plugin 'a' \(", problem(host.records[1]).what)
    assert problem(host.records[1]).hint == "[plugins.b] enabled = false"
    assert problem(host.records[2]).what.endswith("is taken by the MCP endpoint")
    assert problem(host.records[2]).hint.startswith('[transport] path = "..."')


CAN_TAKE = [
    ("/{p:path}", "/status", True),
    ("/{p:path}", "/", True),
    ("/{page}", "/status", True),
    ("/{page}", "/status/now", False),
    ("/a/{p:path}", "/status", False),
    ("/a/{x}/c", "/a/b/{y}", True),
    ("/items/{n:int}", "/items/7", True),
    ("/items/{n:int}", "/items/new", False),
    ("/items/{n:float}", "/items/7.5", True),
    ("/items/{n:uuid}", "/items/new", False),
    ("/status", "/Status", False),
    ("/status", "/status/", False),
]


@pytest.mark.parametrize(("first", "second", "clash"), [*CAN_TAKE, *((b, a, clash) for a, b, clash in CAN_TAKE)])
def test_a_pattern_that_can_take_the_path_of_another_plugin_is_refused(first: str, second: str, clash: bool) -> None:
    plugins = {"a": contributing(routes=[route(first)]), "b": contributing(["t"], routes=[route(second)])}
    record = serve("[plugins.a]\n[plugins.b]\n", plugins).records[1]
    assert record.failed is clash
    if clash:
        assert problem(record).what.startswith(f"route {second!r} of plugin 'b'")
        assert f"can match what {first!r} matches, of plugin 'a'" in problem(record).what


@pytest.mark.parametrize(
    "greedy",
    [
        Mount("/", routes=[]),
        Mount("/files", routes=[]),
        Mount("/{anything}", routes=[]),
        StarletteHost("x.example", Router()),
        WebSocketRoute("/files/{p:path}", health),
        BaseRoute(),
    ],
)
def test_a_mount_or_a_route_without_a_path_can_take_the_path_of_another_plugin_too(greedy: BaseRoute) -> None:
    for order in ("[plugins.a]\n[plugins.b]\n", "[plugins.b]\n[plugins.a]\n"):
        plugins = {"a": Hooks(greedy).contributed(), "b": contributing(routes=[route("/files/x")])}
        assert [record.failed for record in serve(order, plugins).records] == [False, True]


def test_the_routes_of_one_plugin_may_match_the_same_paths() -> None:
    plugins = {"a": contributing(routes=[route("/x"), route("/{p:path}"), route("/y")])}
    assert not serve("[plugins.a]\n", plugins).records[0].failed


def test_a_route_whose_attributes_raise_is_that_plugins_error() -> None:
    class Leaving(BaseRoute):
        @property
        def path(self) -> str:
            raise SystemExit("no path")

    plugins = {"a": Hooks(Leaving()).contributed(), "b": contributing(["t"])}
    host = serve("[plugins.a]\n[plugins.b]", plugins)
    assert problem(host.records[0]).what == "its contributions cannot be read: SystemExit: no path"
    assert host.records[1].problem is None


# --- Generations


def test_the_next_generation_binds_only_what_is_new() -> None:
    host = serve("[plugins.a]\n[plugins.b]", {"a": contributing(["x"]), "b": contributing(["y"])})
    first = host.catalog
    assert first.generation == 1
    assert not first.has_completion
    second = build_catalog(first.plugins, generation=2, bound=first.parts)
    assert second.generation == 2
    assert second.failures == {}
    assert [second.tools[name] is first.tools[name] for name in first.tools] == [True, True]


def test_completion_is_there_when_a_plugin_completes() -> None:
    plugin = contributing(resources=["x://{n}"])
    plugin.completion("x://{n}", "n")(lambda value: [value])
    assert serve("[plugins.a]", {"a": plugin}).catalog.has_completion


# --- Properties


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "a_b", "b_a", "a_a", "a b", ""]), max_size=4)
URIS = st.lists(st.sampled_from(["x://a", "x://b", "x://{n}", "x://a/{n}", "x://a{?n}", "{n}"]), max_size=3)
PLUGINS = st.dictionaries(
    st.sampled_from(["a", "b", "c.d"]), st.tuples(WORDS, URIS, WORDS, st.sampled_from(["", "a_", "b_"])), min_size=1
)


def toml_of(given_plugins: dict[str, Any]) -> str:
    return "".join(f'[plugins."{name}"]\nprefix = "{spec[3]}"\n' for name, spec in given_plugins.items())


def plugins_of(given_plugins: dict[str, Any]) -> dict[str, Any]:
    return {
        name: contributing([word for word in tools if word], uris, [word for word in prompts if word])
        for name, (tools, uris, prompts, _) in given_plugins.items()
    }


@settings(max_examples=25)
@given(PLUGINS)
def test_every_served_name_has_one_owner_and_every_plugin_serves_all_or_nothing(given_plugins: dict[str, Any]) -> None:
    host = serve(toml_of(given_plugins), plugins_of(given_plugins))
    catalog = host.catalog
    for record, (name, (tools, uris, prompts, prefix)) in zip(host.records, given_plugins.items(), strict=True):
        wanted = [prefix + word for word in tools if word]
        if record.failed:
            assert record.contributed == type(record.contributed)()
            assert name not in {served.plugin.name for served in (*catalog.tools.values(), *catalog.templates.values())}
        else:
            assert list(record.contributed.tools) == wanted
            assert [tool for tool, served in catalog.tools.items() if served.plugin.name == name] == wanted
            assert sorted((*record.contributed.resources, *record.contributed.templates)) == sorted(uris)
            assert list(record.contributed.prompts) == [prefix + word for word in prompts if word]
    assert all(NAME.fullmatch(name) for name in (*catalog.tools, *catalog.prompts))
    assert [tool.name for tool in catalog.listed(TOOL)] == list(catalog.tools)


@settings(max_examples=25)
@given(PLUGINS)
def test_the_same_file_gives_the_same_catalog(given_plugins: dict[str, Any]) -> None:
    first, again = (serve(toml_of(given_plugins), plugins_of(given_plugins)) for _ in range(2))
    assert everything(first) == everything(again)
    assert [record.problem for record in first.records] == [record.problem for record in again.records]


@settings(max_examples=25)
@given(PLUGINS, st.randoms(use_true_random=False))
def test_the_order_of_the_file_decides_who_comes_first_and_nothing_else(
    given_plugins: dict[str, Any], random: Any
) -> None:
    order = list(given_plugins)
    random.shuffle(order)
    shuffled = {name: given_plugins[name] for name in order}
    host = serve(toml_of(given_plugins), plugins_of(given_plugins))
    other = serve(toml_of(shuffled), plugins_of(shuffled))
    if not any(record.failed for record in host.records):
        assert not any(record.failed for record in other.records)
        assert sorted(everything(host)) == sorted(everything(other))
    else:
        assert any(record.failed for record in other.records)


@settings(max_examples=25)
@given(PLUGINS)
def test_writing_the_printed_lines_one_after_another_mends_everything(given_plugins: dict[str, Any]) -> None:
    without_bad_uris = {
        name: (tools, [uri for uri in uris if uri != "{n}"], prompts, prefix)
        for name, (tools, uris, prompts, prefix) in given_plugins.items()
    }
    fixed(toml_of(without_bad_uris), plugins_of(without_bad_uris), rounds=60)
