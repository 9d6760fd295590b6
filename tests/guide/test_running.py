"""8. and 9. The server as a process: over stdio, over HTTP, and in the settings of Claude Desktop."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from e2e.conftest import Cli
from guide.talking import read, structured

pytestmark = pytest.mark.anyio

CONFIG = '[host]\nname = "Demo Server"\n[plugins.greeting]\nobject = "greeting:plugin"\n'


async def answers(client: Client) -> None:
    assert await structured(client, "add", a=1, b=2) == {"result": 3}
    assert (await read(client, "greeting://Ann")).text == "Hello, Ann!"
    assert (await client.get_prompt("greet_user", {"name": "Ann"})).messages


async def test_it_is_served_over_stdio_by_default(cli: Cli, mode: str) -> None:
    cli.config(CONFIG)
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_host", "run"], env=cli.environment(), cwd=cli.folder
    )
    with (cli.folder / "errors").open("w") as errors:
        async with Client(stdio_client(server, errlog=errors), mode=mode) as client:
            await answers(client)


async def test_it_is_served_over_http(cli: Cli, mode: str) -> None:
    cli.config(CONFIG)
    with cli.serve() as process:
        assert process.url.endswith("/mcp")
        async with Client(process.url, mode=mode) as client:
            await answers(client)


def test_it_is_added_to_the_settings_of_claude_desktop_and_starts_from_there(cli: Cli) -> None:
    config = cli.config(CONFIG)
    settings = cli.folder / "claude_desktop_config.json"
    settings.write_text('{"theme": "dark"}', encoding="utf-8")
    module_path = cli.env["PYTHONPATH"]
    done = cli.run(
        *("install", "claude-desktop", "--file", str(settings), "--name", "my-analytics-server"),
        *("-v", f"PYTHONPATH={module_path}", "-v", "API_KEY=abc123"),
    )
    assert done.code == 0, done.err
    written = json.loads(settings.read_text(encoding="utf-8"))
    assert written["theme"] == "dark"
    entry = written["mcpServers"]["my-analytics-server"]
    assert entry["env"] == {"PYTHONPATH": module_path, "API_KEY": "abc123"}
    assert str(config) in entry["args"]
    listing = subprocess.run(
        [entry["command"], *entry["args"]], env=entry["env"], input="", capture_output=True, text=True, check=False
    )
    assert listing.returncode == 0, listing.stderr
    assert listing.stdout == "", "stdout is the protocol's, and nobody has sent a request"
