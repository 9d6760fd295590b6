"""`Context`: the SDK's request context plus the plugin's own `.settings`, `.state` and `.plugin`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, cast

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import ServerRequestContext
from mcp.server.elicitation import (
    AcceptedElicitation,
    CancelledElicitation,
    DeclinedElicitation,
    ElicitationResult,
    ElicitSchemaModelT,
    UrlElicitationResult,
    render_elicitation_schema,
)
from mcp.server.mcpserver import Context as SDKContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.session import ServerSession
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputResponses,
    LoggingLevel,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
)
from pydantic import PrivateAttr
from typing_extensions import TypeVar

from mcp_host.api import PluginContext
from mcp_host.catalog.forms import Form, content_of

SettingsT = TypeVar("SettingsT", default=Any)
StateT = TypeVar("StateT", default=Any)

LOG_LEVEL_KEY = "mcp_host.log_level"
"""The key of a connection's state that holds the level its client set with `logging/setLevel` (handshake era)."""

LOG_LEVELS: tuple[LoggingLevel, ...] = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
"""The log levels, the least severe first (RFC 5424)."""

_NO_ELICITATION = "the client cannot be asked: it did not declare the elicitation capability"
_NO_BACK_CHANNEL = (
    "the client cannot be asked in the middle of a call: protocol 2026-07-28 has no server-to-client requests. "
    "Declare what to ask as a parameter, Annotated[T, Resolve(...)], which works in every protocol version"
)


