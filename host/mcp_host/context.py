"""`Context`: the SDK's request context plus the plugin's own `.settings`, `.state` and `.plugin`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Generic, cast

from mcp.server.auth.middleware.auth_context import get_access_token
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
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    LoggingLevel,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
)
from pydantic import PrivateAttr
from typing_extensions import TypeVar

from mcp_host.api import PluginContext
from mcp_host.asking import AskingSession, Exit, Form, content_of

SettingsT = TypeVar("SettingsT", default=Any)
StateT = TypeVar("StateT", default=Any)

LOG_LEVEL_KEY = "mcp_host.log_level"
"""Where a handshake-era connection keeps what its client asked for with `logging/setLevel`."""

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
"""Least severe first (RFC 5424)."""

_NO_ELICITATION = "the client cannot be asked: it did not declare the elicitation capability"
_NO_BACK_CHANNEL = (
    "the client cannot be asked in the middle of a call: protocol 2026-07-28 has no server-to-client requests. "
    "Declare what to ask as a parameter, Annotated[T, Resolve(...)], which works in every protocol version"
)


class Context(SDKContext[StateT, Any], Generic[SettingsT, StateT]):
    """What a tool, resource, prompt or completer gets when it declares a parameter annotated with it.

    `Context[Settings]` types `.settings`, `Context[Settings, State]` also `.state`, which is what the
    plugin's lifespan yielded (`None` without one) and the same object as
    `.request_context.lifespan_context`. Everything of the SDK's context is there too.
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
        asking: Callable[[], AbstractContextManager[None]] | None = None,
        outgoing: Exit | None = None,
    ) -> Context[Any, Any]:
        """The context of `parent`'s request as `plugin` may see it.

        `catalog` is the generation the request is served from; what it reads in turn comes from the same one.
        `on_progress` is called each time the call reports progress, and `asking` is entered while it asks the client.
        What it sends to the client passes `outgoing`. Without these two, it sends as `parent` does.
        """
        request = parent._request_context
        if request is not None:
            session = request.session
            if asking is not None and outgoing is not None:
                session = AskingSession(session, asking, outgoing)
            request = replace(request, lifespan_context=state, session=session)
        context = cls.__new__(cls)
        # As pydantic's `__copy__` does it, but into this class. Its constructor would take five times as long, on each
        # call, to set what is private one by one.
        object.__setattr__(context, "__dict__", {})
        object.__setattr__(context, "__pydantic_fields_set__", set())
        object.__setattr__(context, "__pydantic_extra__", None)
        own = {"_plugin": plugin, "_state": state, "_catalog": catalog, "_on_progress": on_progress}
        private = {**(parent.__pydantic_private__ or {}), "_request_context": request, **own}
        object.__setattr__(context, "__pydantic_private__", private)
        return cast("Context[Any, Any]", context)

    def _nested_invocation(self) -> Context[SettingsT, StateT]:
        # The SDK's own forgets what is not its: the nested read would be served from another generation.
        nested = Context.scoped(
            super()._nested_invocation(), self.plugin, self._state, self._catalog, on_progress=self._on_progress
        )
        return cast("Context[SettingsT, StateT]", nested)

    @property
    def catalog(self) -> object:
        """The host's own: the generation this request is served from."""
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

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the call is, if it asked to be told; see the SDK's `Context.report_progress`.

        With `progress_extends` in the limits of the TOML, it also gives the call its whole time again.
        """
        if self._on_progress is not None:
            self._on_progress()
        await super().report_progress(progress, total, message)

    async def log(self, level: LoggingLevel, data: Any, *, logger_name: str | None = None) -> None:
        """Send a log message to the client, if it asked for this level.

        Clients of the handshake versions ask with `logging/setLevel` (all levels until then), those of
        2026-07-28 with each request (none unless asked). `data` is anything JSON can say.
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
        """Ask the user for a form's worth of data; see the SDK's `Context.elicit`.

        The time until the answer does not count towards the call's deadline.

        Raises:
            ToolError: The client did not declare elicitation (it would never answer), speaks a
                protocol version without server-to-client requests, or gave an answer that does not fit. The
                last is a `ValueError`, too.
            TypeError: The protocol has no field for one of the schema's.
        """
        self._require_elicitation()
        form = Form.of(schema)
        requested = render_elicitation_schema(cast("type[ElicitSchemaModelT]", form))
        try:
            # Not through `elicit_form`: the model decides what fits, which may take more than its schema says.
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
        """Send the user to a URL; raises as `elicit` does."""
        self._require_elicitation()
        try:
            return await super().elicit_url(message, url, elicitation_id)
        except NoBackChannelError:
            raise ToolError(_NO_BACK_CHANNEL) from None

    def _require_elicitation(self) -> None:
        capabilities = self.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            raise ToolError(_NO_ELICITATION)
