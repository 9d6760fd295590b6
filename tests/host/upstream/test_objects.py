"""Server objects of this process, and functions that make them: what the key `object` takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import mcp.types as types
import pytest
from mcp import Client

from mcp_host.config import HostConfig, parse_config
from mcp_host.plugins.records import PluginRecord
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.testing import connect

pytestmark = [pytest.mark.anyio]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

LOW = """
    import mcp.types as types
    from mcp.server import Server

    async def listed(ctx, params):
        schema = {"type": "object", "x-vendor": {"a": None}}
        return types.ListToolsResult(tools=[types.Tool(name="low", description="Low.", input_schema=schema)])

    async def called(ctx, params):
        text = types.TextContent(type="text", text=f"{params.name} {params.arguments}")
        return types.CallToolResult(content=[text], structured_content={"n": None}, _meta={"kept": 1})

    low = Server("low", version="3", instructions="Ask little.", on_list_tools=listed, on_call_tool=called)
"""

MADE = """
    from mcp.server.mcpserver import MCPServer
    from low import low

    def make(who: str, times: int = 1):
        server = MCPServer("made")
        server.add_tool(lambda: who * times, name="who", description="Say who.")
        return server

    async def later(who: str):
        return low

    def nothing():
        return 7

    def fails():
        raise RuntimeError("no database")

    mcp = MCPServer("plain")
"""

TYPED = """
    from __future__ import annotations
    from datetime import timedelta
    from pathlib import Path
    from typing import TYPE_CHECKING
    from mcp.server.mcpserver import MCPServer

    if TYPE_CHECKING:
        from decimal import Decimal

    class Opaque:
        pass

    def make(where: Path | None, wait: timedelta = timedelta(0), opaque: Opaque | None = None):
        server = MCPServer("typed")
        what = f"{where.name} {wait.total_seconds()} {opaque}"
        server.add_tool(lambda: what, name="what", description="Return what came.")
        return server

    def half(price: Decimal, where: Path):
        server = MCPServer("half")
        server.add_tool(lambda: f"{price!r} {where!r}", name="what", description="Return what came.")
        return server
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "typed.py").write_text(dedent(TYPED), encoding="utf-8")
    (tmp_path / "low.py").write_text(dedent(LOW), encoding="utf-8")
    (tmp_path / "made.py").write_text(dedent(MADE), encoding="utf-8")
    return tmp_path


def config(folder: Path, table: dict[str, Any], environ: dict[str, str] | None = None) -> HostConfig:
    file = folder / "mcp-host.toml"
    return parse_config("", source=file, overrides={"plugins": {"it": table}}, environ=environ or {})


@asynccontextmanager
async def serving(folder: Path, mode: str, **table: Any) -> AsyncIterator[Client]:
    async with connect(config(folder, table), mode=mode) as client:
        yield client


def record(folder: Path, environ: dict[str, str] | None = None, **table: Any) -> PluginRecord:
    host = Host(config(folder, table), adopt=adopt, environ=environ or {})
    (record,) = host.records
    return record


def text(result: types.CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, types.TextContent)
    return block.text


@each_era
async def test_a_low_level_server(folder: Path, mode: str) -> None:
    async with serving(folder, mode, object="low.py:low", prefix="l_", instructions=True) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "l_low"
        assert tool.input_schema["x-vendor"] == {"a": None}
        result = await client.call_tool("l_low", {"a": [None]})
        assert text(result) == "low {'a': [None]}"
        assert result.structured_content == {"n": None}
        meta = result.meta or {}
        assert meta["kept"] == 1
        # A client of 2026-07-28 learns which server it is connected to: the host, not the other one.
        assert meta.get("io.modelcontextprotocol/serverInfo", {}).get("name", "mcp-host") == "mcp-host"
        assert client.instructions == "## it\n\nAsk little."


@each_era
async def test_instructions_are_off_by_default(folder: Path, mode: str) -> None:
    async with serving(folder, mode, object="low.py:low") as client:
        assert client.instructions is None


@each_era
async def test_a_function_is_called_with_the_settings(folder: Path, mode: str) -> None:
    async with serving(folder, mode, object="made.py:make", settings={"who": "me", "times": 2}) as client:
        assert text(await client.call_tool("who", {})) == "meme"
    async with serving(folder, mode, object="made.py:later", settings={"who": "me"}) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["low"]


