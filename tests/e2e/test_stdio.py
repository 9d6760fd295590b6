"""`mcp-host run` over stdio as a process: stdout has only the protocol, and the end of stdin ends the process."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from support.processes import Cli, Process


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


@pytest.mark.parametrize("end", ["stdin", "signal"])
def test_every_line_on_stdout_is_json_rpc_whatever_the_plugins_print(cli: Cli, end: str) -> None:
    cli.config("[plugins.noisy]")
    with cli.start("run", env={"NOISE_TO_THE_END": "1"}) as process:
        initialize(process)
        assert call(process, 2, "noise")["result"]["content"][0]["text"] == "quiet"
        # The tool reads stdin, too: it finds it empty and takes nothing from the protocol.
        assert call(process, 3, "noise_on_the_loop")["result"]["content"][0]["text"] == "''"
        send(process, {"id": 4, "method": "resources/read", "params": {"uri": "noise://one"}})
        process.until('"id":4')
        send(process, {"id": 5, "method": "prompts/get", "params": {"name": "noisy"}})
        process.until('"id":5')
        # A thread writes all the time, until the end.
        for number in range(100, 200):
            send(process, {"id": number, "method": "ping"})
            process.until(f'"id":{number}')
        if end == "stdin":
            process.stdin.close()
        else:
            process.signal(signal.SIGTERM)
        lines = [*process.lines, *process.stdout]
        assert process.wait() == 0
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
        for noise in (
            "at import",
            "raw at import",
            "of a child at import",
            "of C at import",
            "of printf at import",
            "of printf at import, unflushed",
            "of a thread that goes on",
            "at the start",
            "of C in a thread",
            "of printf in a thread",
            "raw in a thread",
            "of the shell on the loop",
            "raw in a resource",
            "raw in a prompt",
            "of C at the stop",
            "at exit",
            "raw at exit",
            "of C at exit",
        ):
            assert f"NOISE {noise}\n" in process.err


def test_every_line_is_json_rpc_in_the_era_without_a_handshake(cli: Cli) -> None:
    cli.config("[plugins.noisy]")
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    with cli.start("run", env={"NOISE_TO_THE_END": "1"}) as process:
        for number in range(20):
            params = {"name": "noise", "arguments": {}, "_meta": meta}
            send(process, {"id": number, "method": "tools/call", "params": params})
        process.stdin.close()
        answers = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0
        assert sorted(answer["id"] for answer in answers) == list(range(20))
        assert all(answer["jsonrpc"] == "2.0" and "result" in answer for answer in answers)
        assert "NOISE of C in a thread\n" in process.err


def test_a_child_that_outlives_the_host_does_not_write_to_its_stdout(cli: Cli) -> None:
    cli.config("[plugins.noisy]")
    with cli.start("run", env={"NOISE_TO_THE_END": "1"}) as process:
        initialize(process)
        assert call(process, 2, "outlive")["result"]["content"][0]["text"] == "quiet"
        process.stdin.close()
        # Stdout ends: if the child had a copy of it, the client would wait for ever.
        lines = [*process.lines, *process.stdout]
        assert process.wait() == 0
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    process.until_logged("NOISE of a child that outlives\n")


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
        assert [line.rpartition(": ")[2] for line in process.err.splitlines()] == ["stopped"]
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


def test_a_client_that_sends_nothing_gets_no_output(cli: Cli) -> None:
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


def test_a_line_without_an_end_takes_no_memory(cli: Cli) -> None:
    cli.config("[transport]\nmax_request_size = 100_000\n[plugins.good]")
    with cli.start("run") as process:
        initialize(process)
        memory = psutil.Process(process.process.pid).memory_info
        before = memory().rss
        for _ in range(200):
            process.stdin.write("x" * 1_000_000)
        process.stdin.flush()
        assert memory().rss - before < 50_000_000
        process.stdin.write("\n")
        process.stdin.flush()
        assert "larger than 100000 bytes" in process.until("error")
        send(process, {"id": 3, "method": "ping"})
        assert json.loads(process.until('"id":3'))["result"] == {}
        process.stdin.close()
        assert process.wait() == 0


def test_the_log_goes_to_stderr_and_debug_brings_the_text_of_crashes(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.start("run", "--debug", "--log-level", "debug") as process:
        initialize(process)
        assert "RuntimeError: the inner workings" in call(process, 2, "crash")["result"]["content"][0]["text"]
        process.stdin.close()
        assert process.wait() == 0
        assert "ERROR mcp_host.calls.dispatch: tool crash of plugin good crashed" in process.err
        assert "Traceback" in process.err


NAP = """
import asyncio
from mcp_host import Plugin

plugin = Plugin()
arrived = []


@plugin.tool(read_only=True)
async def meet() -> str:
    "Waits until two calls are here."
    arrived.append(None)
    while len(arrived) < 2:
        await asyncio.sleep(0)
    return "met"
"""


def test_a_number_and_the_same_digits_as_a_text_are_two_ids(cli: Cli) -> None:
    (cli.folder / "nap.py").write_text(NAP, encoding="utf-8")
    cli.config("[plugins.nap]\nobject = 'nap.py:plugin'\n")
    with cli.start("run") as process:
        initialize(process)
        for number in (500, "500"):
            send(process, {"id": number, "method": "tools/call", "params": {"name": "meet", "arguments": {}}})
        answers = {
            repr(answer["id"]): answer["result"]["content"][0]["text"] for answer in map(json.loads, two(process))
        }
        assert answers == {"500": "met", "'500'": "met"}


def two(process: Process) -> list[str]:
    return [process.until('"result"'), process.until('"result"')]


def test_two_requests_with_the_same_id_are_one_too_many(cli: Cli) -> None:
    (cli.folder / "nap.py").write_text(NAP, encoding="utf-8")
    cli.config("[plugins.nap]\nobject = 'nap.py:plugin'\n")
    with cli.start("run") as process:
        initialize(process)
        for number in (500, 500):
            send(process, {"id": number, "method": "tools/call", "params": {"name": "meet", "arguments": {}}})
        assert "another request in flight has the same id" in process.until('"error"')


def test_a_byte_order_mark_before_the_first_line_is_ignored(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.start("run") as process:
        process.stdin.write("\ufeff")
        initialize(process)
        assert "error" not in process.lines[0]


CHATTY = """
import sys
from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(read_only=True)
async def chatty() -> str:
    "Writes half a megabyte, more than a pipe holds."
    for _ in range(2500):
        print("x" * 99)
        sys.stderr.write("y" * 99 + "\\n")
    return "done"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
@pytest.mark.parametrize("stderr", ["2<>unread", "2>&-"])
def test_a_client_that_does_not_read_stderr_stops_nobody(cli: Cli, stderr: str) -> None:
    os.mkfifo(cli.folder / "unread")
    (cli.folder / "chatty.py").write_text(CHATTY, encoding="utf-8")
    cli.config("[plugins.chatty]\nobject = 'chatty.py:plugin'\n")
    deaf = replace(cli, through=("/bin/sh", "-c", f'exec "$@" {stderr}', "sh"))
    with deaf.start("run") as process:
        initialize(process)
        for number in (2, 3):
            assert call(process, number, "chatty")["result"]["content"][0]["text"] == "done"
        process.stdin.close()
        assert process.wait() == 0
