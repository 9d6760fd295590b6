"""A session ends with all its processes, also when the process that guards it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from textwrap import dedent

import pytest

from mcp_host.containment.sessions import Guard, end_session
from support.running import is_running, left_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="sessions are read from /proc")]

STUBBORN = """
    import os, signal, subprocess, sys, time

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece
    for how in sys.argv[2:]:
        options = {"group": {"process_group": 0}, "session": {"start_new_session": True}, "same": {}}[how]
        subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1]], **options)
    time.sleep(600)
"""


@contextmanager
def family(*children: str) -> Iterator[tuple[int, list[int]]]:
    """Run a session of processes that ignore signals for the block, and yield its id and the ids of all processes."""
    program = dedent(STUBBORN)
    argv = [sys.executable, "-c", program, program, *children]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        pids: list[int] = []
        try:
            assert process.stdout is not None
            pids += [int(process.stdout.readline()) for _ in range(1 + len(children))]
            yield process.pid, pids
        finally:
            for pid in (process.pid, *pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


async def test_all_process_groups_of_a_session_are_killed() -> None:
    with family("same", "group", "group") as (session, pids):
        await end_session(session)
        assert left_of(pids) == []


async def test_a_process_that_left_the_session_is_left_alone() -> None:
    with family("session", "same") as (session, pids):
        (own,) = (pid for pid in pids if pid != session and os.getsid(pid) == pid)
        await end_session(session)
        assert left_of(set(pids) - {own}) == []
        assert is_running(own)
        await end_session(own)
        assert left_of([own]) == []


async def test_a_session_without_processes_is_none() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    await end_session(process.pid)


def test_one_guard_for_all_sessions_runs_while_there_is_one() -> None:
    guard = Guard()
    with guard.over(2**22 + 1):
        assert guard._shell is not None
        shell = guard._shell.pid
        with guard.over(2**22 + 2):
            assert guard._shell.pid == shell
        assert is_running(shell)
    assert left_of([shell]) == []


def test_a_guard_that_was_killed_is_replaced() -> None:
    guard = Guard()
    with guard.over(2**22 + 1):
        assert guard._shell is not None
        first = guard._shell
        first.kill()
        first.wait()
        with guard.over(2**22 + 2):
            assert guard._shell is not first
    assert first.stdin is not None
    first.stdin.close()


KILLED = """
    import os, signal, sys
    from mcp_host.containment.sessions import Guard

    guard = Guard()
    one, two, other = map(int, sys.argv[1:])
    with guard.over(one), guard.over(two):
        with guard.over(other):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_sessions_of_a_killed_process_are_killed_and_no_others() -> None:
    with family("same") as (one, of_one), family("group") as (two, of_two), family("same") as (other, of_other):
        argv = [sys.executable, "-c", dedent(KILLED), *map(str, (one, two, other))]
        assert subprocess.run(argv, check=False).returncode == -9
        assert left_of([*of_one, *of_two]) == []
        # Its block had ended before.
        assert all(is_running(pid) for pid in of_other)