@each_era
async def test_a_function_gets_the_types_of_its_parameters(folder: Path, mode: str) -> None:
    settings = {"where": "a/b", "wait": 90, "opaque": "as it is"}
    async with serving(folder, mode, object="typed.py:make", settings=settings) as client:
        assert text(await client.call_tool("what", {})) == "b 90.0 as it is"
    # Its annotations cannot be evaluated.
    async with serving(folder, mode, object="typed.py:half", settings={"price": "1", "where": "a"}) as client:
        assert text(await client.call_tool("what", {})) == "'1' 'a'"


def test_a_secret_of_a_functions_settings_is_read_and_masked(folder: Path) -> None:
    settings = {"who": {"env": "WHO", "format": "<{}>"}}
    host = Host(
        config(folder, {"object": "made.py:make", "settings": settings}), adopt=adopt, environ={"WHO": "somebody"}
    )
    assert host.redactor.redact("it is somebody") == "it is ***"
    assert not host.records[0].failed


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"object": "made.py:make"}, "missing who"),
        ({"object": "made.py:make", "settings": {"who": "a", "tims": 1}}, "unknown 'tims' (did you mean 'times'?)"),
        (
            {"object": "typed.py:make", "settings": {"where": 1, "wait": "soon"}},
            "where: Input is not a valid path for",
        ),
        ({"object": "made.py:nothing"}, "implements no hook"),
        ({"object": "made.py:fails"}, "RuntimeError: no database"),
        ({"object": "made.py:nobody"}, "has no attribute 'nobody'"),
        ({"object": "missing.py:mcp"}, "there is no file"),
    ],
    ids=["missing", "unknown", "wrong-types", "something-else", "raises", "no-attribute", "no-file"],
)
def test_what_is_wrong_with_an_object(folder: Path, table: dict[str, Any], what: str) -> None:
    problem = record(folder, **table).problem
    assert problem is not None
    assert what in problem.what
    assert problem.hint


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("from mcp.server.fastmcp import FastMCP", '["python", "old.py"]'),
        ("from mcp.server import FastMCP", '["python", "old.py"]'),
        ("import mcp.server.fastmcp", '["python", "old.py"]'),
        ("from mcp import McpError", '["python", "old.py"]'),
        ("import mcp\nmcp.McpError", '["python", "old.py"]'),
        ("from mcp.server import Server\nServer('x').list_tools()", '["python", "old.py"]'),
    ],
)
def test_a_server_for_an_older_sdk_gets_the_form_that_serves_it(folder: Path, code: str, command: str) -> None:
    (folder / "old.py").write_text(f"{code}\nmcp = FastMCP('old')\n", encoding="utf-8")
    problem = record(folder, object="old.py:mcp").problem
    assert problem is not None
    assert f'command = {command} and requirements = ["mcp<2"]' in problem.hint


def test_what_is_no_server_gets_the_form_that_serves_any(folder: Path) -> None:
    problem = record(folder, object="made.py:nothing").problem
    assert problem is not None
    assert 'command = ["python", "server.py"]' in problem.hint


def test_keys_for_connections_have_no_effect_on_an_mcpserver(folder: Path) -> None:
    warnings = [warning.what for warning in record(folder, object="made.py:mcp", ask=False, start="eager").warnings]
    assert warnings == [
        "start has no effect: the host does not connect to an MCPServer, but serves its parts",
        "ask has no effect: the host does not connect to an MCPServer, but serves its parts",
    ]


async def test_a_program_that_does_not_exist(folder: Path) -> None:
    table = {"command": ["no-such-program"], "env": {"PATH": "/nowhere"}}
    host = Host(config(folder, table), adopt=adopt)
    async with host.running():
        problem = host.records[0].problem
    assert problem is not None
    assert "the program 'no-such-program' does not exist on the PATH of the process: /nowhere" in problem.what


async def test_a_working_directory_that_does_not_exist(folder: Path) -> None:
    host = Host(config(folder, {"command": ["true"], "cwd": "nowhere"}), adopt=adopt, environ={})
    async with host.running():
        problem = host.records[0].problem
    assert problem is not None
    assert f"its working directory {folder / 'nowhere'} does not exist" in problem.what


async def test_a_host_does_not_start_itself_for_ever(folder: Path) -> None:
    host = Host(config(folder, {"command": ["true"]}), adopt=adopt, environ={"MCP_HOST_DEPTH": "3"})
    async with host.running():
        problem = host.records[0].problem
    assert problem is not None
    assert "it may be starting itself" in problem.what
