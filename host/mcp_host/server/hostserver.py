"""`HostServer`, the `MCPServer` that serves the host's current catalog."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any, Final

import mcp.types as types
from mcp.server.apps import EXTENSION_ID as APPS
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.request_state import RequestStateBoundary
from mcp.server.runner import ServerRunner
from mcp.server.subscriptions import ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import AnyUrl, ValidationError

from mcp_host._version import __version__
from mcp_host.calls.observers import Ending
from mcp_host.calls.outgoing import new_error_id, unexpected
from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.forwarded import ForwardedContents
from mcp_host.context import LOG_LEVEL_KEY
from mcp_host.plugins.kinds import KINDS, PROMPT, RESOURCE, TEMPLATE, TOOL, Kind
from mcp_host.server import plaincalls
from mcp_host.server.adopt import root_logger_untouched
from mcp_host.server.auth.auth import auth_of
from mcp_host.server.events import EventBus, changes
from mcp_host.server.host import Host
from mcp_host.server.http.refused import note_seen
from mcp_host.server.interest import Interest, Principal, Subscriber
from mcp_host.server.plaincalls import PlainCalls

logger = logging.getLogger(__name__)

_LISTINGS = {kind.list_method: kind for kind in KINDS}

_LISTS: Final[Mapping[Kind, type[types.PaginatedResult]]] = {
    TOOL: types.ListToolsResult,
    RESOURCE: types.ListResourcesResult,
    TEMPLATE: types.ListResourceTemplatesResult,
    PROMPT: types.ListPromptsResult,
}

_AT_ONCE: Final = 50
"""So many items of a list are made for the wire before other requests have their turn."""

_CANNOT_ASK = (
    "this asks by returning an InputRequiredResult, which needs protocol 2026-07-28, and the client speaks an older "
    "version. What is asked for as a parameter, Annotated[T, Resolve(...)], works in every protocol version"
)


class HostServer(MCPServer[None]):
    """An `MCPServer` that serves the catalog's tools, resources and prompts, and passes calls to the dispatcher.

    It also serves what `MCPServer` does not serve to clients of the handshake versions: `logging/setLevel`,
    `resources/subscribe`, and list changes. `reloads` means that the configuration may change while it serves.
    """

    def __init__(self, host: Host, *, reloads: bool = False) -> None:
        self.host = host
        self._reloads = reloads
        self.interest = Interest(lambda: host.catalog)
        self.bus = EventBus(host.observers.emit, self.interest)
        host.on_resource_updated = lambda uri: self.bus.publish(ResourceUpdated(uri=uri))
        host.on_catalog_changed = self._publish_changes
        self.authorization = auth_of(host)
        settings = host.config.host
        with root_logger_untouched():
            super().__init__(
                settings.name,
                title=settings.title,
                version=settings.version or __version__,
                lifespan=_lifespan,
                subscriptions=self.bus,
                middleware=[self._envelope],
                auth=self.authorization.settings if self.authorization else None,
                token_verifier=self.authorization.verifier if self.authorization else None,
            )
        self._sealing = next(each for each in self.middleware if isinstance(each, RequestStateBoundary))
        # Outside of the SDK's own, which refuse some requests.
        self.middleware.insert(0, self._observe)
        self._listed: Catalog | None = None
        self._listings: dict[tuple[str, str, str | None], HandlerResult] = {}
        self.plain = PlainCalls(self)
        self.listeners = ListenHandler(self.bus)
        serve = self._lowlevel_server.add_request_handler
        serve("resources/read", types.ReadResourceRequestParams, self._read)
        serve("subscriptions/listen", types.SubscriptionsListenRequestParams, self._listen)
        serve("completion/complete", types.CompleteRequestParams, self._complete)
        serve("logging/setLevel", types.SetLevelRequestParams, self._set_level)
        serve("resources/subscribe", types.SubscribeRequestParams, self._subscribe)
        serve("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe)

    async def _publish_changes(self, before: Catalog, after: Catalog) -> None:
        self.interest.catalog_changed()
        for event in changes(before, after):
            await self.bus.publish(event)

    # The methods of `MCPServer`

    async def list_tools(self) -> list[types.Tool]:
        return self.host.catalog.listed(TOOL)

    async def list_resources(self) -> list[types.Resource]:
        return self.host.catalog.listed(RESOURCE)

    async def list_resource_templates(self) -> list[types.ResourceTemplate]:
        return self.host.catalog.listed(TEMPLATE)

    async def list_prompts(self) -> list[types.Prompt]:
        return self.host.catalog.listed(PROMPT)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: SDKContext[Any, Any] | None = None
    ) -> types.CallToolResult | types.InputRequiredResult:
        context = context or self.outside()
        result = await self.host.dispatcher.call_tool(name, arguments, context)
        if _cannot_be_asked(result, context):
            self._noted(context.request_context).reason = "failed"
            return types.CallToolResult(content=[types.TextContent(type="text", text=_CANNOT_ASK)], is_error=True)
        return result

    async def read_resource(
        self, uri: AnyUrl | str, context: SDKContext[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | types.InputRequiredResult:
        context = context or self.outside()
        result = await self.host.dispatcher.read_resource(str(uri), context)
        if _cannot_be_asked(result, context):
            raise MCPError(INTERNAL_ERROR, _CANNOT_ASK)
        return result

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: SDKContext[Any, Any] | None = None
    ) -> types.GetPromptResult | types.InputRequiredResult:
        context = context or self.outside()
        result = await self.host.dispatcher.get_prompt(name, arguments or {}, context)
        if _cannot_be_asked(result, context):
            raise MCPError(INTERNAL_ERROR, _CANNOT_ASK)
        return result

    def _tool_input_schema(self, name: str) -> dict[str, Any] | None:
        tool = self.host.catalog.tools.get(name)
        return tool.wire.input_schema if tool is not None else None

    def outside(self) -> SDKContext[Any, Any]:
        """Return a context outside of a request."""
        return SDKContext(mcp_server=self, subscriptions=self.bus)

    # Requests that MCPServer has no handler for, or one that changes what another server sent

    async def _read(
        self, ctx: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        uri = str(params.uri)
        context = SDKContext(request_context=ctx, mcp_server=self, input_params=params, subscriptions=self.bus)
        try:
            contents = await self.read_resource(uri, context)
        except ResourceError as error:
            code = INVALID_PARAMS if isinstance(error, ResourceNotFoundError) else INTERNAL_ERROR
            raise MCPError(code, str(error), {"uri": uri}) from None
        if isinstance(contents, types.InputRequiredResult):
            return contents
        return types.ReadResourceResult(contents=[_wire_contents(part, uri) for part in contents])

    async def _listen(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve a stream of changes. The client gets back what it is subscribed to: each served resource once."""
        asked = dict.fromkeys(str(uri) for uri in params.notifications.resource_subscriptions or ())
        uris = [uri for uri in asked if self.host.catalog.resource_at(uri) is not None]
        notifications = params.notifications.model_copy(update={"resource_subscriptions": uris or None})
        with closing(Subscriber(self.interest)) as subscriber:
            for uri in uris:
                subscriber.add(uri, _principal(), ctx.protocol_version)
            return await self.listeners(ctx, params.model_copy(update={"notifications": notifications}))

    async def _complete(
        self, ctx: ServerRequestContext[Any, Any], params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        context = SDKContext(request_context=ctx, mcp_server=self, subscriptions=self.bus)
        completion = await self.host.dispatcher.complete(params.ref, params.argument, params.context, context)
        return types.CompleteResult(completion=completion)

    async def _set_level(
        self, ctx: ServerRequestContext[Any, Any], params: types.SetLevelRequestParams
    ) -> types.EmptyResult:
        ctx.session._connection.state[LOG_LEVEL_KEY] = params.level
        return types.EmptyResult()

    async def _subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        uri = str(params.uri)
        self._note_resource(ctx, uri)
        if self.host.catalog.resource_at(uri) is None:
            raise MCPError(INVALID_PARAMS, f"Unknown resource: {uri}", {"uri": uri})
        self.bus.subscribe_resource(ctx.session._connection, uri, _principal())
        return types.EmptyResult()

    async def _unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self._note_resource(ctx, str(params.uri))
        self.bus.unsubscribe_resource(ctx.session._connection, str(params.uri))
        return types.EmptyResult()

    # What clients of both eras learn about the server

    async def surrounded(self, ctx: ServerRequestContext[Any, Any], answer: CallNext) -> HandlerResult:
        """Answer a request within all that is in `middleware`, except for the records of traces."""

        async def enveloped(ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
            return await self._envelope(ctx, answer)

        async def sealed(ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
            return await self._sealing(ctx, enveloped)

        return await self._observe(ctx, sealed)

    async def _observe(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a message and, if it is a request, note its end for the observers."""
        if ctx.request_id is None or not self.host.observers.any:
            return await call_next(ctx)
        note_seen(ctx.request)
        with self.host.observers.request(ctx.method, ctx.protocol_version):
            return await call_next(ctx)

    def _noted(self, ctx: ServerRequestContext[Any, Any]) -> Ending:
        """Return the notes for the observers of the request that is being answered."""
        return self.host.observers.part(ctx.method, ctx.protocol_version, nested=False)

    def _note_resource(self, ctx: ServerRequestContext[Any, Any], uri: str) -> None:
        """Note for the observers which resource a request is about."""
        ending, served = self._noted(ctx), self.host.catalog.resource_at(uri)
        ending.asked_for(uri)
        if served is not None:
            ending.of(served)
        elif ctx.method == "resources/subscribe":
            ending.reason = "unknown"

    async def _envelope(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a request. Every error response passes the exit for outgoing texts, whatever raised the error."""
        try:
            return await self._answer(ctx, call_next)
        except MCPError as error:
            raise self.host.outgoing.error(error) from error.__cause__
        except ValidationError:  # which the SDK answers without a word of its text
            raise
        except Exception as error:
            error_id = new_error_id()
            self._noted(ctx).crashed(error_id)
            logger.error("the answer to %s crashed (error %s)", ctx.method, error_id, exc_info=error)
            raise MCPError(INTERNAL_ERROR, unexpected("The request", error_id)) from None

    async def _answer(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer `initialize` and `server/discover` with the current state, and register sessions for notifications."""
        if ctx.request_id is not None and ctx.session._connection.initialize_accepted:
            if ctx.method in _LISTINGS:
                return await self._list(ctx)
            if ctx.method == plaincalls.METHOD and self.plain.accepts(ctx):
                return await self.plain.result(ctx)
        result = await call_next(ctx)
        if ctx.method in ("initialize", "server/discover") and isinstance(result, dict):
            result["capabilities"] = self._capabilities(ctx.protocol_version, result["capabilities"])
            instructions = self.host.instructions
            if instructions is not None:
                result["instructions"] = instructions
        elif ctx.method == "notifications/initialized" and self._keeps_sessions:
            self.bus.add_session(ctx.session._connection)
        return result

    async def _list(self, ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
        """Answer a list request. Each page is made once for each generation and protocol version."""
        catalog = self.host.catalog
        if self._listed is not catalog:
            self._listed, self._listings = catalog, {}
        methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        key = (ctx.method, ctx.protocol_version, (ctx.params or {}).get("cursor"))
        listings = self._listings
        if key not in listings:
            listings[key] = await self._page(catalog, *key)
        return listings[key]

    async def _page(self, catalog: Catalog, method: str, version: str, cursor: str | None) -> dict[str, Any]:
        """Return `[host] page_size` items of a list as they travel, beginning at the client's cursor."""
        kind = _LISTINGS[method]
        items, following = catalog.page(kind, _named_by(cursor), self.host.config.host.page_size)
        runner = ServerRunner(self._lowlevel_server, Connection.from_envelope(version, None, None), None)
        page: dict[str, Any] = {}
        for at in range(0, max(1, len(items)), _AT_ONCE):
            if at:
                # Other requests are answered meanwhile.
                await asyncio.sleep(0)
            part = _LISTS[kind].model_validate({kind.list_attribute: items[at : at + _AT_ONCE]})
            wire = runner._serialize(method, version, part)
            page = {**page, **wire, kind.list_key: [*page.get(kind.list_key, ()), *wire[kind.list_key]]}
        return page if following is None else {**page, "nextCursor": _cursor(following)}

    @property
    def _keeps_sessions(self) -> bool:
        transport = self.host.config.transport
        return not (transport.kind == "http" and transport.stateless)

    def _capabilities(self, protocol_version: str, advertised: dict[str, Any]) -> dict[str, Any]:
        """Return what this server can do for this client. Other capabilities stay as the SDK has them.

        MCP Apps is one extension for any number of plugins with UIs. It is also in `initialize`, because SEP-1865
        negotiates it there, although the handshake versions define no extensions.
        """
        notifies = protocol_version in MODERN_PROTOCOL_VERSIONS or self._keeps_sessions
        catalog = self.host.catalog
        capabilities = {
            **advertised,
            "tools": {"listChanged": notifies},
            "resources": {"listChanged": notifies, "subscribe": notifies},
            "logging": {},
        }
        for name, there, value in (
            ("prompts", bool(catalog.prompts), {"listChanged": notifies}),
            ("completions", catalog.has_completion, {}),
        ):
            # A client asks only once, so a capability that a reload may add must be listed from the beginning.
            if there or self._reloads:
                capabilities[name] = value
            else:
                capabilities.pop(name, None)
        if catalog.has_ui or self._reloads:
            capabilities["extensions"] = {**capabilities.get("extensions", {}), APPS: {}}
        return capabilities


def _cursor(name: str) -> str:
    """Return the cursor of the page that begins with this item. Clients must not look into it (spec: Pagination)."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def _named_by(cursor: str | None) -> str | None:
    """Return the name or URI of the item that a cursor stands for. Whatever is no cursor stands for no item."""
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor, altchars="-_", validate=True).decode()
    except ValueError:
        return ""


def _principal() -> Principal:
    token = get_access_token()
    return principal_components(token) if token is not None else None


def _wire_contents(part: ReadResourceContents, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
    """Return one part of a resource. What another server sent keeps its URI, and gets no media type of ours."""
    own = isinstance(part, ForwardedContents)
    where = part.uri if isinstance(part, ForwardedContents) else uri
    if isinstance(part.content, bytes):
        blob = base64.b64encode(part.content).decode()
        mime_type = part.mime_type or (None if own else "application/octet-stream")
        return types.BlobResourceContents(uri=where, blob=blob, mime_type=mime_type, _meta=part.meta)
    mime_type = part.mime_type or (None if own else "text/plain")
    return types.TextResourceContents(uri=where, text=part.content, mime_type=mime_type, _meta=part.meta)


def _cannot_be_asked(result: object, context: SDKContext[Any, Any]) -> bool:
    """Return whether a plugin asks in a form that this client's protocol version does not have (SEP-2322)."""
    if not isinstance(result, types.InputRequiredResult):
        return False
    return context.protocol_version not in (None, *MODERN_PROTOCOL_VERSIONS)


@asynccontextmanager
async def _lifespan(server: MCPServer[None]) -> AsyncIterator[None]:
    assert isinstance(server, HostServer)
    async with server.host.running():
        yield
