"""Every hook's docstring has an example, and each example is a plugin that works."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest
from mcp import MCPError
from mcp.types import PromptReference

from mcp_host import Plugin, hookspecs
from mcp_host.cli.plugin_commands import commands_of
from mcp_host.plugins.hooks import HOOKS
from mcp_host.server.host import Host
from mcp_host.testing import connect, make_host

pytestmark = pytest.mark.anyio


def examples() -> Iterator[tuple[str, str]]:
    for name in sorted(HOOKS):
        for block in re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(hookspecs, name)) or "", re.DOTALL):
            yield name, dedent(block)


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> Iterator[types.ModuleType]:
    """The example as a module of hooks."""
    name, source = request.param
    module = types.ModuleType(f"example_of_{name}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"<example of {name}>", "exec", dont_inherit=True), vars(module))
    yield module
    del sys.modules[module.__name__]


all_examples = pytest.mark.parametrize("plugin", list(examples()), indirect=True, ids=[name for name, _ in examples()])


def one(name: str) -> pytest.MarkDecorator:
    source = dict(examples())[name]
    return pytest.mark.parametrize("plugin", [(name, source)], indirect=True, ids=[name])


def loaded(plugin: object, **options: Any) -> Host:
    host = make_host(plugin, **options)
    assert host.records[0].problem is None
    return host


def test_every_hook_has_an_example() -> None:
    assert {name for name, _ in examples()} == HOOKS
    assert {name for name in vars(Plugin) if name.startswith("mcp_")} == HOOKS


@all_examples
def test_the_example_is_loaded_without_a_problem(plugin: types.ModuleType) -> None:
    record = loaded(plugin).records[0]
    assert (record.stage, record.warnings) == ("collected", ())


@one("mcp_settings")
def test_the_settings_example_takes_settings(plugin: types.ModuleType) -> None:
    assert loaded(plugin, settings={"digits": 5}).plugins[0].settings == plugin.Settings(digits=5)


@one("mcp_tools")
async def test_the_tools_example_serves_a_tool(plugin: types.ModuleType) -> None:
    async with connect(plugin) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        (tool,) = (await client.list_tools()).tools
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True


@one("mcp_resources")
async def test_the_resources_example_serves_a_resource_and_a_template(plugin: types.ModuleType) -> None:
    async with connect(plugin) as client:
        for uri, text in (("notes://all", "a, b"), ("notes://b", "The note b.")):
            (content,) = (await client.read_resource(uri)).contents
            assert getattr(content, "text", None) == text


@one("mcp_prompts")
async def test_the_prompts_example_serves_a_prompt(plugin: types.ModuleType) -> None:
    async with connect(plugin) as client:
        (message,) = (await client.get_prompt("review", {"code": "x = 1"})).messages
        assert getattr(message.content, "text", None) == "Please review this code:\nx = 1"


@one("mcp_completions")
async def test_the_completions_example_completes(plugin: types.ModuleType) -> None:
    async with connect(plugin) as client:
        result = await client.complete(PromptReference(name="review"), {"name": "language", "value": "py"})
        assert result.completion.values == ["python"]


@one("mcp_lifespan")
async def test_the_lifespan_example_is_entered_and_left(
    plugin: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    host = loaded(plugin)
    async with host.running():
        assert host.plugins[0].state == {"opened": True}
        assert host.records[0].stage == "serving"
    assert [record.message for record in caplog.records if record.name == "mcp_host.plugin.plugin"] == [
        "opening",
        "closing",
    ]


@one("mcp_middleware")
async def test_the_middleware_example_sees_calls(plugin: types.ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with connect(plugin) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
    assert "tool add" in caplog.messages


@one("mcp_observers")
async def test_the_observers_example_sees_refusals_too(
    plugin: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with connect(plugin) as client:
        await client.list_tools()
        with pytest.raises(MCPError):
            await client.call_tool("nothing", {})
    assert {"tools/list None: ok", "tools/call nothing: unknown"} <= set(caplog.messages)


@one("mcp_routes")
def test_the_routes_example_contributes_a_route(plugin: types.ModuleType) -> None:
    assert [getattr(each.route, "path", "") for each in loaded(plugin).catalog.routes] == ["/health"]


@one("mcp_token_verifier")
async def test_the_verifier_example_knows_one_token(plugin: types.ModuleType) -> None:
    verifier = loaded(plugin).plugins[0].contributions.token_verifier
    assert verifier is not None
    assert await verifier.verify_token("wrong") is None
    token = await verifier.verify_token("letmein")
    assert token is not None
    assert token.client_id == "me"


@one("mcp_checks")
def test_the_checks_example_contributes_a_check(plugin: types.ModuleType) -> None:
    assert [check.name for check in loaded(plugin).plugins[0].contributions.checks] == ["git is installed"]


@one("mcp_commands")
def test_the_commands_example_contributes_a_command(
    plugin: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = commands_of(loaded(plugin).plugins[0])
    assert list(commands) == ["greet"]
    commands["greet"](["Ann", "--loud"], standalone_mode=False)
    assert capsys.readouterr().out == "PLUGIN GREETS ANN.\n"
