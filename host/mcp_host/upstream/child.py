"""The transport to a child process: messages over its stdin and stdout, its stderr in the log, and its end.

The SDK's own stdio client is for servers that behave. This one passes over what is no message, bounds what it keeps,
and ends the child with everything that the child has started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import time
from codecs import BOM_UTF8
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from mcp_host.calls.peer import Peer
from mcp_host.containment.sessions import end_session

if TYPE_CHECKING:
    from mcp_host.plugins.loader import Guarded

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of the longest line that is read as a message."""

_CHUNK = 1 << 16
_GRACE = 0.4
"""Seconds that a child has to end by itself, and again after SIGTERM. Then it is killed, with all in its session.

Clients give the host itself two seconds, and end it then by SIGKILL. All children end at the same time.
"""

_BURST, _RATE = 100, 2.0
"""Lines of stderr that are logged at once, and then in a second."""

_LONGEST_LINE = 2000
_KEPT_LINES = 20

_STATUS = 0.5
"""Seconds to wait for the status of a process that has closed its stdout."""

_LAST_WORDS = 0.2
"""Seconds to wait for the rest of the stderr of a process that has ended."""

NOT_DELIVERED: Final = "Session terminated"
"""The error of a request that the child cannot have read. The SDK's HTTP transport has the same text for the same."""


_FOR_MCP_1: Final = re.compile(
    r"No module named 'mcp\.server\.fastmcp|cannot import name '\w+' from 'mcp[.\w]*'|'Server' object has no attribute"
)
"""How Python reports that a server was written for mcp 1, and got mcp 2."""


_OF_A_DUMP: Final = re.compile(
    r'Fatal Python error: |(Current thread|Thread) 0x|  File ".*", line \d+ in |  \.\.\.$|Extension modules: '
)
"""Lines of the stacks that Python's faulthandler writes when a signal kills it. They are in the log as a whole."""


