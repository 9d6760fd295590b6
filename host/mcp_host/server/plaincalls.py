"""Answers plain calls of tools without the SDK's handler, which validates and copies a call and its result four times.

A call is plain if its parameters are only a name, arguments and `_meta`, and its `_meta` has passed the SDK's checks
before. All that is around a call is the same for both ways: observers, sealed state, limits, errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import mcp.types as types
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.runner import ServerRunner
from mcp.server.session import ServerSession
from mcp.shared.dispatcher import Outbound
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types import SERVER_INFO_META_KEY, methods
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from opentelemetry import trace
from pydantic import ValidationError

from mcp_host.context import for_request

if TYPE_CHECKING:
    from mcp_host.server.hostserver import HostServer

METHOD: Final = "tools/call"

_PARAMETERS: Final = frozenset({"name", "arguments", "_meta"})

_RESERVED: Final = ("io.modelcontextprotocol/", "traceparent")
"""How keys of `_meta` begin that the handshake versions give to the SDK."""

_FULL: Final = frozenset({*HANDSHAKE_PROTOCOL_VERSIONS[HANDSHAKE_PROTOCOL_VERSIONS.index("2025-06-18") :]})
"""The handshake versions that know all that a plain result has. Those before have no structured content."""


class PlainCalls:
    """Answers plain calls inside the server's middleware. An envelope is checked only if it differs from the last."""

    def __init__(self, server: HostServer) -> None:
        self._server = server
        self._outside = server.outside()
        self._stamp = server._lowlevel_server.server_info_stamp
        self._envelope: dict[str, Any] | None = None
        self._fits = False

    def accepts(self, context: ServerRequestContext[Any, Any]) -> bool:
        """Return whether a call is plain. For 2026-07-28, this includes that the SDK accepts its envelope."""
        modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        if not is_plain(context.params, modern=modern):
            return False
        if not modern:
            return True
        assert context.params is not None
        envelope = envelope_of(context.params["_meta"])
        if envelope != self._envelope:
            self._envelope, self._fits = envelope, _route(context.params) is not None
        return self._fits

    async def result(self, context: ServerRequestContext[Any, Any]) -> dict[str, Any]:
        """Answer a call that was accepted, as it travels."""
        params, version = context.params or {}, context.protocol_version
        own = for_request(self._outside, context)
        result = await self._server.call_tool(params["name"], params.get("arguments") or {}, own)
        if not _is_plain_result(result, version):
            runner = ServerRunner(self._server._lowlevel_server, context.session._connection, context.lifespan_context)
            return runner._serialize(METHOD, version, result)
        wire = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        if version in MODERN_PROTOCOL_VERSIONS:
            wire["_meta"] = {SERVER_INFO_META_KEY: self._stamp}
        else:
            del wire["resultType"]
        return wire


class PlainPipe:
    """The plain calls over one pipe, which do not reach the SDK's runner at all.

    `lifespan` is the state of the SDK's server. The runner also records traces, so with a tracer no call is plain.
    """

    def __init__(self, server: HostServer, lifespan: Any) -> None:
        self._server = server
        self._lifespan = lifespan
        self._envelope: dict[str, Any] | None = None
        self._client: Connection | None = None

    def accepts(self, params: Mapping[str, Any] | None, *, modern: bool) -> bool:
        """Return whether a call is plain, except for the envelope of 2026-07-28."""
        return is_plain(params, modern=modern) and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

    def client(self, params: Mapping[str, Any], outbound: Outbound) -> Connection | None:
        """Return the client of a plain request of 2026-07-28, or None if the request is not plain.

        A client sends the same envelope with each request, so only a new one is checked.
        """
        envelope = envelope_of(params["_meta"])
        if envelope != self._envelope:
            route = None if "traceparent" in envelope else _route(params)
            self._envelope = envelope
            self._client = None
            if route is not None:
                self._client = Connection.from_envelope(
                    route.protocol_version, route.client_info, route.client_capabilities, outbound=outbound
                )
        return self._client

    async def answer(self, inbound: Any, client: Connection, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a plain call of this client.

        Raises:
            MCPError: As the SDK's runner raises it.
        """
        meta: Any = params.get("_meta")
        if meta is not None and "progressToken" in meta:
            meta = {"progress_token" if key == "progressToken" else key: value for key, value in meta.items()}
        context: ServerRequestContext[Any, Any] = ServerRequestContext(
            session=ServerSession(inbound, client, request_meta=meta),
            lifespan_context=self._lifespan,
            protocol_version=client.protocol_version,
            method=METHOD,
            params=params,
            request_id=inbound.request_id,
            meta=meta,
        )
        result = await self._server.surrounded(context, self._server.plain.result)
        assert isinstance(result, dict)
        return result


def is_plain(params: Mapping[str, Any] | None, *, modern: bool) -> bool:
    """Return whether the parameters of a call are plain, except for the envelope of 2026-07-28."""
    if not params or not _PARAMETERS.issuperset(params) or not isinstance(params.get("name"), str):
        return False
    meta = params.get("_meta")
    if not isinstance(params.get("arguments"), dict | None) or not isinstance(meta, dict | None):
        return False
    if meta:
        token = meta.get("progressToken", 0)
        if not isinstance(token, str | int) or isinstance(token, bool) or "progress_token" in meta:
            return False
        if not modern and any(key.startswith(_RESERVED) for key in meta):
            return False
    return bool(meta) or not modern


def envelope_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client of 2026-07-28 sends with each request."""
    return {key: value for key, value in meta.items() if key != "progressToken"}


def _route(params: Mapping[str, Any]) -> InboundModernRoute | None:
    """Return what the SDK reads in the envelope of a request, or None if it refuses the envelope."""
    route = classify_inbound_request({"method": METHOD, "params": params})
    if not isinstance(route, InboundModernRoute):
        return None
    try:
        methods.validate_client_request(METHOD, route.protocol_version, {**params, "arguments": {}})
    except ValidationError:
        return None
    return route


def _is_plain_result(result: object, version: str) -> bool:
    """Return whether the protocol version knows all that a result has."""
    return (
        type(result) is types.CallToolResult
        and (version in _FULL or version in MODERN_PROTOCOL_VERSIONS)
        and result.meta is None
        and result.result_type == "complete"
        and isinstance(result.structured_content, dict | None)
        and all(
            type(each) is types.TextContent and each.annotations is None and each.meta is None
            for each in result.content
        )
    )
