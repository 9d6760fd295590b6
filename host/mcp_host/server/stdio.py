"""Serves one client over stdin and stdout.

It replaces the SDK's transport. That one drops the calls in flight when stdin ends, does not answer lines that are not
JSON-RPC, and ends if a response cannot be written as JSON.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
import threading
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.to_thread
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from mcp_host.calls.peer import Peer, spellings
from mcp_host.server.draining import grace
from mcp_host.server.duplex import INLINE, Duplex
from mcp_host.server.hostserver import HostServer
from mcp_host.server.messages import ID_IN_USE, NotAMessageError, parse, refusal

logger = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_READ_AHEAD = 64
"""How many chunks the reading thread may be ahead of the server."""

_ATOMIC = 4096
"""How many bytes can be written to a pipe that is ready without blocking (POSIX: PIPE_BUF is at least 512)."""


class Stdio:
    """One client at two descriptors. `serve` returns when the client has left or `end` was called.

    `input_ended` is called when nothing more is read: in the reading thread, because a plugin may block the event loop
    just then, or by `end`. It may be called several times.
    """

    def __init__(
        self, server: HostServer, stdin: int, stdout: int, *, input_ended: Callable[[], None] = lambda: None
    ) -> None:
        self._server = server
        self._input_ended = input_ended
        self._stdin = stdin
        self._stdout = stdout
        self._grace = server.host.config.host.shutdown_timeout
        self._largest = server.host.config.transport.max_request_size
        self._unanswered: set[tuple[type, RequestId | None]] = set()
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._lines: _Lines | None = None
        self._ending = False
        self._gone = False
        self._starting: asyncio.Task[None] | None = None
        self._stopped = False

    async def serve(self) -> None:
        """Serve until stdin ends.

        Raises:
            StartRefusedError: A required plugin failed to start.
        """
        self._lines = _Lines(self._stdin, self._largest, self._at_end, self._input_ended)
        if self._ending:
            self._lines.end()
        async with AsyncExitStack() as stack:
            # The lifespans start first, because the answer to `initialize` depends on which plugins started.
            self._starting = asyncio.current_task()
            try:
                await stack.enter_async_context(self._server.host.running())
            except asyncio.CancelledError:
                if not self._stopped:
                    raise
                return
            finally:
                self._starting = None
            await self._serve_until_the_end()

    def _at_end(self) -> None:
        """End after the lines that have been read.

        A client that waits for its first answer has left before it came: nobody needs the servers that still start.
        """
        self.end()
        if self._lines is not None and self._lines.count <= 1:
            self._server.host.stop_starting()

    def stop(self) -> None:
        """End because of a signal: `end`, and do not start any further."""
        self.end()
        if self._starting is not None and not self._stopped:
            self._stopped = True
            self._starting.cancel()

    def end(self) -> None:
        """Stop reading requests. `serve` then waits for the requests in flight, within the grace period.

        A second call ends this wait.
        """
        if self._ending:
            self._gone = True
        self._ending = True
        self._input_ended()
        self._server.host.ending()
        if self._lines is not None:
            self._lines.end()
        self._changed.set()

    async def _serve_until_the_end(self) -> None:
        peer = Peer(self._put, inline=INLINE)
        reading = asyncio.create_task(self._read(peer), name="messages of stdin")
        try:
            await Duplex(self._server, peer).run()
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        if not reading.cancelled():
            reading.result()

    async def _read(self, peer: Peer) -> None:
        assert self._lines is not None
        try:
            async for line in self._lines:
                message = await self._parsed(line)
                if message is not None:
                    peer.receive(message)
                    if self._lines.has_more:
                        # Its answer must not wait for all that has been read.
                        await asyncio.sleep(0)
            await self._drain()
        finally:
            peer.end()

    async def _parsed(self, line: bytes | None) -> JSONRPCMessage | None:
        """Return the message in a line, or None if there is no message to serve. An invalid line is answered here."""
        if line is None:
            await self._answer(f"The message is larger than {self._largest} bytes")
            return None
        if not line.strip():
            return None
        try:
            message = parse(line, "line")
        except NotAMessageError as error:
            await self._put_line(error.answer)
            return None
        if isinstance(message, JSONRPCRequest):
            if _key(message.id) in self._unanswered:
                # The error has no id, because the client would take it for the response to the first request.
                await self._answer(ID_IN_USE)
                return None
            self._unanswered.add(_key(message.id))
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            # A cancelled request gets no response.
            for each in spellings((message.params or {}).get("requestId")):
                if _key(each) in self._unanswered:
                    self._unanswered.discard(_key(each))
                    break
        return message

    async def _answer(self, text: str) -> None:
        await self._put_line(refusal(INVALID_REQUEST, text))

    # Out

    async def _put(self, message: JSONRPCMessage) -> None:
        await self._put_line(message)
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._unanswered.discard(_key(message.id))
            self._changed.set()

    async def _put_line(self, message: JSONRPCMessage) -> None:
        try:
            text = message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError:
            logger.exception("a response cannot be written as JSON")
            if not isinstance(message, JSONRPCResponse):
                return
            error = ErrorData(code=INTERNAL_ERROR, message="The result cannot be written as JSON")
            text = JSONRPCError(jsonrpc="2.0", id=message.id, error=error).model_dump_json(by_alias=True)
        data = text.encode() + b"\n"
        if self._gone:
            return
        try:
            if not self._writing.locked() and len(data) <= _ATOMIC and _is_ready(self._stdout):
                os.write(self._stdout, data)
                return
            async with self._writing:
                await anyio.to_thread.run_sync(_write_all, self._stdout, data)
        except OSError as error:
            logger.info("the client does not read any more: %s", error.strerror)
            self._gone = True
            self.end()

    # The end

    async def _drain(self) -> None:
        """Wait until every request has its response, or until nobody reads the responses."""
        self._server.listeners.close()
        async with grace(self._grace, lambda: len(self._unanswered)):
            while self._unanswered and not self._gone and not _nobody_reads(self._stdout):
                self._changed.clear()
                await self._changed.wait()


class _Lines:
    """The lines of a descriptor, read in a thread. The thread cannot be stopped while it waits for the client.

    A line larger than `largest` bytes becomes `None`. `at_end` is called after the last line. `count` is how many lines
    with content have been read. `has_more` is whether others have been read that the iteration has not come to.
    """

    def __init__(self, fileno: int, largest: int, at_end: Callable[[], None], input_ended: Callable[[], None]) -> None:
        self._fileno = fileno
        self._largest = largest
        self._at_end = at_end
        self._input_ended = input_ended
        self.count = 0
        self.has_more = False
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[list[bytes | None] | None] = asyncio.Queue()
        self._room = threading.Semaphore(_READ_AHEAD)
        threading.Thread(target=self._run, name="mcp-host stdin", daemon=True).start()

    def end(self) -> None:
        """End the iteration after the lines that have been read so far."""
        self._chunks.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes | None]:
        while (chunk := await self._chunks.get()) is not None:
            for number, line in enumerate(chunk, 1):
                self.has_more = number < len(chunk) or not self._chunks.empty()
                yield line
            self._room.release()

    def _run(self) -> None:
        partial, too_long, first = bytearray(), False, True
        while data := self._read():
            lines: list[bytes | None] = []
            *ended, rest = data.split(b"\n")
            for part in ended:
                partial += part
                if first:
                    _remove_byte_order_mark(partial)
                    first = False
                lines.append(None if too_long or len(partial) > self._largest else bytes(partial))
                self.count += too_long or bool(partial.strip())
                partial.clear()
                too_long = False
            partial += rest
            if len(partial) > self._largest:
                partial.clear()
                too_long = True
            if not self._call_in_loop(self._chunks.put_nowait, lines):
                return
        if first:
            _remove_byte_order_mark(partial)
        self._input_ended()
        self.count += too_long or bool(partial.strip())
        self._call_in_loop(self._chunks.put_nowait, [None if too_long else bytes(partial)])
        self._call_in_loop(self._at_end)

    def _read(self) -> bytes:
        self._room.acquire()
        try:
            return os.read(self._fileno, _CHUNK)
        except OSError as error:
            logger.warning("stdin cannot be read: %s", error.strerror)
            return b""

    def _call_in_loop(self, function: Callable[..., object], *arguments: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has ended
            return False
        return True


def _key(request_id: Any) -> tuple[type, Any]:
    """Return a key for a request's id. 500 and "500" are two ids, and only these two types are ids."""
    return type(request_id), request_id if isinstance(request_id, str | int) else None


def _remove_byte_order_mark(text: bytearray) -> None:
    if text.startswith(BOM_UTF8):
        del text[: len(BOM_UTF8)]


def _write_all(fileno: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fileno, view) :]


def _is_ready(fileno: int) -> bool:
    """Return whether a small write does not block. On Windows this is unknown, and the answer is False."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(fileno, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(0))


def _nobody_reads(fileno: int) -> bool:
    """Return whether the client has closed its end of the pipe. On Windows this is unknown, and the answer is False."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(fileno, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
