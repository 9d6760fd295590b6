"""The transport to a child process: messages over its stdin and stdout, its stderr in the log, and its end.

The SDK's own stdio client is for servers that behave. This one passes over what is no message, bounds what it keeps,
and ends the child with everything that the child has started.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCRequest, jsonrpc_message_adapter

Streams = tuple[Any, Any]
"""What to read messages from, and what to write them to, as the SDK's transports yield them."""

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of the longest line that is read as a message."""

_CHUNK = 1 << 16
_GRACE = 0.6
"""Seconds that a child has to end by itself, and again after SIGTERM. Clients give the host itself two seconds."""

_BURST, _RATE = 100, 2.0
"""Lines of stderr that are logged at once, and then in a second."""

_LONGEST_LINE = 2000
_KEPT_LINES = 20


@dataclass
class ChildState:
    """What is known of a child process, for messages about it."""

    pid: int | None = None
    returncode: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def ended_with(self, returncode: int) -> None:
        """Note the end. A negative `returncode` is the number of the signal that killed it."""
        self.returncode = returncode
        self.ended.set()

    def __str__(self) -> str:
        if self.pid is None:
            return "the connection ended"
        if self.returncode is None:
            return "its process ended"
        if self.returncode < 0:
            how = f"was killed by {_signal_name(-self.returncode)}"
        else:
            how = f"ended with status {self.returncode}"
        last = next((line for line in reversed(self.last_lines) if line.strip()), "")
        return f"its process {how}" + (f": {last[:200]}" if last else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@asynccontextmanager
async def child_streams(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: logging.Logger, state: ChildState
) -> AsyncIterator[Streams]:
    """Run a program for the block, and yield the streams of its messages.

    The child and what it starts are gone when the block has ended, except for processes that it moved into a session of
    their own.

    Raises:
        OSError: The program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    state.pid = process.pid
    to_session, from_child = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    from_session_send, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    child = _Child(process, log, state)
    # Plain tasks, because a task group would end the session with an error of its own.
    tasks = [
        asyncio.create_task(child.read_messages(to_session), name=f"stdout of process {process.pid}"),
        asyncio.create_task(child.write_messages(from_session), name=f"stdin of process {process.pid}"),
        asyncio.create_task(child.read_errors(), name=f"stderr of process {process.pid}"),
    ]
    try:
        yield from_child, from_session_send
    finally:
        with anyio.CancelScope(shield=True):
            await child.end()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for stream in (to_session, from_child, from_session_send, from_session):
                await stream.aclose()


class _Child:
    """A running child process and its three pipes."""

    def __init__(self, process: asyncio.subprocess.Process, log: logging.Logger, state: ChildState) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._log = log
        self._state = state
        self._rubbish_seen = False
        self._asked: set[str | int] = set()

    async def read_messages(self, session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Send each message of stdout to the session. The session ends when stdout does."""
        line = bytearray()
        too_long = False
        async with session:
            with suppress(ConnectionError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                while data := await self._stdout.read(_CHUNK):
                    *ended, rest = data.split(b"\n")
                    for part in ended:
                        line += part
                        if too_long or len(line) > LARGEST:
                            await self._refuse(line, session)
                        else:
                            await self._pass_on(bytes(line), session)
                        line, too_long = bytearray(), False
                    line += rest
                    if len(line) > LARGEST:
                        # Only its ends are kept: one of them has the id of the call that it answers.
                        too_long = True
                        del line[_CHUNK:-_CHUNK]
                # The exit status is known a little after the end of stdout.
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        self._state.ended_with(await self._process.wait())

    async def _pass_on(self, line: bytes, session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        if not line.strip():
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            if not self._rubbish_seen:
                self._rubbish_seen = True
                self._log.warning("it prints what is no message on stdout, which is passed over: %r", line[:120])
            return
        self._asked.discard(getattr(message, "id", None) or "")
        await session.send(SessionMessage(message))

    async def _refuse(self, line: bytearray, session: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        """Answer the call whose answer is too long with an error, or all calls where it is not known which one."""
        text = f"the answer of the server is larger than {LARGEST} bytes"
        self._log.error("it sends a message larger than %d bytes, which is passed over", LARGEST)
        found = {_id_in(bytes(line[:_CHUNK])), _id_in(bytes(line[-_CHUNK:]))} & self._asked
        for request_id in found or set(self._asked):
            self._asked.discard(request_id)
            error = ErrorData(code=INTERNAL_ERROR, message=text)
            await session.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error)))

    async def write_messages(self, session: MemoryObjectReceiveStream[SessionMessage]) -> None:
        """Write each message of the session to stdin."""
        with suppress(ConnectionError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            async with session:
                async for message in session:
                    sent = message.message
                    if isinstance(sent, JSONRPCRequest):
                        self._asked.add(sent.id)
                    self._stdin.write(sent.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await self._stdin.drain()

    async def read_errors(self) -> None:
        """Log the lines of stderr, so many at once and a few in a second after that, and keep the last ones."""
        allowed, left_out = _Allowance(_BURST, _RATE), 0
        begun = b""
        with suppress(ConnectionError):
            while data := await self._stderr.read(_CHUNK):
                *lines, begun = (begun + data).split(b"\n")
                begun = begun[-_LONGEST_LINE:]
                over = False
                for line in lines:
                    text = line[:_LONGEST_LINE].decode(errors="replace").rstrip()
                    if not text:
                        continue
                    self._state.last_lines.append(text)
                    if not allowed.take():
                        left_out, over = left_out + 1, True
                        continue
                    if left_out:
                        self._log.info("(%d lines were left out)", left_out)
                        left_out = 0
                    self._log.info("%s", text)
                if over:
                    # Who floods waits for its own pipe, and not everybody else for the log.
                    await asyncio.sleep(0.02)
        if begun.strip():
            self._state.last_lines.append(begun.decode(errors="replace").rstrip())

    async def end(self) -> None:
        """End the process: close its stdin, then SIGTERM, then SIGKILL; and SIGKILL for what is left of its group."""
        with suppress(ConnectionError):
            self._stdin.close()
        await self._wait()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is None:
                self._signal(number)
                await self._wait()
        self._signal(signal.SIGKILL)
        if self._process.returncode is not None:
            self._state.ended_with(self._process.returncode)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


_ID = re.compile(rb'"id"\s*:\s*(?:"((?:[^"\\]|\\.){1,100})"|(-?\d{1,18}))\s*[,}]')


def _id_in(part: bytes) -> str | int:
    """Return the id of a message from one end of it, or an empty text."""
    found = _ID.search(part)
    if found is None:
        return ""
    return int(found[2]) if found[2] else found[1].decode(errors="replace")


class _Allowance:
    """Allows `burst` at once, and then `rate` in a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._left, self._burst, self._rate = burst, burst, rate
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
