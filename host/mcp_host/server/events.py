"""Sends change events to every client: to `subscriptions/listen` streams and to sessions of the handshake versions."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping

import anyio
from mcp.server.connection import Connection
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)

from mcp_host.api import Event, SessionClosed, SessionOpened
from mcp_host.catalog.catalog import Catalog
from mcp_host.plugins.kinds import KINDS, FilterKey
from mcp_host.server.interest import Interest, Principal, Subscriber

logger = logging.getLogger(__name__)

_SEND_TIMEOUT = 30.0
"""How long a session may take to accept a notification before it gets no further ones, in seconds."""

_PATIENCE = 0.05
"""How long a publisher waits for the sessions that had read everything so far, in seconds."""

_MOST_WAITING = 100
"""How many events of a session may wait before repeated ones are left out."""


class EventBus(InMemorySubscriptionBus):
    """The SDK's bus, which serves only clients of 2026-07-28, extended with the sessions of the handshake versions.

    `emit` gets an event when a session opens and when it closes. `interest` learns what the sessions subscribe to.
    """

    def __init__(self, emit: Callable[[Event], None], interest: Interest) -> None:
        super().__init__()
        self._emit = emit
        self._interest = interest
        self._sessions: dict[Connection, _Session] = {}

    def add_session(self, connection: Connection) -> None:
        """Notify this session from now on, until its connection closes."""
        if connection in self._sessions:
            return
        self._sessions[connection] = _Session(connection, Subscriber(self._interest))
        connection.exit_stack.callback(self._close, connection)
        self._emit(SessionOpened(protocol_version=connection.protocol_version))

    def _close(self, connection: Connection) -> None:
        self._sessions.pop(connection).close()
        self._emit(SessionClosed(protocol_version=connection.protocol_version))

    def subscribe_resource(self, connection: Connection, uri: str, principal: Principal) -> None:
        """Notify this session of the changes of a resource, until it unsubscribes or closes.

        Raises:
            MCPError: It is subscribed to too many.
        """
        self.add_session(connection)
        session = self._sessions[connection]
        session.subscriber.add(uri, principal, connection.protocol_version)
        session.reads = True

    def unsubscribe_resource(self, connection: Connection, uri: str) -> None:
        session = self._sessions.get(connection)
        if session is not None:
            session.subscriber.remove(uri)

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    async def publish(self, event: ServerEvent) -> None:
        """Deliver the event to every listener and session it concerns, without a wait for one that does not read."""
        await super().publish(event)
        sending = [session.put(event) for session in list(self._sessions.values()) if session.wants(event)]
        fresh = [task for task in sending if task is not None]
        if fresh:
            await asyncio.wait(fresh, timeout=_PATIENCE)


class _Session:
    """A session of a handshake version: the resources that it is subscribed to, and the events that it has not read.

    Its events are sent one after another, in order, in a task of the session's own.
    """

    def __init__(self, connection: Connection, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.reads = True
        self._connection = connection
        self._waiting: deque[ServerEvent] = deque()
        self._counts: Counter[ServerEvent] = Counter()
        self._task: asyncio.Task[None] | None = None
        # The task must not belong to the plugin that happens to publish.
        self._context = contextvars.copy_context()

    def wants(self, event: ServerEvent) -> bool:
        return self.reads and (not isinstance(event, ResourceUpdated) or event.uri in self.subscriber)

    def put(self, event: ServerEvent) -> asyncio.Task[None] | None:
        """Have the event sent. Return the task that does it, if there was nothing else to send."""
        if len(self._waiting) >= _MOST_WAITING and self._counts[event]:
            return None  # The client will read the same one, and then ask for the newest state.
        self._waiting.append(event)
        self._counts[event] += 1
        if self._task is not None and not self._task.done():
            return None
        self._task = self._context.run(asyncio.create_task, self._send(), name="notifying a session")
        return self._task

    async def _send(self) -> None:
        try:
            while self._waiting:
                event = self._waiting.popleft()
                self._counts[event] -= 1
                async with asyncio.timeout(_SEND_TIMEOUT):
                    await _notify(self._connection, event)
        except TimeoutError:
            logger.warning("a client does not read its notifications; it gets no more until it subscribes again")
            self.reads = False
            self._forget()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            logger.debug("a client left before it had read its notifications")
            self._forget()

    def _forget(self) -> None:
        self._waiting.clear()
        self._counts.clear()
        self.subscriber.close()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._forget()


async def _notify(connection: Connection, event: ServerEvent) -> None:
    match event:
        case ToolsListChanged():
            await connection.send_tool_list_changed()
        case PromptsListChanged():
            await connection.send_prompt_list_changed()
        case ResourcesListChanged():
            await connection.send_resource_list_changed()
        case ResourceUpdated(uri=uri):
            await connection.send_resource_updated(uri)


def changes(before: Catalog, after: Catalog) -> list[ServerEvent]:
    """Return one event for each kind of list in which the two differ."""
    different = {kind.filter for kind in KINDS if before.listed(kind) != after.listed(kind)}
    return [event() for key, event in _EVENTS.items() if key in different]


_EVENTS: Mapping[FilterKey, Callable[[], ServerEvent]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}
