"""Keeps recent messages of sessions (handshake versions), so that clients whose connection broke can get them again.

The SDK has only the interface of such a store (`EventStore`).
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
"""Bytes of memory for one event in addition to its text, rounded up."""
_UNREAD = 100
"""How many unread messages a reconnected client may have. With more, its stream ends, and it has to reconnect."""


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
    """The events of one session in the log: their numbers, oldest first, and their size in bytes."""

    numbers: OrderedDict[int, None] = field(default_factory=OrderedDict)
    size: int = 0


class EventLog:
    """The recent events of all sessions, in memory. Each session and the whole log have a size limit in bytes.

    Over the limit, the oldest events are dropped.
    """

    def __init__(self, *, session_bytes: int = _MIB, total_bytes: int = 64 * _MIB) -> None:
        self._session_bytes = session_bytes
        self._total_bytes = total_bytes
        self._numbers = itertools.count(1)
        self._events: OrderedDict[int, _Event] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._events)

    def session(self) -> SessionEvents:
        """Return the events of a new session. When the returned object is garbage, the log drops them."""
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
            # Without any response the client would wait for ever.
            text = f"The response came while nobody was connected: {len(event.text)} bytes, too many to keep"
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
        """Return the owner's events on one stream after the event with that number, oldest first."""
        kept = ((later, self._events[later]) for later in owner.numbers if later > number)
        return [(later, event.text) for later, event in kept if event.stream == stream]

    def _drop(self, number: int) -> None:
        event = self._events.pop(number)
        del event.owner.numbers[number]
        event.owner.size -= event.size
        self.size -= event.size

    def forget(self, owner: _Kept) -> None:
        """Drop all events of the owner."""
        for number in list(owner.numbers):
            self._drop(number)


class SessionEvents(EventStore):
    """One session's event store. It also sends new messages to clients that reconnected.

    An event's id contains its stream. So a client whose last event was dropped still gets the later ones.
    """

    def __init__(self, log: EventLog, kept: _Kept) -> None:
        self._log = log
        self._kept = kept
        self._followers: dict[str, MemoryObjectSendStream[EventMessage]] = {}

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep the message, if any, send it to the follower of the stream, and return the id of its event."""
        number = self._log.next_number()
        event_id = f"{number}-{quote(stream_id, safe='')}"
        if message is None:
            return event_id
        self._log.add(self._kept, number, stream_id, message)
        if stream_id in self._followers:
            try:
                self._followers[stream_id].send_nowait(EventMessage(message, event_id))
            except anyio.WouldBlock:
                self.end_stream(stream_id)
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> None:
        """Send the later messages of the stream, kept and new ones, until its response. An unknown id gets nothing.

        The SDK expects only the kept messages from this method, and sends the new ones itself. In between it can lose
        messages, also the response.
        """
        number, separator, quoted = last_event_id.partition("-")
        if not separator or not number.isascii() or not number.isdigit():
            return
        stream = unquote(quoted)
        # There is no await between reading the log and adding the follower, so no message is lost in between.
        kept = self._log.after(self._kept, int(number), stream)
        sending, following = anyio.create_memory_object_stream[EventMessage](_UNREAD)
        self.end_stream(stream)
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
        """End the streams of all reconnected clients and drop the events: the session is over."""
        self._log.forget(self._kept)
        for stream in list(self._followers):
            self.end_stream(stream)

    def end_stream(self, stream: str) -> None:
        """End the stream of the client that reconnected to it, if any. The client may reconnect."""
        follower = self._followers.pop(stream, None)
        if follower is not None:
            follower.close()


def _is_answer(message: JSONRPCMessage) -> bool:
    return isinstance(message, JSONRPCResponse | JSONRPCError)


def _to_json(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def keep_events(manager: StreamableHTTPSessionManager, log: EventLog) -> None:
    """Give every new session of the manager its own event store, which ends with the session.

    The SDK uses one store for all sessions and names a stream after the id of its request. Every session counts its ids
    from 1. With a common store, a client that resumes its stream 1 would get the messages of all sessions.
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
            events.end_stream(str(request_id))
            close_sse_stream(request_id)

        transport.terminate = terminate_with_events  # type: ignore[method-assign]
        transport.close_sse_stream = close_stream_with_events  # type: ignore[method-assign]
        return transport

    manager._admit_session = admit_with_events  # type: ignore[method-assign]
