"""Sends change events to every client: to `subscriptions/listen` streams and to sessions of the handshake versions."""

from __future__ import annotations

import logging
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

_SEND_TIMEOUT = 5.0
"""How long a session may take to accept a notification before the notification is dropped, in seconds."""


class EventBus(InMemorySubscriptionBus):
    """The SDK's bus, which serves only clients of 2026-07-28, extended with the sessions of the handshake versions.

    `emit` gets an event when a session opens and when it closes. `interest` learns what the sessions subscribe to.
    """

    def __init__(self, emit: Callable[[Event], None], interest: Interest) -> None:
        super().__init__()
        self._emit = emit
        self._interest = interest
        self._sessions: dict[Connection, Subscriber] = {}

    def add_session(self, connection: Connection) -> None:
        """Notify this session from now on, until its connection closes."""
        if connection in self._sessions:
            return
        self._sessions[connection] = Subscriber(self._interest)
        connection.exit_stack.callback(self._close, connection)
        self._emit(SessionOpened(protocol_version=connection.protocol_version))

    def _close(self, connection: Connection) -> None:
        subscriber = self._sessions.pop(connection, None)
        if subscriber is not None:
            subscriber.close()
        self._emit(SessionClosed(protocol_version=connection.protocol_version))

    def subscribe_resource(self, connection: Connection, uri: str, principal: Principal) -> None:
        """Notify this session of the changes of a resource, until it unsubscribes or closes.

        Raises:
            MCPError: It is subscribed to too many.
        """
        self.add_session(connection)
        self._sessions[connection].add(uri, principal, connection.protocol_version)

    def unsubscribe_resource(self, connection: Connection, uri: str) -> None:
        subscriber = self._sessions.get(connection)
        if subscriber is not None:
            subscriber.remove(uri)

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    async def publish(self, event: ServerEvent) -> None:
        """Deliver the event to every listener and every session it concerns."""
        await super().publish(event)
        async with anyio.create_task_group() as group:
            for connection, subscriber in list(self._sessions.items()):
                if not isinstance(event, ResourceUpdated) or event.uri in subscriber:
                    group.start_soon(_notify, connection, event)


async def _notify(connection: Connection, event: ServerEvent) -> None:
    with anyio.move_on_after(_SEND_TIMEOUT) as scope:
        match event:
            case ToolsListChanged():
                await connection.send_tool_list_changed()
            case PromptsListChanged():
                await connection.send_prompt_list_changed()
            case ResourcesListChanged():
                await connection.send_resource_list_changed()
            case ResourceUpdated(uri=uri):
                await connection.send_resource_updated(uri)
    if scope.cancelled_caught:
        logger.warning("a client does not read its notifications; one was dropped")


def changes(before: Catalog, after: Catalog) -> list[ServerEvent]:
    """Return one event for each kind of list in which the two differ."""
    different = {kind.filter for kind in KINDS if before.listed(kind) != after.listed(kind)}
    return [event() for key, event in _EVENTS.items() if key in different]


_EVENTS: Mapping[FilterKey, Callable[[], ServerEvent]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}
