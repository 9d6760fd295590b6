"""Other servers as plugins of a host in a process of its own: their start, their death, and what is left at the end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from watchfiles import watch

from support.faultyserver import Faulty, tool
from support.running import is_running, left_of

if TYPE_CHECKING:
    from support.processes import Cli, Process

HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    return made(tmp_path, "faulty")


def made(folder: Path, name: str) -> Faulty:
    (folder / name).mkdir()
    return Faulty(folder / name)


def send(process: Process, method: str, request_id: int | None = None, **params: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params} | (
        {} if request_id is None else {"id": request_id}
    )
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


@contextmanager
def hosting(cli: Cli) -> Iterator[Process]:
    """Serve one client, which leaves at the end of the block."""
    with cli.start("run") as process:
        begin(process)
        yield process
        process.stdin.close()
        assert process.wait() == 0


def begin(process: Process) -> None:
    send(process, "initialize", 1, **HANDSHAKE)
    process.until('"id":1')
    send(process, "notifications/initialized")


def asked(process: Process, request_id: int, method: str, **params: Any) -> Any:
    send(process, method, request_id, **params)
    answer = json.loads(process.until(f'"id":{request_id}'))
    assert "error" not in answer, answer
    return answer["result"]


def called(process: Process, request_id: int, name: str, **arguments: Any) -> str:
    text: str = asked(process, request_id, "tools/call", name=name, arguments=arguments)["content"][0]["text"]
    return text


def listed(process: Process, request_id: int) -> list[str]:
    return [item["name"] for item in asked(process, request_id, "tools/list")["tools"]]


def written(faulty: Faulty, name: str) -> str:
    """Wait until a server has written a file."""
    until = time.monotonic() + 60
    for _ in watch(faulty.folder, step=10, debounce=10, rust_timeout=100, yield_on_timeout=True):
        if (faulty.folder / name).exists():
            return (faulty.folder / name).read_text()
        assert time.monotonic() < until, f"no {name}"
    raise AssertionError


def leave(process: Process, how: str) -> None:
    if how == "EOF":
        process.stdin.close()
    elif how == "SIGKILL":
        process.process.kill()
    else:
        process.signal(signal.Signals[how])


each_way = pytest.mark.parametrize(
    ("transport", "how"),
    [
        *(("stdio", how) for how in ("EOF", "SIGTERM", "SIGINT", "SIGKILL")),
        *(("http", how) for how in ("SIGTERM", "SIGINT", "SIGKILL")),
    ],
)


# The end


def pids_of(servers: list[Faulty]) -> list[int]:
    children = [int((server.folder / "child").read_text()) for server in servers if (server.folder / "child").exists()]
    return [*(pid for server in servers for pid in server.pids), *children]


@contextmanager
def ending(cli: Cli, servers: list[Faulty], words: tuple[str, ...], transport: str) -> Iterator[Process]:
    """Start a host with these servers. Its client is there when they may have started."""
    tables = [server.table(*words, name=f"s{n}", prefix=f"s{n}_") for n, server in enumerate(servers)]
    cli.config('[host]\ndata_dir = "data"\n' + "\n".join(tables))
    port = ("--port", "0") if transport == "http" else ()
    with cli.start("run", "--transport", transport, *port) as process:
        if transport == "stdio":
            send(process, "initialize", 1, **HANDSHAKE)
        yield process


@each_way
def test_no_process_is_left_behind(cli: Cli, tmp_path: Path, transport: str, how: str) -> None:
    servers = [made(tmp_path, f"server{number}") for number in range(10)]
    with ending(cli, servers, ("stubborn", "family", "apart"), transport) as process:
        process.until('"id":1' if transport == "stdio" else "Ctrl+C")
        for server in servers:
            written(server, "seen")
        pids = pids_of(servers)
        assert len(pids) == 20
        assert all(is_running(pid) for pid in pids)
        leave(process, how)
        assert process.wait() == (-signal.SIGKILL if how == "SIGKILL" else 0)
    assert left_of(pids) == []


@each_way
def test_no_process_is_left_behind_when_the_host_ends_while_they_start(
    cli: Cli, tmp_path: Path, transport: str, how: str
) -> None:
    servers = [made(tmp_path, f"server{number}") for number in range(3)]
    with ending(cli, servers, ("mute", "stubborn", "family", "apart"), transport) as process:
        for server in servers:
            written(server, "seen")
        pids = pids_of(servers)
        leave(process, how)
        # The host would wait four seconds for the servers, and then serve without them.
        assert process.wait() == (-signal.SIGKILL if how == "SIGKILL" else 0)
        assert "has not started within" not in process.err
    assert left_of(pids) == []


def test_calls_in_a_pipe_are_answered_although_the_pipe_ends_while_the_server_starts(cli: Cli, faulty: Faulty) -> None:
    cli.config('[host]\ndata_dir = "data"\n' + faulty.table("held"))
    with cli.start("run") as process:
        send(process, "initialize", 1, **HANDSHAKE)
        send(process, "notifications/initialized")
        send(process, "tools/call", 2, name="echo", arguments={"text": "hello"})
        written(faulty, "seen")
        process.stdin.close()
        (faulty.folder / "go").touch()
        assert "hello" in process.until('"id":2')
        assert process.wait() == 0


# The start


def test_a_server_that_dies_at_start_fails_alone(cli: Cli, faulty: Faulty) -> None:
    cli.config('[host]\ndata_dir = "data"\n[plugins.good]\n' + faulty.table("dies"))
    with hosting(cli) as process:
        assert listed(process, 2)
        assert "plugin faulty" in process.err
        assert "the server did not start: its process ended with status 3: cannot find the database" in process.err


def test_a_required_server_that_dies_at_start_ends_the_host(cli: Cli, faulty: Faulty) -> None:
    cli.config('[host]\ndata_dir = "data"\n[plugins.good]\n' + faulty.table("dies", required=True))
    with cli.start("run") as process:
        assert process.wait() == 2
        assert "required = true lets nothing start without it" in process.err
        assert "cannot find the database" in process.err


def test_a_slow_server_does_not_keep_the_others_waiting_and_comes_by_a_notice(
    cli: Cli, tmp_path: Path, faulty: Faulty
) -> None:
    other = made(tmp_path, "other")
    tables = faulty.table("held") + other.table("modern", name="other", prefix="other_")
    cli.config(f'[host]\ndata_dir = "data"\n{tables}')
    with hosting(cli) as process:
        names = listed(process, 2)
        assert "other_echo" in names
        assert "echo" not in names
        (faulty.folder / "go").touch()
        process.until("notifications/tools/list_changed")
        assert {"other_echo", "echo"} <= set(listed(process, 3))
        assert called(process, 4, "echo", text="here") == "here"


def test_a_known_server_is_listed_without_a_process_and_started_by_the_first_call(cli: Cli, faulty: Faulty) -> None:
    cli.config('[host]\ndata_dir = "data"\n' + faulty.table())
    with hosting(cli) as process:
        names = listed(process, 2)
    starts = len(faulty.pids)
    with hosting(cli) as process:
        assert listed(process, 2) == names
        assert len(faulty.pids) == starts
        assert called(process, 3, "echo", text="here") == "here"
        assert len(faulty.pids) == starts + 1


def test_two_hosts_share_a_data_dir(cli: Cli, faulty: Faulty) -> None:
    cli.config('[host]\ndata_dir = "data"\n' + faulty.table())
    with hosting(cli) as one, hosting(cli) as two:
        for process in (one, two):
            assert called(process, 2, "echo", text="here") == "here"
        assert called(one, 3, "pid") != called(two, 3, "pid")
    kept = json.loads((cli.folder / "data" / "faulty" / "definitions.json").read_text())
    assert "echo" in [item["name"] for item in kept["definitions"]["tools"]]


# Death


def test_a_killed_server_costs_only_the_calls_that_it_was_running(cli: Cli, tmp_path: Path, faulty: Faulty) -> None:
    other = made(tmp_path, "other")
    cli.config('[host]\ndata_dir = "data"\n' + faulty.table() + other.table(name="other", prefix="other_"))
    with hosting(cli) as process:
        send(process, "tools/call", 2, name="wait", arguments={})
        send(process, "tools/call", 3, name="other_wait", arguments={})
        written(faulty, "waiting")
        written(other, "waiting")
        os.kill(faulty.pids[-1], signal.SIGKILL)
        assert "ended during this call (its process was killed by SIGKILL)" in process.until('"id":2')
        assert called(process, 4, "echo", text="here") == "here"
        assert called(process, 5, "other_pid") == str(other.pids[-1])
        assert other.pids == other.pids[:1]


# Reload


def test_a_reload_keeps_the_process_of_a_table_that_is_the_same(cli: Cli, tmp_path: Path, faulty: Faulty) -> None:
    other = made(tmp_path, "other")
    head = '[host]\ndata_dir = "data"\n'
    both = head + faulty.table() + other.table(name="other", prefix="other_")
    cli.config(head + faulty.table())
    with hosting(cli) as process:
        pid = called(process, 2, "pid")
        for number, (text, there) in enumerate(((both, True), (head + faulty.table(), False)), start=1):
            cli.config(text)
            process.signal(signal.SIGHUP)
            process.until("notifications/tools/list_changed")
            assert ("other_echo" in listed(process, 10 * number)) is there
            assert called(process, 10 * number + 1, "pid") == pid
        faulty.lists(tools=[tool("pid"), tool("other")])
        cli.config(head + faulty.table("modern"))
        process.signal(signal.SIGHUP)
        process.until("notifications/tools/list_changed")
        assert listed(process, 30) == ["pid", "other"]
        assert called(process, 31, "pid") != pid
        assert left_of([int(pid)]) == []


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Fail if a server of the test still runs, and end it."""
    yield
    left = left_of(pid for folder in tmp_path.glob("*/starts") for pid in Faulty(folder.parent).pids)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == [], sys.executable
