"""The page shows the code of these tests, and an old server with the new names is a plugin without other changes."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client

from guide.conftest import SERVERS
from guide.page import old_spelling, renamed, shown
from guide.talking import read, refusal, structured, text_of
from mcp_host import Context, Plugin
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("server", sorted(SERVERS.glob("*.py")), ids=lambda path: path.name)
def test_the_page_shows_the_plugin_that_the_tests_run(server: Any) -> None:
    assert shown()[server.name] == server.read_text(encoding="utf-8")


@pytest.fixture
def old(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return the `mcp` object of the old server with this name, with the new names of mcp 2."""
    module = types.ModuleType(f"old_{request.param}")
    sys.modules[module.__name__] = module
    exec(compile(renamed(old_spelling()[request.param]), request.param, "exec", dont_inherit=True), vars(module))
    yield module.mcp
    del sys.modules[module.__name__]


def chapter(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("old", [name], indirect=True)


@chapter("greeting")
async def test_the_old_greeting_is_a_plugin(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        assert await structured(client, "add", a=1, b=2) == {"result": 3}
        assert (await read(client, "greeting://Ann")).text == "Hello, Ann!"
        assert (await client.get_prompt("greet_user", {"name": "Ann"})).messages


@chapter("calculator")
async def test_the_text_of_an_exception_no_longer_reaches_the_model(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        assert "Unknown operation" not in await refusal(client, "calculate_statistics", numbers=[1], operation="mode")
        done = await client.call_tool("long_running_task", {"task_name": "tidy"})
        assert done.structured_content == {"result": "Task 'tidy' completed"}


@chapter("calculator")
async def test_a_bare_dict_returns_only_text(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        result = await client.call_tool("calculate_statistics", {"numbers": [1, 3], "operation": "sum"})
        assert result.structured_content is None
        assert '"result": 4.0' in text_of(result)


@chapter("library")
async def test_the_old_resources_are_served(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        assert (await read(client, "file://documents/readme")).text == "# Welcome to our application"
        assert '"name": "User 7"' in (await read(client, "api://users/7/profile")).text
        assert (await read(client, "config://settings")).text.startswith('{"theme"')


@chapter("structured")
async def test_an_old_plain_class_has_its_json_as_text(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        result = await client.call_tool("execute_query", {"sql": "SELECT 1"})
        assert result.structured_content is not None
        assert json.loads(text_of(result)) == result.structured_content
        assert await structured(client, "get_location", address="x")
        assert await structured(client, "get_detailed_weather", city="x")
    async with Client(old, mode=mode) as client:
        # Without the host.
        assert "DatabaseQuery object at 0x" in text_of(await client.call_tool("execute_query", {"sql": "SELECT 1"}))


@chapter("datasets")
async def test_an_old_tool_reads_a_resource(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        result = await client.call_tool("read_and_analyze_resource", {"resource_uri": "config://settings"})
        assert '"content_length": 17' in text_of(result)
        assert '"client_id": null' in text_of(result)


@chapter("reports")
async def test_arguments_are_named_without_their_values(old: Any, mode: str) -> None:
    async with connect(old, mode=mode) as client:
        said = await refusal(client, "process_data_with_validation", request={"data": "x", "callback_url": "secret"})
        assert "request.callback_url" in said
        assert "secret" not in said


async def test_a_synchronous_tool_runs_in_a_thread_of_its_own(mode: str) -> None:
    plugin = Plugin()

    @plugin.tool
    def has_a_loop() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    async with connect(plugin, mode=mode) as client:
        assert await structured(client, "has_a_loop") == {"result": False}


async def test_a_fixed_uri_may_take_a_context_in_a_plugin_but_not_in_a_server(mode: str) -> None:
    from mcp.server.mcpserver import Context as ServerContext
    from mcp.server.mcpserver import MCPServer

    plugin = Plugin()

    @plugin.resource("my://name")
    def name(ctx: Context) -> str:
        return ctx.plugin.name

    async with connect(plugin, mode=mode) as client:
        assert (await read(client, "my://name")).text == "plugin"
    with pytest.raises(ValueError, match="no URI template variables"):

        @MCPServer("x").resource("my://name")
        def other(ctx: ServerContext) -> str:
            return ""
