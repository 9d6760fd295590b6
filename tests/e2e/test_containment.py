"""A plugin's faults in the process, the loop or the wire format do not stop the host or affect another plugin."""

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

from support.plugins.hostile import ALL

if TYPE_CHECKING:
    from support.processes import Cli, Process

pytestmark = pytest.mark.anyio

CONFIG = """
    [host]
    call_timeout = "30s"
    limits.failures = 0
    [plugins.hostile]
    middleware = "all"
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


async def answered(request: Any) -> str:
    """Wait for a response of any kind, and return the text of an error."""
    with anyio.fail_after(60):
        try:
            await request
        except MCPError as error:
            return error.error.message
    return ""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_host_keeps_serving_whatever_a_plugin_does(cli: Cli, mode: str) -> None:
    cli.config(CONFIG)
    with cli.serve() as process:
        async with over_http(process, mode) as client:
            assert set(ALL) < {tool.name for tool in (await client.list_tools()).tools}
            for fault in ALL:
                await answered(client.call_tool(fault, {}))
                await answered(client.read_resource(f"fault://{fault}"))
                await answered(client.get_prompt(fault))
                await answered(client.complete(PromptReference(name="completed"), {"name": "fault", "value": fault}))
                await answered(client.call_tool("where", {"fault": fault}))
                assert await folder_of_neighbour(client) == str(cli.folder), fault
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    for changed in ("the working directory", "file descriptor 1", "sys.stdout or sys.stderr", "the handler of SIGTERM"):
        assert f"it changed {changed}, which was restored" in process.err


async def test_over_stdio_every_line_stays_json_rpc_whatever_a_plugin_does(cli: Cli) -> None:
    cli.config(CONFIG)
    with cli.start("run") as process:
        parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        send(process, id=0, method="initialize", params=parameters)
        assert json.loads(process.until('"id":0'))
        send(process, method="notifications/initialized")
        number, answer = 0, {}
        for fault in ALL:
            requests = [
                ("tools/call", {"name": fault, "arguments": {}}),
                ("resources/read", {"uri": f"fault://{fault}"}),
                ("prompts/get", {"name": fault}),
                ("tools/call", {"name": "where", "arguments": {"fault": fault}}),
                ("tools/call", {"name": "neighbour", "arguments": {}}),
            ]
            for method, params in requests:
                number += 1
                send(process, id=number, method=method, params=params)
                answer = json.loads(process.stdout.readline())
                assert answer["id"] == number
            assert answer["result"]["content"][0]["text"] == str(cli.folder), fault
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait() == 0
        assert rest == ""


def send(process: Process, **message: Any) -> None:
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_changes_that_a_plugin_makes_while_it_loads_and_starts_are_undone(cli: Cli, mode: str) -> None:
    cli.config("[plugins.careless]\n[plugins.neighbour]")
    with cli.serve() as process:
        async with over_http(process, mode) as client:
            assert await folder_of_neighbour(client) == str(cli.folder)
            (content,) = (await client.read_resource("mcp-host://plugins")).contents
            careless = json.loads(content.text)["plugins"][0]  # type: ignore[union-attr]
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert careless["problem"] is None
    for changed in ("the working directory", "sys.stdout or sys.stderr", "the handler of SIGTERM"):
        assert f"it changed {changed}, which was restored" in process.err
    assert "printed by a neighbour" in process.err
    assert "a plugin tried to end the process with SystemExit" in process.err
    assert "a task started by lifespan of plugin careless raised SystemExit, which is contained" in process.err
    assert "plugin careless did not end a task, which is cancelled: staying" in process.err
