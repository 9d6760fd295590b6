"""A plugin's faults in the process, the loop or the wire format do not stop the host or affect another plugin."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, TextContent

from support.plugins.hostile import ALL, RUINS
from support.processes import TO_A_PIPE

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

HANDLERS = "the logging of the whole process (the handlers of the root logger)"

RESTORED = [
    "the working directory",
    "file descriptor 1",
    "sys.stdout or sys.stderr",
    "the handler of SIGTERM",
    "the mask of signals",
    "an interval timer of the process",
    "the task factory of the event loop",
    HANDLERS,
    "the logging of the whole process (the level of the root logger)",
    "the logging of the whole process (logging.disable)",
    "the logging of the whole process (the factory of log records)",
    "the logging of the whole process (the handler of the log)",
    "the logging of the whole process (the loggers of others)",
    "the umask",
    "the limit RLIMIT_NOFILE",
    "the default timeout of sockets",
    "the filters of warnings (errors)",
]


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
    for changed in RESTORED:
        assert f"it changed {changed}, which was restored" in process.err
    for changed in ("the environment (HOSTILE)", "sys.path (/hostile)"):
        assert f"it changed {changed}, for all plugins" in process.err
    assert "tried to cancel tasks that are not its own, which still run" in process.err
    assert "a plugin stopped the event loop, which goes on" in process.err
    assert "ValueError: in the log all the same" in process.err.partition(HANDLERS)[2]


async def test_over_stdio_every_line_stays_json_rpc_whatever_a_plugin_does(cli: Cli) -> None:
    cli.config(CONFIG)
    with cli.start("run") as process:
        begin(process)
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


@pytest.mark.parametrize("ruin", RUINS)
async def test_what_ends_a_process_ends_only_the_plugin_that_has_one_of_its_own(cli: Cli, ruin: str) -> None:
    cli.config('[plugins.hostile]\nisolation = "process"\n[plugins.neighbour]')
    with cli.serve() as process:
        async with over_http(process, "auto") as client:
            await answered(client.call_tool(ruin, {}))
            assert await folder_of_neighbour(client) == str(cli.folder)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize("through", [(), TO_A_PIPE], ids=["file", "pipe"])
def test_at_a_segfault_the_log_has_the_plugin_that_was_running(cli: Cli, through: tuple[str, ...]) -> None:
    cli.config("[plugins.hostile]")
    with replace(cli, through=through).start("run") as process:
        begin(process)
        send(process, id=1, method="tools/call", params={"name": "segfault", "arguments": {}})
        assert process.wait() == -signal.SIGSEGV
        process.until_logged("in segfault")
    assert re.search(r'File ".*mcp_plugin_hostile/__init__\.py", line \d+ in segfault', process.err)


def test_a_process_that_a_plugin_forks_does_not_keep_the_clients_stdout_open(cli: Cli) -> None:
    cli.config("[plugins.hostile]")
    with cli.start("run") as process:
        begin(process)
        send(process, id=1, method="tools/call", params={"name": "fork", "arguments": {}})
        process.until('"id":1')
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait() == 0


def begin(process: Process) -> None:
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    send(process, id=0, method="initialize", params=parameters)
    process.until('"id":0')
    send(process, method="notifications/initialized")


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-"])
def test_a_process_whose_standard_streams_are_closed_still_serves(cli: Cli, closed: str) -> None:
    cli.config("[plugins.neighbour]")
    through = replace(cli, through=("sh", "-c", f'exec "$@" {closed}', "sh"))
    done = through.run("call", "neighbour")
    assert done.code == 0
    assert (str(cli.folder) in done.out) == (closed == "2>&-")
    with through.start("run") as process:
        if closed == "2>&-":
            begin(process)
            send(process, id=1, method="tools/call", params={"name": "neighbour", "arguments": {}})
            assert str(cli.folder) in process.until('"id":1')
        process.stdin.close()
        assert process.wait() == 0


async def test_calls_of_clients_that_were_killed_do_not_count_as_failures_of_the_plugin(cli: Cli) -> None:
    cli.config('[host]\ncall_timeout = "1s"\nlimits.failures = 2\n[plugins.good]')
    with cli.serve() as process:
        for killed in range(1, 4):
            await call_and_leave(process.url)
            while process.err.count("tool hold of plugin good did not finish") < killed:
                process.until_logged("tool hold of plugin good did not finish")
        async with over_http(process, "auto") as client:
            assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
        assert "is paused" not in process.err
        # The same calls of a client that waits for them count.
        async with over_http(process, "legacy") as client:
            for _ in range(2):
                assert (await client.call_tool("hold", {})).is_error
        assert "plugin good is paused after 2 failures" in process.err


async def call_and_leave(url: str) -> None:
    """Begin a call in a session of a handshake version, and close the connection while the call runs."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}
    params = {"name": "hold", "arguments": {}, "_meta": {"progressToken": 7}}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(timeout=60, headers=headers) as http:
        session = (await http.post(url, json=first)).headers["Mcp-Session-Id"]
        http.headers["Mcp-Session-Id"] = session
        await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        async with http.stream("POST", url, json=call) as response:
            async for line in response.aiter_lines():
                if "holding" in line:
                    break