@dataclass
class ChildState:
    """What is known of a child process, for messages about it.

    `closed` means that nothing more comes from it. `ended` is set when it is known how it ended, or when that took too
    long. `answered` is how a remote server last answered, if that was no message. `is_busy` means that it may answer
    otherwise later. `refused` is why no request may be sent any more.
    """

    pid: int | None = None
    returncode: int | None = None
    answered: str = ""
    is_busy: bool = False
    refused: str = ""
    closed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    @property
    def hint(self) -> str:
        """What the user can do about its end, where its last lines show that."""
        if any(_FOR_MCP_1.search(line) for line in self.last_lines):
            return 'it needs mcp 1: requirements = ["its distribution", "mcp<2"], or uvx --with "mcp<2" ...'
        return ""

    def ended_with(self, returncode: int | None) -> None:
        """Note the end, once. A negative `returncode` is the number of the signal that killed it."""
        if not self.ended.is_set():
            self.returncode = returncode
            self.ended.set()

    def __str__(self) -> str:
        if self.pid is None:
            return self.refused or "the connection ended"
        if self.returncode is None:
            how = "its process closed its stdout" if self.closed else "its process was ended by the host"
        elif self.returncode < 0:
            how = f"its process was killed by {_signal_name(-self.returncode)}"
        else:
            how = f"its process ended with status {self.returncode}"
        last = next((line for line in reversed(self.last_lines) if line.strip() and not _OF_A_DUMP.match(line)), "")
        return how + (f": {last[:200]}" if last else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@asynccontextmanager
async def child_peer(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    log: logging.Logger,
    state: ChildState,
    guarded: Guarded = nullcontext,
) -> AsyncIterator[Peer]:
    """Run a program for the block, and yield what sends requests to it.

    The child and what it starts are gone when the block has ended, except for processes that it moved into a session of
    their own. `guarded` gets the session while there may be processes in it.

    Raises:
        OSError: The program cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, pipes = await loop.subprocess_exec(
        lambda: _Pipes(limit=_CHUNK, loop=loop),
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    pid = state.pid = transport.get_pid()
    child = _Child(transport, pipes, log, state)
    # Plain tasks, because a task group would end the session with an error of its own.
    tasks = [
        asyncio.create_task(child.read_messages(), name=f"stdout of process {pid}"),
        asyncio.create_task(child.read_errors(), name=f"stderr of process {pid}"),
    ]
    guard = ExitStack()
    try:
        guard.enter_context(guarded(pid))
        yield child.peer
    finally:
        try:
            with anyio.CancelScope(shield=True):
                await child.end()
        finally:
            guard.close()
            # What the process has moved elsewhere may keep its pipes open.
            transport.close()
            for task in tasks:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks)


class _Pipes(asyncio.subprocess.SubprocessStreamProtocol):
    """The pipes of a process. Its end is noted also when something else keeps them open."""

    def __init__(self, *, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class _Child:
    """A running child process and its three pipes. `peer` gets its messages, and writes to it."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        pipes: _Pipes,
        log: logging.Logger,
        state: ChildState,
    ) -> None:
        assert pipes.stdin is not None
        assert pipes.stdout is not None
        assert pipes.stderr is not None
        self._transport = transport
        self._pid = transport.get_pid()
        self._exited = pipes.exited
        self._stdin, self._stdout, self._stderr = pipes.stdin, pipes.stdout, pipes.stderr
        self._log = log
        self._state = state
        self.peer = Peer(self.write)
        self._rubbish_seen = False
        self._asked: dict[str, str | int] = {}
        self._errors_read = asyncio.Event()

    # stdout

    async def read_messages(self) -> None:
        """Give each message of stdout to the peer, which ends with stdout or with the process."""
        reading = asyncio.create_task(self._read(), name=f"messages of process {self._pid}")
        exited = asyncio.create_task(self._exited.wait(), name=f"end of process {self._pid}")
        try:
            await asyncio.wait({reading, exited}, return_when=asyncio.FIRST_COMPLETED)
            # No new call may go to what the process started, which ends with it.
            self._state.closed = True
            # The status comes a little after the end of stdout. What the process started may keep its stdout open.
            await asyncio.wait({reading, exited}, timeout=_STATUS)
            if exited.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORDS):
                        await self._errors_read.wait()
            self._state.ended_with(self._transport.get_returncode())
        finally:
            for task in (reading, exited):
                task.cancel()
            await asyncio.wait({reading, exited})
            self.peer.end()

    async def _read(self) -> None:
        line = bytearray()
        too_long = False
        with suppress(ConnectionError):
            while data := await self._stdout.read(_CHUNK):
                *ended, rest = data.split(b"\n")
                for part in ended:
                    line += part
                    if too_long or len(line) > LARGEST:
                        await self._refuse(line)
                    else:
                        self._pass_on(bytes(line))
                    line, too_long = bytearray(), False
                line += rest
                if len(line) > LARGEST:
                    # Only its ends are kept: one of them has the id of the call that it answers.
                    too_long = True
                    del line[_CHUNK:-_CHUNK]
        self._state.closed = True

    def _pass_on(self, line: bytes) -> None:
        line = line.removeprefix(BOM_UTF8)  # some programs write one before the first line
        if not line.strip():
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            if not self._rubbish_seen:
                self._rubbish_seen = True
                self._log.warning("it prints what is no message on stdout, which is passed over: %r", line[:120])
            return
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._asked.pop(str(message.id), None)
        self.peer.receive(message)

    async def _refuse(self, line: bytearray) -> None:
        """Answer the call whose answer is too long with an error, or all calls where it is not known which one."""
        self._log.error("it sends a message larger than %d bytes, which is passed over", LARGEST)
        head = outer_members(bytes(line[:_CHUNK]), bytes(line[-_CHUNK:]))
        if "method" in head:
            if isinstance(head.get("id"), int | str):
                error = ErrorData(code=INTERNAL_ERROR, message=f"the request is larger than {LARGEST} bytes")
                await self.write(JSONRPCError(jsonrpc="2.0", id=head["id"], error=error))
            return
        request_id = str(head.get("id"))
        for key in [request_id] if request_id in self._asked else list(self._asked):
            text = f"the answer of the server is larger than {LARGEST} bytes"
            error = ErrorData(code=INTERNAL_ERROR, message=text)
            self.peer.receive(JSONRPCError(jsonrpc="2.0", id=self._asked.pop(key), error=error))

    # stdin

    async def write(self, sent: JSONRPCMessage) -> None:
        """Write a message to stdin.

        Raises:
            MCPError: It is a request, and cannot be written.
        """
        if isinstance(sent, JSONRPCRequest):
            self._asked[str(sent.id)] = sent.id
        elif isinstance(sent, JSONRPCNotification) and sent.method == "notifications/cancelled":
            # A cancelled request gets no answer.
            self._asked.pop(str((sent.params or {}).get("requestId")), None)
        try:
            # First, so that messages wait here, where they can be cancelled, and not in memory.
            await self._stdin.drain()
            self._stdin.write(sent.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await self._stdin.drain()  # raises what the write has found out
        except (ConnectionError, RuntimeError):
            if isinstance(sent, JSONRPCRequest):
                self._asked.pop(str(sent.id), None)
                raise MCPError(INVALID_REQUEST, NOT_DELIVERED) from None

    # stderr

    async def read_errors(self) -> None:
        """Log the lines of stderr, so many at once and a few in a second after that, and keep the last ones."""
        allowed, left_out = _Allowance(_BURST, _RATE), 0
        begun = b""
        try:
            while data := await self._stderr.read(_CHUNK):
                *lines, begun = (begun + data).split(b"\n")
                begun = begun[-_LONGEST_LINE:]
                over = False
                for text in _texts(lines):
                    self._state.last_lines.append(text)
                    if not allowed.take():
                        left_out, over = left_out + 1, True
                        continue
                    self._note_left_out(left_out)
                    left_out = 0
                    self._log.info("%s", text)
                if over:
                    # Who floods waits for its own pipe, and not everybody else for the log.
                    await asyncio.sleep(0.02)
        except ConnectionError as error:
            self._log.debug("its stderr cannot be read: %s", error)
        finally:
            self._note_left_out(left_out)
            for text in _texts([begun]):
                self._state.last_lines.append(text)
                self._log.info("%s", text)
            self._errors_read.set()

    def _note_left_out(self, lines: int) -> None:
        if lines:
            self._log.info("(%d lines were left out)", lines)

    # The end

    async def end(self) -> None:
        """End the process: close its stdin, then SIGTERM, then SIGKILL; and SIGKILL for what is left of its session."""
        try:
            with suppress(ConnectionError):
                self._stdin.close()
            await self._wait()
            if not self._exited.is_set():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGTERM)
                await self._wait()
        finally:
            # Also when this is cancelled, because the host itself is being killed.
            try:
                await end_session(self._pid)
            finally:
                self._state.ended_with(self._transport.get_returncode() if self._state.closed else None)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._exited.wait()


_MEMBER = r'"(?:jsonrpc|id|method)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?\d+|null)\s*'
_FIRST_MEMBERS = re.compile(rf"\s*\{{\s*((?:{_MEMBER},\s*)*)")
_LAST_MEMBERS = re.compile(rf"((?:,\s*{_MEMBER})+)\}}\s*$")
_LAST = 1024
"""Bytes at the end of a message in which its last short members are."""


def outer_members(start: bytes, end: bytes) -> dict[str, Any]:
    """Return the id and the method of a message of which only the two ends are known.

    Only the message's own members count, in front of its large one or behind it; not those of an object inside of it.
    """
    found: dict[str, Any] = {}
    first = _FIRST_MEMBERS.match(start.decode(errors="replace"))
    last = _LAST_MEMBERS.search(end[-_LAST:].decode(errors="replace"))
    for members in (first, last):
        with suppress(ValueError):
            found |= json.loads(f"{{{members[1].strip().strip(',')}}}") if members else {}
    return found


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines that are not blank, as text that is not too long."""
    for line in lines:
        text = line[:_LONGEST_LINE].decode(errors="replace").rstrip()
        if text:
            yield text


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
