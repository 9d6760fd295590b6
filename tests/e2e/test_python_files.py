"""`mcp-host run FILE`, `dev FILE`, `install CLIENT FILE`: a Python file is served without an mcp-host.toml."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent

if TYPE_CHECKING:
    from pathlib import Path

    from support.invoking import Invoke
    from support.processes import Cli

pytestmark = pytest.mark.anyio

SERVER = """
    from mcp.server.mcpserver import MCPServer

    mcp = MCPServer("s")
    again = mcp

    @mcp.tool()
    def hi() -> str:
        "Greets."
        import beside  # Python finds it as for a script
        return beside.WORD
"""
PLUGIN = """
    from mcp_host import Plugin

    weather = Plugin()

    @weather.tool(read_only=True)
    def hi() -> str:
        "Greets."
        return "hi"
"""
HOOKS = """
    from mcp_host import Tool, hookimpl

    def hi() -> str:
        "Greets."
        return "hi"

    @hookimpl
    def mcp_tools():
        return [Tool(hi)]
"""
OWN_CLASS = """
    from mcp_host import Tool, hookimpl

    def hi() -> str:
        "Greets."
        return "hi"

    class Parts:
        @hookimpl
        def mcp_tools(self):
            return [Tool(hi)]

    parts = Parts()
"""
LOW_LEVEL = """
    import mcp.types as types
    from mcp.server import Server

    async def tools(ctx, params):
        return types.ListToolsResult(tools=[types.Tool(name="hi", input_schema={"type": "object"})])

    async def call(ctx, params):
        return types.CallToolResult(content=[types.TextContent(text="hi")])

    server = Server("low", on_list_tools=tools, on_call_tool=call)
"""
MAKER = """
    from mcp.server.mcpserver import MCPServer

    def create_server(word: str = "hi") -> MCPServer:
        mcp = MCPServer("s")

        @mcp.tool()
        def hi() -> str:
            "Greets."
            return word

        return mcp
"""
TWO = "from mcp_host import Plugin\nfirst = Plugin()\nsecond = Plugin()\n"


@pytest.fixture
def files(cli: Cli) -> Cli:
    cli.config("WORD = 'hi'\n", "beside.py")
    return cli


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_run_serves_the_server_of_a_file_over_stdio_from_any_folder(
    files: Cli, mode: str, tmp_path: Path
) -> None:
    file = files.config(SERVER, "my server.py")
    command, *arguments = files.command
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parameters = StdioServerParameters(
        command=command, args=[*arguments, "run", str(file)], env=files.environment(), cwd=elsewhere
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(parameters, log), mode=mode) as client:
            assert client.server_info is not None
            assert client.server_info.name == "my-server"
            assert [tool.name for tool in (await client.list_tools()).tools] == ["hi"]
            (block,) = (await client.call_tool("hi", {})).content
    assert isinstance(block, TextContent)
    assert block.text == "hi"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (SERVER, ""),
        (SERVER, ":again"),
        (PLUGIN, ""),
        (HOOKS, ""),
        (OWN_CLASS, ""),
        (LOW_LEVEL, ""),
        (MAKER, ":create_server"),
    ],
    ids=["server", "by name", "plugin", "hooks", "object with hooks", "low-level", "function"],
)
def test_every_kind_of_object_is_served_from_a_file(invoke: Invoke, source: str, name: str) -> None:
    invoke.config("WORD = 'hi'\n", "beside.py")
    invoke.config(source, "server.py")
    done = invoke("call", "--config", f"server.py{name}", "hi")
    assert (done.out, done.code) == ("hi\n", 0), done.err


@pytest.mark.parametrize(
    ("source", "file", "what", "hint"),
    [
        (TWO, "it.py", "it.py has several plugins or servers: first, second", "name one of them: it.py:first"),
        (TWO, "it.py:third", "it.py:third does not exist", "it.py:NAME"),
        (MAKER, "it.py", "it.py has no plugin and no server, but a function", "name the function: it.py:create_server"),
        ("x = 1\n", "it.py", "which implements no hook", "make a Plugin or an MCPServer at the top level of the file"),
        ("x = (\n", "it.py", "SyntaxError: '(' was never closed", "where: plugins.it (it.py), it.py:1"),
        ("\nx = y\n", "it.py", "NameError: name 'y' is not defined", "where: plugins.it (it.py), it.py:2"),
        ("import cv2_of_nobody\n", "it.py", "No module named 'cv2_of_nobody'", "contains the module cv2_of_nobody"),
        ("from mcp.server.fastmcp import FastMCP\n", "it.py", "No module named", "mcp-host add it.py"),
        ("", "gone.py", "there is no file", "where: command line"),
        ("", "it.toml", "it.toml is not a Python file", "--config it.toml"),
        ("", "it", "it is not a Python file", "server.py, or server.py:NAME"),
    ],
)
def test_a_file_that_cannot_be_served_has_a_clear_error(
    invoke: Invoke, source: str, file: str, what: str, hint: str
) -> None:
    invoke.config(source, "it.py")
    done = invoke("run", file)
    assert done.code == 2
    assert what in done.err
    assert hint in done.err
    assert "[plugins.it]" not in done.err, "there is no table to write into"
    assert done.out == ""


def test_a_file_and_a_configuration_are_not_served_together(invoke: Invoke) -> None:
    invoke.config(PLUGIN, "server.py")
    invoke.config("[plugins.stats]\n")
    done = invoke("run", "server.py", "--config", "mcp-host.toml")
    assert done.code == 2
    assert "only one can be served" in done.err
    done = invoke("enable", "stats", "--config", "server.py")
    assert "server.py is a Python file, and has no tables to change" in done.err


def test_variables_give_a_function_its_settings(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke.config(MAKER, "server.py")
    monkeypatch.setenv("MCP_HOST__PLUGINS__SERVER__SETTINGS__WORD", "told")
    done = invoke("call", "--config", "server.py:create_server", "hi")
    assert done.out == "told\n"


async def tools(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]


async def changed(client: Client, file: Path, text: str) -> list[str]:
    """Write a file, and return the tools after the server's notice of a change."""
    async with client.listen(tools_list_changed=True) as events:
        file.write_text(text, encoding="utf-8")
        with anyio.fail_after(30):
            async for _ in events:
                break
    return await tools(client)


