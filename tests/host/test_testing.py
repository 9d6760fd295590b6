"""`mcp_host.testing`: what an author tests a plugin with."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import TextContent
from pydantic import BaseModel, SecretStr

from mcp_host import Context, Plugin, hookimpl
from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.testing import connect, make_host

pytestmark = pytest.mark.anyio


class Settings(BaseModel, extra="forbid"):
    word: str = "hello"
    token: SecretStr | None = None


def speaking() -> Plugin:
    plugin = Plugin(settings=Settings)

    @plugin.tool
    def say(ctx: Context[Settings]) -> str:
        return ctx.settings.word

    return plugin


async def said(client: Client) -> str:
    block = (await client.call_tool("say", {})).content[0]
    assert isinstance(block, TextContent)
    return block.text


async def test_all_three_forms_of_a_plugin_are_connected_to() -> None:
    module = types.ModuleType("hooks")

    def say() -> str:
        return "from a module"

    def mcp_tools() -> list[Callable[[], str]]:
        return [say]

    mcp_tools.__module__ = "hooks"
    module.mcp_tools = hookimpl(mcp_tools)  # type: ignore[attr-defined]
    server = MCPServer("s")
    server.tool()(lambda_say)
    for plugin, expected in ((speaking(), "hello"), (module, "from a module"), (server, "from a server")):
        async with connect(plugin) as client:
            assert await said(client) == expected


def lambda_say() -> str:
    return "from a server"


lambda_say.__name__ = "say"


async def test_settings_are_validated_and_their_errors_raised() -> None:
    async with connect(speaking(), settings={"word": "hi"}) as client:
        assert await said(client) == "hi"
    with pytest.raises(HostError, match=r"unknown key 'wrd'.*did you mean 'word'"):
        async with connect(speaking(), settings={"wrd": "hi"}):
            raise AssertionError


async def test_a_plugin_that_cannot_start_raises_its_problem() -> None:
    def lifespan(context: object) -> AbstractAsyncContextManager[None]:
        raise RuntimeError("no")

    with pytest.raises(HostError, match="RuntimeError: no"):
        async with connect(Plugin(lifespan=lifespan)):
            raise AssertionError


async def test_several_plugins_are_connected_to_by_name() -> None:
    options = {"plugins": {"b": {"prefix": "b_", "settings": {"word": "bye"}}}}
    async with connect({"a": speaking(), "b": speaking()}, options=options) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["say", "b_say"]
        assert (await client.call_tool("b_say", {})).structured_content == {"result": "bye"}


async def test_a_configuration_or_its_file_is_connected_to(tmp_path: Path) -> None:
    text = '[plugins.v]\nobject = "mcp_validation_server.app:mcp"\n'
    path = tmp_path / "mcp-host.toml"
    path.write_text(text, encoding="utf-8")
    for config in (parse_config(text, environ={}), path):
        async with connect(config) as client:
            assert "reconcile" in [tool.name for tool in (await client.list_tools()).tools]


def test_nothing_that_is_installed_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mcp_plugin_stats", raising=False)
    host = make_host(speaking())
    assert [record.name for record in host.records] == ["plugin"]
    assert "mcp_plugin_stats" not in sys.modules


async def test_the_fixture_connects(mcp_connect: Callable[..., AbstractAsyncContextManager[Client]]) -> None:
    async with mcp_connect(speaking(), mode="legacy") as client:
        assert await said(client) == "hello"


async def test_the_environment_of_the_machine_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_HOST__PLUGINS__PLUGIN__PREFIX", "x_")
    async with connect(speaking()) as client:
        assert await said(client) == "hello"