class Context(SDKContext[StateT, Any], Generic[SettingsT, StateT]):
    """The request's context. A tool, resource, prompt or completer gets it for a parameter with this annotation.

    `Context[Settings]` gives `.settings` its type. `Context[Settings, State]` also gives `.state` its type. The state
    is what the plugin's lifespan yielded (`None` without a lifespan), the same object as
    `.request_context.lifespan_context`. All methods of the SDK's context are there, too.
    """

    _plugin: PluginContext[Any] | None = PrivateAttr(default=None)
    _state: Any = PrivateAttr(default=None)
    _catalog: Any = PrivateAttr(default=None)
    _on_progress: Any = PrivateAttr(default=None)

    @classmethod
    def scoped(
        cls,
        parent: SDKContext[Any, Any],
        plugin: PluginContext[Any],
        state: Any,
        catalog: object = None,
        *,
        on_progress: Callable[[], None] | None = None,
        session: Callable[[ServerSession], ServerSession] | None = None,
    ) -> Context[Any, Any]:
        """Return the context of `parent`'s request for `plugin`.

        `catalog` is the generation that serves the request and every resource that the request reads. `on_progress` is
        called each time the call reports progress. `session` makes the call's session from that of `parent`, which the
        context uses otherwise.
        """
        request = parent._request_context
        if request is not None:
            own_session = request.session if session is None else session(request.session)
            request = replace(request, lifespan_context=state, session=own_session)
        own = {"_plugin": plugin, "_state": state, "_catalog": catalog, "_on_progress": on_progress}
        return cast("Context[Any, Any]", _copied(parent, cls, {"_request_context": request, **own}))

    def _nested_invocation(self) -> Context[SettingsT, StateT]:
        # The SDK's method does not copy the catalog, so another generation could serve the nested read.
        nested = Context.scoped(
            super()._nested_invocation(), self.plugin, self._state, self._catalog, on_progress=self._on_progress
        )
        return cast("Context[SettingsT, StateT]", nested)

    # The same as the SDK's, without pydantic's way to private attributes, which takes ten times as long.

    @property
    def request_context(self) -> ServerRequestContext[StateT, Any]:
        """The request. It raises a ValueError outside of one."""
        request = self._own["_request_context"]
        if request is None:
            raise ValueError("Context is not available outside of a request")
        return cast("ServerRequestContext[StateT, Any]", request)

    @property
    def protocol_version(self) -> str | None:
        """The protocol version that the client speaks, or None outside of a request."""
        request = self._own["_request_context"]
        return None if request is None else cast("str", request.protocol_version)

    @property
    def input_responses(self) -> InputResponses | None:
        """The client's answers to the questions in the result of an earlier call, or None."""
        params = self._own["_input_params"]
        return None if params is None else cast("InputResponses | None", params.input_responses)

    @property
    def request_state(self) -> str | None:
        """The state that came with the result of an earlier call, or None."""
        params = self._own["_input_params"]
        return None if params is None else cast("str | None", params.request_state)

    @property
    def _own(self) -> dict[str, Any]:
        return self.__pydantic_private__ or {}

    @property
    def catalog(self) -> object:
        """The generation that serves this request. For the host's own use."""
        return self._catalog

    @property
    def plugin(self) -> PluginContext[SettingsT]:
        """The plugin this call belongs to."""
        if self._plugin is None:
            raise ValueError("Context is not available outside of a request")
        return self._plugin

    @property
    def settings(self) -> SettingsT:
        """The plugin's own validated settings."""
        return self.plugin.settings

    @property
    def state(self) -> StateT:
        """What the plugin's own lifespan yielded."""
        return cast("StateT", self._state)

    @property
    def client_id(self) -> str | None:
        """The authenticated client's id, or None when the request carried no token."""
        token = get_access_token()
        return token.client_id if token else None

    @property
    def connection(self) -> object:
        """The client's connection; two calls of one session have the same one. For the host's own use."""
        return self.session._connection

    @property
    def wants_progress(self) -> bool:
        """Whether somebody looks at what `report_progress` reports. For the host's own use."""
        if self._on_progress is not None:
            return True
        outbound = self.session._request_outbound
        outbound = getattr(outbound, "_inner", outbound)
        # Each transport has its own class for it. One that is not known may be for somebody.
        names = [name for name in ("progress_token", "_progress_token", "_on_progress") if hasattr(outbound, name)]
        return not names or any(getattr(outbound, name) is not None for name in names)

    @property
    def wanted_log_level(self) -> str | None:
        """The least level of messages that a client of the handshake versions set, or None. For the host's own use."""
        return cast("str | None", self.session._connection.state.get(LOG_LEVEL_KEY))

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress to the client if it asked for reports; see the SDK's `Context.report_progress`.

        With `progress_extends` in the limits of the TOML, each report also starts the call's deadline again.
        """
        if self._on_progress is not None:
            self._on_progress()
        await super().report_progress(progress, total, message)

    async def log(self, level: LoggingLevel, data: Any, *, logger_name: str | None = None) -> None:
        """Send a log message to the client, if it asked for this level.

        Clients of the handshake versions ask with `logging/setLevel`, and get all levels until they do. Clients of
        2026-07-28 ask with each request, and get no message unless they ask. `data` is any JSON value.
        """
        session = self.request_context.session
        wanted = session._connection.state.get(LOG_LEVEL_KEY)
        if wanted is not None and LOG_LEVELS.index(level) < LOG_LEVELS.index(wanted):
            return
        if level not in session._allowed_log_levels:
            return
        params = LoggingMessageNotificationParams(level=level, data=data, logger=logger_name or self.plugin.name)
        await session.send_notification(
            LoggingMessageNotification(params=params), related_request_id=self.request_context.request_id
        )

    async def debug(self, data: Any, *, logger_name: str | None = None) -> None:
        """Send a debug message to the client."""
        await self.log("debug", data, logger_name=logger_name)

    async def info(self, data: Any, *, logger_name: str | None = None) -> None:
        """Send an info message to the client."""
        await self.log("info", data, logger_name=logger_name)

    async def warning(self, data: Any, *, logger_name: str | None = None) -> None:
        """Send a warning to the client."""
        await self.log("warning", data, logger_name=logger_name)

    async def error(self, data: Any, *, logger_name: str | None = None) -> None:
        """Send an error message to the client."""
        await self.log("error", data, logger_name=logger_name)

    async def elicit(self, message: str, schema: type[ElicitSchemaModelT]) -> ElicitationResult[ElicitSchemaModelT]:
        """Ask the user to fill in a form; see the SDK's `Context.elicit`.

        The time until the answer does not count towards the call's deadline.

        Raises:
            ToolError: The client did not declare elicitation (it would never answer), uses a protocol version without
                server-to-client requests, or its answer does not fit. For such an answer it is a `ValueError`, too.
            TypeError: The schema has a field of a type that the protocol does not allow.
        """
        self._require_elicitation()
        form = Form.of(schema)
        requested = render_elicitation_schema(cast("type[ElicitSchemaModelT]", form))
        try:
            # Not through `elicit_form`: the model validates the answer, and it may accept more than its schema.
            result = await self.session.send_request(
                ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=requested)),
                ElicitResult,
                metadata=ServerMessageMetadata(related_request_id=self.request_id),
            )
        except NoBackChannelError:
            raise ToolError(_NO_BACK_CHANNEL) from None
        if result.action == "accept":
            return AcceptedElicitation(data=cast("ElicitSchemaModelT", form.model_validate(content_of(result))))
        return DeclinedElicitation() if result.action == "decline" else CancelledElicitation()

    async def elicit_url(self, message: str, url: str, elicitation_id: str) -> UrlElicitationResult:
        """Ask the user to open a URL. It raises the same errors as `elicit`."""
        self._require_elicitation()
        try:
            return await super().elicit_url(message, url, elicitation_id)
        except NoBackChannelError:
            raise ToolError(_NO_BACK_CHANNEL) from None

    def _require_elicitation(self) -> None:
        capabilities = self.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            raise ToolError(_NO_ELICITATION)


def for_request(context: SDKContext[Any, Any], request: ServerRequestContext[Any, Any]) -> SDKContext[Any, Any]:
    """Return a copy of a context outside of a request, for this request."""
    return _copied(context, SDKContext, {"_request_context": request})


def _copied(
    context: SDKContext[Any, Any], into: type[SDKContext[Any, Any]], own: Mapping[str, Any]
) -> SDKContext[Any, Any]:
    """Return a copy with these private attributes, as pydantic's `__copy__` makes it.

    The constructor sets the private attributes one by one, which takes five times as long, on each call.
    """
    copied = into.__new__(into)
    object.__setattr__(copied, "__dict__", {})
    object.__setattr__(copied, "__pydantic_fields_set__", set())
    object.__setattr__(copied, "__pydantic_extra__", None)
    object.__setattr__(copied, "__pydantic_private__", {**(context.__pydantic_private__ or {}), **own})
    return copied