@pytest.mark.parametrize("command", [("dev", "--no-inspector"), ("run", "--reload", "--transport", "http")])
async def test_a_file_and_what_it_imports_are_watched(files: Cli, command: tuple[str, ...]) -> None:
    """A broken edit is shown with its file, line and traceback (in dev), and what was served goes on."""
    helper = files.config("NAME = 'one'\n", "helper.py")
    text = "from mcp_host import Plugin\nimport helper\nplugin = Plugin()\nplugin.tool(name=helper.NAME)(lambda: 1)\n"
    server = files.config(text, "server.py")
    name, *options = command
    with files.start(name, "server.py", *options, "--port", "0") as process:
        process.stdin.close()
        process.url = process.until("Serving ").split(" at ")[1].strip()
        process.until("Ctrl+C")
        async with Client(process.url) as client:
            assert await tools(client) == ["one"]
            assert await changed(client, helper, "NAME = 'two'\n") == ["two"]
            server.write_text(f"{text}LIMIT = nothing_of_this_name + 1\n", encoding="utf-8")
            await anyio.to_thread.run_sync(process.until_logged, "nothing_of_this_name")
            assert await tools(client) == ["two"]
            assert "server.py:5" in process.err
            if name == "dev":
                await anyio.to_thread.run_sync(process.until_logged, "LIMIT = nothing_of_this_name + 1")
                assert "importlib" not in process.err
            assert await changed(client, server, text.replace("helper.NAME", "'three'")) == ["three"]


async def test_install_writes_an_entry_that_serves_the_file(files: Cli, tmp_path: Path) -> None:
    files.config(SERVER, "server.py")
    entries = files.config("{}", "mcp.json")
    done = files.run("install", "cursor", "server.py", "--file", "mcp.json")
    assert done.code == 0, done.err
    assert "Verified: every plugin works, and the server answers with 1 tool." in done.out
    ((name, entry),) = json.loads(entries.read_text(encoding="utf-8"))["mcpServers"].items()
    assert name == "server"
    parameters = StdioServerParameters(
        command=entry["command"], args=entry["args"], env=files.environment(), cwd=tmp_path.anchor
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(parameters, log)) as client:
            assert await tools(client) == ["hi"]


SLOW = """
    import time
    from contextlib import asynccontextmanager
    from pathlib import Path

    import anyio

    from mcp_host import Plugin

    while not Path("load").exists():
        time.sleep(0.01)

    @asynccontextmanager
    async def lifespan(context):
        await appears("start")
        yield
        await appears("stop")

    async def appears(name):
        while not Path(name).exists():
            await anyio.sleep(0.01)

    plugin = Plugin(lifespan=lifespan)
"""


def test_a_slow_start_and_a_slow_end_say_what_they_wait_for(files: Cli) -> None:
    files.config(SLOW, "slow.py")
    with files.start("run", "slow.py", "--transport", "http", "--port", "0") as process:
        process.stdin.close()
        process.until_logged("loading plugin slow ...")
        files.config("", "load")
        process.until_logged("starting plugin slow ...")
        files.config("", "start")
        process.until("Ctrl+C")
        process.signal(signal.SIGINT)
        process.until_logged("waiting for plugin slow to stop, 10 s at most")
        files.config("", "stop")
        assert process.wait() == 0
        assert process.err.rstrip().endswith("stopped")
