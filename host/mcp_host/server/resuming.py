"""Keeps what was sent to the sessions of the handshake versions for a while, for clients whose connection broke."""

from __future__ import annotations

import itertools
import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

logger = logging.getLogger(__name__)

_MIB = 1024 * 1024
_OVERHEAD = 512
"""Bytes that keeping one event costs beside its text, rounded up."""


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
        weakref.finalize(session, self._forget, kept)
        return session

    def next_number(self) -> int:
        return next(self._numbers)

    def add(self, owner: _Kept, number: int, stream: str, text: bytes) -> None:
        event = _Event(owner, stream, text)
        if event.size > self._session_bytes:
            logger.info("a message of %d bytes is not kept for a client that reconnects", len(text))
            return
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

    def _forget(self, owner: _Kept) -> None:
        for number in list(owner.numbers):
            self._drop(number)


class SessionEvents(EventStore):
    """One session's event store.

    An event's id says its stream, so that a client whose last event is no longer kept gets the later ones that are.
    """

    def __init__(self, log: EventLog, kept: _Kept) -> None:
        self._log = log
        self._kept = kept

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep the message, if there is one, and return the id of its event."""
        number = self._log.next_number()
        if message is not None:
            text = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
            self._log.add(self._kept, number, stream_id, text)
        return f"{number}-{quote(stream_id, safe='')}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what followed on the same stream.

        Returns:
            The stream, if more may come on it; None when its answer was among what was sent, or for an unknown id.
        """
        number, separator, quoted = last_event_id.partition("-")
        if not separator or not number.isascii() or not number.isdigit():
            return None
        stream = unquote(quoted)
        for later, text in self._log.after(self._kept, int(number), stream):
            message = jsonrpc_message_adapter.validate_json(text)
            await send_callback(EventMessage(message, f"{later}-{quoted}"))
            if isinstance(message, JSONRPCResponse | JSONRPCError):
                return None
        return stream


def keep_events(manager: StreamableHTTPSessionManager, log: EventLog) -> None:
    """Give every new session of the manager an event store of its own.

    The SDK hands one store to all of them and names a stream after the request it answers, which every session counts
    from 1: with a store in common, a client that resumes its stream 1 gets what was sent on everybody's.
    """
    admit = manager._admit_session

    def admit_with_events(requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        manager.event_store = log.session()
        return admit(requestor)

    manager._admit_session = admit_with_events  # type: ignore[method-assign]
