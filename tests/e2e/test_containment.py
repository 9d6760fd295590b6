"""Nothing that a plugin does to the process, the loop or the wire takes the host down or reaches a neighbour."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, TextContent

from e2e.hostile import ALL

if TYPE_CHECKING:
    from e2e.conftest import Cli, Process

pytestmark = pytest.mark.anyio

CONFIG = """
    [host]
    call_timeout = "30s"
    limits.failures = 0
    [plugins.hostile]
    [plugins.neighbour]
"""


@asynccontextmanager
async def over_http(process: Process, mode: str) -> AsyncIterator[Client]:
    async with Client(process.url, mode=mode) as client:
        yield client


async def folder_of_neighbour(client: Client) -> str:
    result = await client.call_tool("neighbour", {})
    assert not result.is_error, result
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def outcome(request: Any) -> str:
    """What came of a request: any answer will do, as long as there is one."""
    with anyio.fail_after(60):
        try:
            await request
        except MCPError as error:
            return error.error.message
    return ""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_host_serves_on_whatever_a_plugin_does(cli: Cli, mode: str) -> None:
    cli.config(CONFIG)
    with cli.serve() as process:
        async with over_http(process, mode) as client:
            assert set(ALL) < {tool.name for tool in (await client.list_tools()).tools}
            for harm in ALL:
                await outcome(client.call_tool(harm, {}))
                await outcome(client.read_resource(f"harm://{harm}"))
                await outcome(client.get_prompt(harm))
                await outcome(client.complete(PromptReference(name="completed"), {"name": "harm", "value": harm}))
                await outcome(client.call_tool("where", {"harm": harm}))
                assert await folder_of_neighbour(client) == str(cli.folder), harm
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    for changed in ("the working directory", "file descriptor 1", "sys.stdout or sys.stderr", "what SIGTERM does"):
        assert f"it changed {changed}, which was put back" in process.err


async def test_over_stdio_every_line_stays_json_rpc_whatever_a_plugin_does(cli: Cli) -> None:
    cli.config(CONFIG)
    with cli.start("run") as process:
        parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        send(process, id=0, method="initialize", params=parameters)
        assert json.loads(process.until('"id":0'))
        send(process, method="notifications/initialized")
        number, answer = 0, {}
        for harm in ALL:
            requests = [
                ("tools/call", {"name": harm, "arguments": {}}),
                ("resources/read", {"uri": f"harm://{harm}"}),
                ("prompts/get", {"name": harm}),
                ("tools/call", {"name": "where", "arguments": {"harm": harm}}),
                ("tools/call", {"name": "neighbour", "arguments": {}}),
            ]
            for method, params in requests:
                number += 1
                send(process, id=number, method=method, params=params)
                answer = json.loads(process.stdout.readline())
                assert answer["id"] == number
            assert answer["result"]["content"][0]["text"] == str(cli.folder), harm
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait() == 0
        assert rest == ""


def send(process: Process, **message: Any) -> None:
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_a_plugin_changes_while_it_is_loaded_and_started_is_put_back(cli: Cli, mode: str) -> None:
    cli.config("[plugins.careless]\n[plugins.neighbour]")
    with cli.serve() as process:
        async with over_http(process, mode) as client:
            assert await folder_of_neighbour(client) == str(cli.folder)
            (content,) = (await client.read_resource("mcp-host://plugins")).contents
            careless = json.loads(content.text)["plugins"][0]  # type: ignore[union-attr]
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert careless["problem"] is None
    for changed in ("the working directory", "sys.stdout or sys.stderr", "what SIGTERM does"):
        assert f"it changed {changed}, which was put back" in process.err
    assert "printed by a neighbour" in process.err
    assert "a plugin tried to end the process with SystemExit" in process.err
    assert "a task started by lifespan of plugin careless raised SystemExit, which is contained" in process.err
    assert "plugin careless left a task behind, which is cancelled: staying" in process.err
