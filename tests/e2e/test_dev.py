"""`mcp-host dev`: a plugin's code and the TOML are reloaded while a client stays connected."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.processes import Cli, Process

pytestmark = pytest.mark.anyio

CODE = """
from mcp_host import Plugin
plugin = Plugin()

@plugin.tool
def {name}() -> str:
    {body}
"""
PYPROJECT = """
[project]
name = "mcp-plugin-fresh"
version = "1.0"
dependencies = ["mcp-host"]
[project.entry-points."mcp.plugins"]
fresh = "mcp_plugin_fresh:plugin"
"""


def write_project(folder: Path, name: str, body: str) -> Path:
    package = folder / "src/mcp_plugin_fresh"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (package / "__init__.py").write_text(CODE.format(name=name, body=body), encoding="utf-8")
    return folder


def serve(process: Process) -> None:
    process.stdin.close()
    process.url = process.until("Serving ").split(" at ")[1].strip()
    process.until("Ctrl+C")


async def tools(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]


async def heard(client: Client, change: Callable[[], object]) -> None:
    """Make a change and wait until the server notifies that its tools have changed."""
    async with client.listen(tools_list_changed=True) as events:
        change()
        with anyio.fail_after(30):
            async for _ in events:
                return


async def test_code_and_configuration_are_reloaded_without_a_restart(cli: Cli, tmp_path: Path) -> None:
    cli.config("")
    project = write_project(tmp_path / "project", "first", 'return "1"')
    with cli.start("dev", "--plugin", str(project), "--no-inspector", "--port", "0") as process:
        serve(process)
        async with Client(process.url) as client:
            assert await tools(client) == ["first"]
            await heard(client, lambda: write_project(project, "second", "raise ValueError('a clear text')"))
            assert await tools(client) == ["second"]
            block = (await client.call_tool("second", {})).content[0]
            assert isinstance(block, TextContent)
            assert "ValueError: a clear text" in block.text, "callers see the text of crashes"

            # Code that cannot be loaded leaves what was served; fixing it is enough.
            write_project(project, "third", "return (")
            with anyio.fail_after(30):
                while '"reload_problem": {' not in (await state(client)):
                    await anyio.lowlevel.checkpoint()
            assert "SyntaxError" in process.err
            assert await tools(client) == ["second"]
            await heard(client, lambda: write_project(project, "fourth", 'return "4"'))
            assert await tools(client) == ["fourth"]

            await heard(client, lambda: cli.config('[plugins.fresh]\nprefix = "p_"\n'))
            assert await tools(client) == ["p_fourth"]
        assert "Traceback" in process.err, "the log has the tracebacks"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file names that are not UTF-8")
async def test_a_file_name_that_is_not_utf_8_does_not_end_the_watch_of_code(cli: Cli, tmp_path: Path) -> None:
    cli.config("")
    project = write_project(tmp_path / "project", "first", 'return "1"')
    with cli.start("dev", "--plugin", str(project), "--no-inspector", "--port", "0") as process:
        serve(process)
        async with Client(process.url) as client:
            (project / "src/mcp_plugin_fresh" / os.fsdecode(b"\xff\xfe")).touch()
            while "watching goes on" not in process.err:
                assert process.alive
            await heard(client, lambda: write_project(project, "second", 'return "2"'))
            assert await tools(client) == ["second"]


async def state(client: Client) -> str:
    contents = (await client.read_resource("mcp-host://plugins", cache_mode="refresh")).contents[0]
    return str(contents.model_dump()["text"])


def test_without_node_the_server_runs_and_prints_what_the_inspector_needs(cli: Cli, tmp_path: Path) -> None:
    cli.config("")
    empty = tmp_path / "empty"
    empty.mkdir()
    with cli.start("dev", "--port", "0", env={"PATH": str(empty)}) as process:
        serve(process)
        while "needs Node.js" not in process.err:
            assert process.alive
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_distribution_it_is_to_have_is_installed_first(cli: Cli, tmp_path: Path) -> None:
    """An installed one is not installed again. One that cannot be installed ends the command before it serves."""
    cli.config("")
    done = cli.run("dev", "--with", "mcp-host", "--with-editable", str(tmp_path / "nowhere"), "--no-inspector")
    assert done.code == 2
    assert "nowhere" in done.err
