"""How `mcp-host run` ends: running calls are answered, calls that hang are ended, and all plugins are stopped."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.types import TextContent

from support.held import Held
from support.processes import TO_A_PIPE

if TYPE_CHECKING:
    from support.processes import Cli, Process

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
each_signal = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def trace(cli: Cli) -> Path:
    return cli.folder / "trace"


def send(process: Process, **message: Any) -> None:
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


def begin(process: Process, tool: str) -> None:
    """Initialize, call the tool, and wait until it is at it."""
    initialize(process)
    params = {"name": tool, "arguments": {}, "_meta": {"progressToken": 7}}
    send(process, id=2, method="tools/call", params=params)
    process.until("holding")


# HTTP


@each_era
@each_signal
async def test_a_call_in_flight_over_http_is_answered_before_the_end(
    cli: Cli, trace: Path, mode: str, number: signal.Signals
) -> None:
    cli.config("[plugins.good]")
    held = Held()
    with cli.serve(env={"GOOD_TRACE": str(trace)}) as process:
        async with Client(process.url, mode=mode) as client, anyio.create_task_group() as group:
            await client.list_tools()  # the client would ask for it after the call
            group.start_soon(held.call, client, "take_a_while")
            await held.running.wait()
            process.signal(number)
        assert process.wait() == 0
        lines = [line for line in process.err.splitlines() if " mcp_host.access: " not in line]
        assert [line.rpartition(": ")[2] for line in lines] == ["stopped"]
    assert not held.result.is_error
    (block,) = held.result.content
    assert isinstance(block, TextContent)
    assert block.text == "done"
    assert trace.read_text() == "start\ndone\nstop\n"


@each_era
async def test_a_call_that_outlasts_the_grace_period_is_cut_off_and_the_plugins_stopped(
    cli: Cli, trace: Path, mode: str
) -> None:
    cli.config('[host]\nshutdown_timeout = "200ms"\n[plugins.good]')
    with cli.serve(env={"GOOD_TRACE": str(trace)}) as process:
        held = Held()
        try:
            async with Client(process.url, mode=mode) as client, anyio.create_task_group() as group:
                group.start_soon(held.call, client, "hold")
                await held.running.wait()
                process.signal(signal.SIGTERM)
        except* Exception:
            held.result = "cut off"
        assert held.result == "cut off" or held.result.is_error
        assert process.wait() == 0
        assert "1 call did not end within 0.2 s and will be cancelled now" in process.err
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


async def test_a_client_that_leaves_in_the_middle_of_a_call_ends_the_call(cli: Cli, trace: Path) -> None:
    cli.config("[plugins.good]")
    with cli.serve(env={"GOOD_TRACE": str(trace)}) as process:
        meta = {
            "progressToken": 7,
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "hold", "arguments": {}, "_meta": meta},
        }
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "hold",
        }
        async with (
            httpx2.AsyncClient(timeout=60) as http,
            http.stream("POST", process.url, json=body, headers=headers) as response,
        ):
            async for line in response.aiter_lines():
                if "holding" in line:
                    break
        with anyio.fail_after(30):
            while "let go" not in trace.read_text():
                async with Client(process.url) as client:
                    await client.list_tools()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


# stdio


@pytest.mark.parametrize("end", ["eof", "sigterm", "sigint"])
def test_a_call_in_flight_over_stdio_is_answered_before_the_end(cli: Cli, trace: Path, end: str) -> None:
    cli.config("[plugins.good]")
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        begin(process, "take_a_while")
        if end == "eof":
            process.stdin.close()
        else:
            process.signal(signal.Signals[end.upper()])
        answer = json.loads(process.until('"id":2'))
        assert answer["result"]["content"][0]["text"] == "done"
        assert process.wait() == 0
        # A signal is answered with a line, the end of stdin is the client's own wish.
        assert [line.rpartition(": ")[2] for line in process.err.splitlines()] in ([], ["stopped"])
    assert trace.read_text() == "start\ndone\nstop\n"


def test_what_was_written_before_the_end_of_stdin_is_answered(cli: Cli) -> None:
    cli.config("[plugins.good]")
    lines: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}},
    ]
    lines[0]["params"]["clientInfo"] = {"name": "a shell", "version": "1"}
    done = cli.run("run", stdin="".join(json.dumps({"jsonrpc": "2.0", **line}) + "\n" for line in lines))
    assert done.code == 0
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert (first["id"], second["id"], second["result"]["structuredContent"]) == (1, 2, {"result": 3})


def test_a_call_that_outlasts_the_grace_period_over_stdio_is_cancelled(cli: Cli, trace: Path) -> None:
    cli.config('[host]\nshutdown_timeout = "200ms"\n[plugins.good]')
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        begin(process, "hold")
        process.stdin.close()
        assert process.wait() == 0
        assert "1 call did not end within 0.2 s and will be cancelled now" in process.err
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


def test_a_signal_after_the_end_of_stdin_waits_for_no_call(cli: Cli, trace: Path) -> None:
    cli.config("[plugins.good]")
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        begin(process, "hold")
        process.stdin.close()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "did not end within" not in process.err
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


def test_a_client_that_dies_in_the_middle_of_a_call_ends_it_at_once(cli: Cli, trace: Path) -> None:
    cli.config("[plugins.good]")
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        begin(process, "hold")
        process.stdout.close()
        process.stdin.close()
        assert process.wait() == 0
        assert "did not end within" not in process.err
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


def test_a_second_signal_ends_the_process_at_once(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.start("run") as process:
        begin(process, "hold")
        process.signal(signal.SIGTERM)
        process.until_logged("waiting for 1 call to end, 10 s at most; a second signal ends the process at once")
        process.signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


# What plugins leave behind


SHORT = '[host]\nshutdown_timeout = "200ms"\nstop_timeout = "200ms"\n[plugins.good]\n[plugins.lingering]'
LEFT = {
    "to_thread": "(tool to_thread of plugin lingering)",
    "own_executor": "thread ThreadPoolExecutor-",
    "plain": "thread AnyIO worker thread",
    "thread": "thread lingering thread",
    "stubborn_call": "tool stubborn_call of plugin lingering (_set_outcome) did not end in time and is left behind",
    "stubborn_task": "(stay) did not end in time and is left behind",
    "generator": "asynchronous generator counting did not end in time and is left behind",
}
"""The tools of the plugin `lingering`, and how the log names what each leaves behind."""

CUT_OFF = "the process is cut off, because this did not end: "


@pytest.mark.parametrize("end", ["eof", "sigterm"])
def test_the_host_ends_whatever_a_plugin_leaves_behind_and_names_it(cli: Cli, trace: Path, end: str) -> None:
    cli.config(SHORT)
    with cli.start("run", env={"GOOD_TRACE": str(trace), "LINGERING_LIFESPAN": "1"}) as process:
        initialize(process)
        for tool in LEFT:
            call(process, tool)
        if end == "eof":
            process.stdin.close()
        else:
            process.signal(signal.SIGTERM)
        assert process.wait() == 0
        for name in (*LEFT.values(), CUT_OFF, "did not end a task, which is cancelled: lifespan of plugin lingering"):
            assert name in process.err
    assert trace.read_text() == "start\nstop\n"


@pytest.mark.parametrize(
    ("tool", "named", "code"),
    [
        ("exit_handler", f"{CUT_OFF}an exit handler", 0),
        ("blocked_loop", "a task of tool blocked_loop of plugin lingering (", 0),
        # While Python is torn down, only C code still runs. It has no other exit code, and no log.
        ("finalized", "", 1),
    ],
)
@pytest.mark.parametrize("through", [(), TO_A_PIPE], ids=["file", "pipe"])
def test_the_host_ends_whatever_hangs_at_its_end(
    cli: Cli, tool: str, named: str, code: int, through: tuple[str, ...]
) -> None:
    cli.config(SHORT)
    with replace(cli, through=through).start("run") as process:
        initialize(process)
        call(process, tool)
        if tool == "blocked_loop":
            process.until_logged("has blocked the event loop")
        process.stdin.close()
        assert process.wait() == code
        process.until_logged(named)


def initialize(process: Process) -> None:
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    send(process, id=1, method="initialize", params=parameters)
    process.until('"id":1')
    send(process, method="notifications/initialized")


def call(process: Process, tool: str) -> None:
    """Call the tool, and wait for its answer."""
    send(process, id=tool, method="tools/call", params={"name": tool, "arguments": {}})
    process.until(f'"id":"{tool}"')


@each_signal
async def test_over_http_the_host_ends_whatever_a_plugin_leaves_behind(
    cli: Cli, trace: Path, number: signal.Signals
) -> None:
    cli.config(SHORT)
    with cli.serve(env={"GOOD_TRACE": str(trace), "LINGERING_LIFESPAN": "1"}) as process:
        async with Client(process.url) as client:
            for tool in ("to_thread", "plain", "stubborn_call", "stubborn_task", "generator", "thread"):
                await client.call_tool(tool, {})
        process.signal(number)
        assert process.wait() == 0
        assert "plugin lingering did not end a task, which is cancelled: lifespan of plugin lingering" in process.err
    assert trace.read_text() == "start\nstop\n"


def test_a_lifespan_that_never_stops_takes_no_time_from_the_others(cli: Cli, trace: Path) -> None:
    cli.config('[host]\nshutdown_timeout = "1s"\nstop_timeout = "50s"\n[plugins.good]\n[plugins.lingering]')
    with cli.start("run", env={"GOOD_TRACE": str(trace), "LINGERING_LIFESPAN": "1"}) as process:
        initialize(process)
        call(process, "exit_handler")
        process.stdin.close()
        assert process.wait() == 0
        assert "the lifespan of plugin lingering did not stop within" in process.err
    assert trace.read_text() == "start\nstop\n"


@pytest.mark.parametrize("end", ["eof", "sigterm"])
def test_the_host_ends_while_a_reload_is_stuck_in_an_import(cli: Cli, trace: Path, end: str) -> None:
    cli.config(SHORT)
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        initialize(process)
        call(process, "exit_handler")
        cli.config(SHORT + "\n[plugins.hanging]")
        process.signal(signal.SIGHUP)
        process.until_logged("loading plugin hanging ...")
        if end == "eof":
            process.stdin.close()
        else:
            process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert trace.read_text() == "start\nstop\n"
