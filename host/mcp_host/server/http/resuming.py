"""Keeps what was sent to the sessions of the handshake versions for a while, for clients whose connection broke.

The SDK has the interface of such a store (`EventStore`) and none to use.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)

logger = logging.getLogger(__name__)

_MIB = 1024 * 1024
_OVERHEAD = 512
"""Bytes that keeping one event costs beside its text, rounded up."""
_UNREAD = 100
"""Messages that a client which came back may be behind: with more its stream ends, and it comes back for them."""


@dataclass(frozen=True)
class _Event:
    owner: _Kept
    stream: str
    text: bytes

    @property
    def size(self) -> int:
        return len(self.text) + _OVERHEAD


@dataclass(eq=False)
class _Kept:
    """What one session has in the log: the numbers of its events, oldest first, and their size in bytes."""

    numbers: OrderedDict[int, None] = field(default_factory=OrderedDict)
    size: int = 0


class EventLog:
    """The recent events of all sessions, in memory: at most so many bytes for each and for all; the oldest go first."""

    def __init__(self, *, session_bytes: int = _MIB, total_bytes: int = 64 * _MIB) -> None:
        self._session_bytes = session_bytes
        self._total_bytes = total_bytes
        self._numbers = itertools.count(1)
        self._events: OrderedDict[int, _Event] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._events)

    def session(self) -> SessionEvents:
        """The part of a new session, forgotten together with what this returns."""
        kept = _Kept()
        session = SessionEvents(self, kept)
        weakref.finalize(session, self.forget, kept)
        return session

    def next_number(self) -> int:
        return next(self._numbers)

    def add(self, owner: _Kept, number: int, stream: str, message: JSONRPCMessage) -> None:
        event = _Event(owner, stream, _to_json(message))
        if event.size > self._session_bytes:
            logger.info("a message of %d bytes is not kept for a client that reconnects", len(event.text))
            if not isinstance(message, JSONRPCResponse):
                return
            # Without any answer the client would wait for ever.
            text = f"The answer came while nobody was connected: {len(event.text)} bytes, too many to keep"
            lost = JSONRPCError(jsonrpc="2.0", id=message.id, error=ErrorData(code=INTERNAL_ERROR, message=text))
            event = _Event(owner, stream, _to_json(lost))
        self._events[number] = event
        owner.numbers[number] = None
        owner.size += event.size
        self.size += event.size
        while owner.size > self._session_bytes:
            self._drop(next(iter(owner.numbers)))
        while self.size > self._total_bytes:
            self._drop(next(iter(self._events)))

    def after(self, owner: _Kept, number: int, stream: str) -> list[tuple[int, bytes]]:
        """The events of one stream of the owner's that followed the one of that number, oldest first."""
        kept = ((later, self._events[later]) for later in owner.numbers if later > number)
        return [(later, event.text) for later, event in kept if event.stream == stream]

    def _drop(self, number: int) -> None:
        event = self._events.pop(number)
        del event.owner.numbers[number]
        event.owner.size -= event.size
        self.size -= event.size

    def forget(self, owner: _Kept) -> None:
        """Drop all that the owner has."""
        for number in list(owner.numbers):
            self._drop(number)


class SessionEvents(EventStore):
    """One session's event store, which also sends what comes to the clients that came back.

    An event's id says its stream, so that a client whose last event is no longer kept gets the later ones that are.
    """

    def __init__(self, log: EventLog, kept: _Kept) -> None:
        self._log = log
        self._kept = kept
        self._followers: dict[str, MemoryObjectSendStream[EventMessage]] = {}

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep the message, if there is one, send it to who follows the stream, and return the id of its event."""
        number = self._log.next_number()
        event_id = f"{number}-{quote(stream_id, safe='')}"
        if message is None:
            return event_id
        self._log.add(self._kept, number, stream_id, message)
        if stream_id in self._followers:
            try:
                self._followers[stream_id].send_nowait(EventMessage(message, event_id))
            except anyio.WouldBlock:
                self.let_go(stream_id)
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> None:
        """Send what followed on the same stream and what comes, until its answer; nothing for an unknown id.

        The SDK would have this end with what is kept, and send what comes from then on itself. Between the two it loses
        messages, the answer too.
        """
        number, separator, quoted = last_event_id.partition("-")
        if not separator or not number.isascii() or not number.isdigit():
            return
        stream = unquote(quoted)
        # No await between these two: what is stored from now on comes to the follower.
        kept = self._log.after(self._kept, int(number), stream)
        sending, following = anyio.create_memory_object_stream[EventMessage](_UNREAD)
        self.let_go(stream)
        self._followers[stream] = sending
        try:
            for later, text in kept:
                message = jsonrpc_message_adapter.validate_json(text)
                await send_callback(EventMessage(message, f"{later}-{quoted}"))
                if _is_answer(message):
                    return
            async for event in following:
                await send_callback(event)
                if _is_answer(event.message):
                    return
        finally:
            sending.close()
            following.close()
            if self._followers.get(stream) is sending:
                del self._followers[stream]

    def close(self) -> None:
        """End the streams of all clients that came back, and forget what was sent: the session is over."""
        self._log.forget(self._kept)
        for stream in list(self._followers):
            self.let_go(stream)

    def let_go(self, stream: str) -> None:
        """End the stream of the client that came back to it, if one did; it may come back once more."""
        follower = self._followers.pop(stream, None)
        if follower is not None:
            follower.close()


def _is_answer(message: JSONRPCMessage) -> bool:
    return isinstance(message, JSONRPCResponse | JSONRPCError)


def _to_json(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def keep_events(manager: StreamableHTTPSessionManager, log: EventLog) -> None:
    """Give every new session of the manager an event store of its own, which ends with the session.

    The SDK hands one store to all of them and names a stream after the request it answers, which every session counts
    from 1: with a store in common, a client that resumes its stream 1 gets what was sent on everybody's.
    """
    admit = manager._admit_session

    def admit_with_events(requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        events = log.session()
        manager.event_store = events
        transport = admit(requestor)
        if transport is None:
            return None
        terminate, close_sse_stream = transport.terminate, transport.close_sse_stream

        async def terminate_with_events() -> None:
            events.close()
            await terminate()

        def close_stream_with_events(request_id: RequestId) -> None:
            events.let_go(str(request_id))
            close_sse_stream(request_id)

        transport.terminate = terminate_with_events  # type: ignore[method-assign]
        transport.close_sse_stream = close_stream_with_events  # type: ignore[method-assign]
        return transport

    manager._admit_session = admit_with_events  # type: ignore[method-assign]
