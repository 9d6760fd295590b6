"""`mcp-host run` over stdio as a process: its stdout is the protocol's, and stdin's end is its own."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2e.conftest import Cli, Process


def send(process: Process, *messages: dict[str, Any]) -> None:
    for message in messages:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


def initialize(process: Process) -> None:
    parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    send(process, {"id": 1, "method": "initialize", "params": parameters})
    process.until('"id":1')
    send(process, {"method": "notifications/initialized"})


def call(process: Process, number: int, tool: str) -> dict[str, Any]:
    send(process, {"id": number, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
    answer: dict[str, Any] = json.loads(process.until(f'"id":{number}'))
    return answer


def test_every_line_on_stdout_is_json_rpc_whatever_the_plugins_print(cli: Cli) -> None:
    cli.config("[plugins.noisy]")
    with cli.start("run") as process:
        initialize(process)
        assert call(process, 2, "noise")["result"]["content"][0]["text"] == "quiet"
        # The tool reads stdin, too: it finds it empty and takes nothing from the protocol.
        assert call(process, 3, "noise_on_the_loop")["result"]["content"][0]["text"] == "''"
        process.stdin.close()
        lines = [*process.lines, *process.stdout]
        assert process.wait() == 0
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
        for noise in (
            "at import",
            "raw at import",
            "of a child at import",
            "raw in a thread",
            "of the shell on the loop",
        ):
            assert f"NOISE {noise}" in process.err


def test_the_end_of_stdin_stops_the_plugins_and_ends_the_process_with_0(cli: Cli) -> None:
    cli.config("[plugins.good]")
    trace = cli.folder / "trace"
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        initialize(process)
        assert trace.read_text() == "start\n"
        process.stdin.close()
        assert process.wait() == 0
    assert trace.read_text() == "start\nstop\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_plugins_and_ends_the_process_with_0(cli: Cli, number: signal.Signals) -> None:
    cli.config("[plugins.good]")
    trace = cli.folder / "trace"
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        initialize(process)
        process.signal(number)
        assert process.wait() == 0
        assert process.err == ""
    assert trace.read_text() == "start\nstop\n"


def test_a_tool_that_hangs_in_a_thread_does_not_hold_the_process(cli: Cli) -> None:
    cli.config('[plugins.good]\ntimeout = "100ms"')
    trace = cli.folder / "trace"
    with cli.start("run", env={"GOOD_TRACE": str(trace)}) as process:
        initialize(process)
        answer = call(process, 2, "hang")["result"]
        assert answer["isError"]
        assert "did not finish within 0.1 s" in answer["content"][0]["text"]
        process.stdin.close()
        assert process.wait() == 0
    assert trace.read_text() == "start\nhanging\nstop\n"


def test_a_client_that_never_says_anything_gets_no_output_at_all(cli: Cli) -> None:
    done = cli.run("run")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_line_that_is_not_json_does_not_end_the_session(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.start("run") as process:
        process.stdin.write("hello?\n")
        initialize(process)
        assert call(process, 2, "state")["result"]["content"][0]["text"] == "the state"
        process.stdin.close()
        assert process.wait() == 0


def test_the_log_goes_to_stderr_and_debug_brings_the_text_of_crashes(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.start("run", "--debug", "--log-level", "debug") as process:
        initialize(process)
        assert "RuntimeError: the inner workings" in call(process, 2, "crash")["result"]["content"][0]["text"]
        process.stdin.close()
        assert process.wait() == 0
        assert "ERROR mcp_host.dispatch: tool crash of plugin good crashed" in process.err
        assert "Traceback" in process.err
