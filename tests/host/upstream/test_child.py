"""The transport to a child process: what it passes over, what it bounds, and how the child ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from mcp_host.calls.peer import Peer
from mcp_host.upstream.child import ChildState, child_peer, outer_members
from support.faultyserver import Faulty
from support.running import is_running, left_of

pytestmark = pytest.mark.anyio

log = logging.getLogger("mcp_host.plugin.faulty")


class Talk:
    """The requests to one child, and what it answers, in the order of the answers."""

    def __init__(self, peer: Peer, state: ChildState) -> None:
        self.state = state
        self._peer = peer
        self._ids = iter(range(1, 1000))
        self._answers: asyncio.Queue[tuple[Any, dict[str, Any] | MCPError]] = asyncio.Queue()
        self._running = asyncio.create_task(peer.run(nothing, nothing))
        self._tasks = [self._running]

    async def call(self, tool: str, request_id: int | str | None = None, **arguments: Any) -> Any:
        request_id = next(self._ids) if request_id is None else request_id
        self._tasks.append(asyncio.create_task(self._ask(request_id, tool, arguments)))
        return request_id

    async def _ask(self, request_id: int | str, tool: str, arguments: dict[str, Any]) -> None:
        params = {"name": tool, "arguments": arguments}
        try:
            answer: Any = await self._peer.send_raw_request("tools/call", params, {"request_id": request_id})
        except MCPError as error:
            answer = error
        self._answers.put_nowait((request_id, answer))

    async def result(self) -> tuple[Any, Any]:
        request_id, answer = await self._next()
        assert isinstance(answer, dict), answer
        return request_id, answer

    async def error(self) -> tuple[Any, str]:
        request_id, answer = await self._next()
        assert isinstance(answer, MCPError), answer
        return request_id, answer.message

    async def _next(self) -> tuple[Any, dict[str, Any] | MCPError]:
        with anyio.fail_after(30):
            return await self._answers.get()

    async def end(self) -> None:
        """Wait for the end of the session."""
        with anyio.fail_after(30):
            await asyncio.wait({self._running})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


async def nothing(*_: Any) -> Any:
    raise AssertionError("the child asks nothing")


@asynccontextmanager
async def talking(faulty: Faulty, *words: str) -> AsyncIterator[Talk]:
    async with talking_to(faulty.command(*words), faulty.folder) as talk:
        yield talk


@asynccontextmanager
async def talking_to(command: list[str], folder: Path) -> AsyncIterator[Talk]:
    state = ChildState()
    async with child_peer(command, dict(os.environ), folder, log, state) as peer:
        talk = Talk(peer, state)
        try:
            yield talk
        finally:
            await talk.close()


async def test_what_is_no_message_is_passed_over_and_reported_once(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(faulty, "noise") as talk:
        for _ in range(3):
            asked = await talk.call("echo", text="hello")
            answered, result = await talk.result()
            assert answered == asked
            assert result["content"] == [{"type": "text", "text": "hello"}]
    reports = [record.getMessage() for record in caplog.records if "no message on stdout" in record.getMessage()]
    assert reports == ["it prints what is no message on stdout, which is passed over: b'Hello!'"]


async def test_a_byte_order_mark_before_the_first_line_is_ignored(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(faulty, "mark") as talk:
        asked = await talk.call("echo", text="hello")
        assert (await talk.result())[0] == asked
    assert "no message on stdout" not in caplog.text


@pytest.mark.parametrize("at", ["front", "end"])
@pytest.mark.parametrize("request_id", [None, "h1", 'with "quotes" \\ and é', 0])
async def test_a_line_that_is_too_long_fails_its_own_call_at_once(
    faulty: Faulty, at: str, request_id: str | int | None
) -> None:
    async with talking(faulty) as talk:
        waits = await talk.call("wait", request_id="other")
        await faulty.wrote("waiting")
        asked = await talk.call("long", request_id, size=33 * 1024 * 1024, at=at, decoy=waits)
        failed, text = await talk.error()
        assert failed == asked
        assert text == "the answer of the server is larger than 33554432 bytes"
        later = await talk.call("echo", text="alive")
        assert (await talk.result())[0] == later


async def test_a_message_just_below_the_bound_is_read(faulty: Faulty) -> None:
    async with talking(faulty) as talk:
        await talk.call("big", size=33_000_000)
        _, result = await talk.result()
        assert len(result["content"][0]["text"]) == 33_000_000


def test_only_the_outer_members_of_a_cut_message_name_its_call() -> None:
    assert outer_members(b'{"jsonrpc":"2.0","id":7,"result":{"id":9,"x":"xx', b'xx","id":8}}')["id"] == 7
    assert outer_members(b'{"jsonrpc":"2.0","result":{"id":9,"x":"xx', b'x","id":8},"id":"a\\"b"} ')["id"] == 'a"b'
    assert "id" not in outer_members(b'{"jsonrpc":"2.0","result":{"id":9,"x":"xx', b'x","id":8}}')
    assert "id" not in outer_members(b'{"result":{"x":"xx', b'xx, \\"id\\": 8}')
    assert outer_members(b'{"params":{"x":"xx', b'"}, "method": "ask", "id": 3}') == {"method": "ask", "id": 3}
    assert outer_members(b'[{"id":1},', b'{"id":1}]') == {}


async def test_the_status_and_the_last_line_of_stderr_are_known_when_the_session_ends(faulty: Faulty) -> None:
    async with talking(faulty, "dies") as talk:
        await talk.end()
        assert str(talk.state) == "its process ended with status 3: cannot find the database"


async def test_the_signal_that_killed_it_is_named(faulty: Faulty) -> None:
    async with talking(faulty) as talk:
        await talk.call("kill")
        await talk.end()
        assert str(talk.state) == "its process was killed by SIGKILL"


async def test_the_session_ends_with_the_process_also_when_its_child_keeps_stdout_open(faulty: Faulty) -> None:
    async with talking(faulty, "family", "holds") as talk:
        await talk.call("pid")
        await talk.result()
        assert talk.state.pid is not None
        os.kill(talk.state.pid, signal.SIGKILL)
        await talk.end()
        assert str(talk.state) == "its process was killed by SIGKILL"


async def test_a_process_that_closes_its_stdout_ends_the_session_and_is_ended(faulty: Faulty) -> None:
    async with talking(faulty) as talk:
        await talk.call("closed")
        await talk.end()
        pid = talk.state.pid
        assert pid is not None
        assert is_running(pid)
    assert left_of([pid]) == []
    assert str(talk.state) == "its process closed its stdout"


async def test_a_request_that_the_process_cannot_read_fails_as_not_delivered(faulty: Faulty) -> None:
    async with talking(faulty) as talk:
        await talk.call("deaf")
        await talk.result()
        await talk.call("echo")
        assert (await talk.error())[1] == "Session terminated"


async def test_a_flood_on_stderr_is_cut_in_the_log_and_delays_no_answer(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with talking(faulty, "flood") as talk:
        for _ in range(20):
            await talk.call("echo")
            await talk.result()
    lines = [record.getMessage() for record in caplog.records if record.name == log.name]
    assert 100 <= lines.count("a line of noise") < 200
    assert any("lines were left out" in line for line in lines)
    assert len(talk.state.last_lines) == 20


@pytest.mark.parametrize("words", [(), ("stubborn",), ("family",), ("family", "apart", "stubborn")])
async def test_nothing_is_left_of_a_child(faulty: Faulty, words: tuple[str, ...]) -> None:
    async with talking(faulty, *words) as talk:
        await talk.call("pid")
        await talk.result()
        pids = [*faulty.pids, *(int(file.read_text()) for file in faulty.folder.glob("child"))]
        assert len(pids) == 1 + ("family" in words)
        assert all(is_running(pid) for pid in pids)
    assert left_of(pids) == []


async def test_nothing_is_left_of_a_child_whose_end_is_cancelled(faulty: Faulty) -> None:
    began = asyncio.Event()

    async def keep() -> None:
        async with talking(faulty, "family", "stubborn") as talk:
            await talk.call("pid")
            await talk.result()
            began.set()
            await asyncio.Event().wait()

    keeper = asyncio.create_task(keep())
    await began.wait()
    pids = [*faulty.pids, int((faulty.folder / "child").read_text())]
    keeper.cancel()
    # The event loop ends in this way: what is ending is cancelled again.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    keeper.cancel()
    await asyncio.wait([keeper])
    assert left_of(pids) == []


async def test_the_end_by_a_signal_is_not_reported_with_a_line_of_the_stack(faulty: Faulty) -> None:
    code = "import ctypes, sys, _cffi_backend; print({!r}, file=sys.stderr, flush=True); ctypes.string_at(0)"
    for said, end in (("", ""), ("it is tired", ": it is tired")):
        command = [sys.executable, "-X", "faulthandler", "-c", code.format(said)]
        async with talking_to(command, faulty.folder) as talk:
            await talk.end()
        assert any(line.startswith("Extension modules: ") for line in talk.state.last_lines)
        assert str(talk.state) == f"its process was killed by SIGSEGV{end}"


async def test_fifty_children_leave_no_file_and_no_task_behind(faulty: Faulty) -> None:
    async def once() -> None:
        command = ["sh", "-c", 'read line; echo \'{"jsonrpc": "2.0", "id": 1, "result": {}}\'; sleep 100 & exit 4']
        async with talking_to(command, faulty.folder) as talk:
            await talk.call("echo")
            await talk.result()
            await talk.end()
        assert str(talk.state) == "its process ended with status 4"

    await once()
    gc.collect()
    files, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
    for _ in range(50):
        await once()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files
    assert len(asyncio.all_tasks()) == tasks
