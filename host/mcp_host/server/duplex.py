"""Serves one client over a pipe, in the protocol era that its first request belongs to.

It does what the SDK's `Server.run` does, for a `Peer` instead of two streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data, serve_one
from mcp.shared.dispatcher import OnNotify, OnRequest
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp.types import INVALID_REQUEST
from mcp_types import PROTOCOL_VERSION_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_host.calls.peer import Peer
from mcp_host.server import plaincalls
from mcp_host.server.plaincalls import PlainPipe

if TYPE_CHECKING:
    from mcp_host.server.hostserver import HostServer

_MOST_EARLY: Final = 8
"""Notifications before the first request that are kept for it."""

INLINE: Final = frozenset({"initialize"})
"""The next message is for a connection that this request has made."""


class Duplex:
    """One client at a peer, which answers the `INLINE` methods inline. `run` returns when the peer has ended."""

    def __init__(self, server: HostServer, peer: Peer) -> None:
        self._host_server = server
        self._server: Server[Any] = server._lowlevel_server
        self._peer = peer
        self._lifespan: Any = None
        self._connection: Connection | None = None
        self._handlers: tuple[OnRequest, OnNotify] | None = None
        self._early: list[tuple[Any, str, Mapping[str, Any] | None]] = []

    async def run(self) -> None:
        async with self._server.lifespan(self._server) as self._lifespan:
            try:
                await self._peer.run(self._on_request, self._on_notify)
            finally:
                if self._connection is not None:
                    await aclose_shielded(self._connection)

    async def _on_request(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        if self._handlers is None:
            is_modern = method != "initialize" and _has_envelope(params)
            self._handlers = self._modern() if is_modern else self._handshake()
            for early in self._early:
                await self._handlers[1](*early)
            self._early.clear()
        return await self._handlers[0](inbound, method, params)

    async def _on_notify(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> None:
        if self._handlers is not None:
            await self._handlers[1](inbound, method, params)
        elif len(self._early) < _MOST_EARLY:
            self._early.append((inbound, method, params))

    def _handshake(self) -> tuple[OnRequest, OnNotify]:
        connection = self._connection = Connection.for_loop(self._peer)
        options = self._server.create_initialization_options()
        runner = ServerRunner(self._server, connection, self._lifespan, init_options=options)
        plain = PlainPipe(self._host_server, self._lifespan)

        async def on_request(inbound: Any, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
            if method != "initialize" and _has_envelope(params):
                text = "this connection began with a handshake; requests of 2026-07-28 are not accepted on it"
                raise MCPError(INVALID_REQUEST, text)
            if method == plaincalls.METHOD and connection.initialize_accepted and plain.accepts(params, modern=False):
                return await plain.answer(inbound, connection, params or {})
            return await runner.on_request(inbound, method, params)

        return on_request, runner.on_notify

    def _modern(self) -> tuple[OnRequest, OnNotify]:
        # The protocol has no requests of the server, and its notices of changes come only on the streams for them.
        outbound = NotifyOnlyOutbound(self._peer)
        plain = PlainPipe(self._host_server, self._lifespan)

        async def on_request(inbound: Any, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
            inbound.one_way = True
            if method == plaincalls.METHOD and params and plain.accepts(params, modern=True):
                client = plain.client(params, outbound)
                if client is not None:
                    return await plain.answer(inbound, client, params)
            if method == "initialize":
                text = "this connection speaks 2026-07-28; a handshake is not accepted on it"
                raise MCPError(UNSUPPORTED_PROTOCOL_VERSION, text, _instead_of(params))
            route = classify_inbound_request({"method": method, "params": params})
            if isinstance(route, InboundLadderRejection):
                raise MCPError(route.code, route.message, route.data)
            connection = Connection.from_envelope(
                route.protocol_version, route.client_info, route.client_capabilities, outbound=outbound
            )
            try:
                return await serve_one(
                    self._server, inbound, method, params, connection=connection, lifespan_state=self._lifespan
                )
            except (MCPError, ValidationError):
                raise
            except Exception as error:
                data = modern_error_data(error)
                raise MCPError(data.code, data.message, data.data) from error

        async def on_notify(inbound: Any, method: str, params: Mapping[str, Any] | None) -> None:
            inbound.one_way = True
            # A notification has no version of its own.
            connection = Connection.from_envelope(LATEST_MODERN_VERSION, None, None, outbound=outbound)
            try:
                await ServerRunner(self._server, connection, self._lifespan).on_notify(inbound, method, params)
            finally:
                await aclose_shielded(connection)

        return on_request, on_notify


def _has_envelope(params: Mapping[str, Any] | None) -> bool:
    meta = params.get("_meta") if params else None
    return isinstance(meta, Mapping) and PROTOCOL_VERSION_META_KEY in meta


def _instead_of(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return which versions are served, and which one was asked for if that is a text."""
    requested = (params or {}).get("protocolVersion")
    asked = {"requested": requested} if isinstance(requested, str) else {}
    return {"supported": list(MODERN_PROTOCOL_VERSIONS), **asked}
