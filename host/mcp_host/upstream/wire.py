"""One session's messages: a dispatcher with what a forwarded call needs put into them, and taken out."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

import anyio
import anyio.abc
import mcp.types as types
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED
from mcp_types import CLIENT_CAPABILITIES_META_KEY, SERVER_INFO_META_KEY
from pydantic import BaseModel, ValidationError

from mcp_host.errors import describe_validation

Report = tuple[float, float | None, str | None]
"""Progress, total and message."""


class Forwarded(Protocol):
    """The call that a request belongs to."""

    @property
    def capabilities(self) -> types.ClientCapabilities:
        """What the calling client can do."""

    @property
    def on_progress(self) -> Callable[[Report], None] | None:
        """Gets each report of progress, in the order of the wire and before the result; None if nobody asked."""


forwarded: ContextVar[Forwarded | None] = ContextVar("mcp_host.forwarded", default=None)

_LISTS: Final[Mapping[str, tuple[str, type[BaseModel]]]] = {
    "tools/list": ("tools", types.Tool),
    "resources/list": ("resources", types.Resource),
    "resources/templates/list": ("resourceTemplates", types.ResourceTemplate),
    "prompts/list": ("prompts", types.Prompt),
}


class Wire:
    """A dispatcher for a `ClientSession`.

    A request of 2026-07-28 gets the calling client's capabilities instead of the host's. Progress is passed on in the
    order in which it came. An item of a list that the protocol does not know is left out.
    """

    def __init__(self, inner: Dispatcher[Any]) -> None:
        self._inner = inner
        self.left_out: list[str] = []
        """What was left out of lists, a sentence each."""
        self._numbers = itertools.count(1)
        self._reporting: dict[object, Callable[[Report], None]] = {}
        self.ended = asyncio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        call = forwarded.get()
        options: CallOptions = {**(opts or {})}
        number = None
        if call is not None:
            meta = (params or {}).get("_meta") or {}
            if CLIENT_CAPABILITIES_META_KEY in meta:
                own = call.capabilities.model_dump(by_alias=True, mode="json", exclude_none=True)
                params = {**(params or {}), "_meta": {**meta, CLIENT_CAPABILITIES_META_KEY: own}}
            if call.on_progress is not None:
                # Our own id is the progress token, too. The SDK's callbacks would come late and in any order.
                number = f"h{next(self._numbers)}"
                options |= {"request_id": number, "on_progress": _nothing}
                self._reporting[number] = call.on_progress
        try:
            result = await self._inner.send_raw_request(method, params, options)
        finally:
            if number is not None:
                del self._reporting[number]
        if method != "server/discover" and SERVER_INFO_META_KEY in (result.get("_meta") or {}):
            # It would name the other server to a client, as the one that the client is connected to.
            meta = {key: value for key, value in result["_meta"].items() if key != SERVER_INFO_META_KEY}
            result = {**result, "_meta": meta} if meta else {key: v for key, v in result.items() if key != "_meta"}
        if method in _LISTS:
            key, model = _LISTS[method]
            items = result.get(key)
            if isinstance(items, list):
                result = {**result, key: [item for item in items if self._is_sound(method, model, item)]}
        return result

    def _is_sound(self, method: str, model: type[BaseModel], item: Any) -> bool:
        try:
            model.model_validate(item, by_name=False)
        except ValidationError as error:
            name = (item.get("name") or item.get("uri")) if isinstance(item, dict) else item
            self.left_out.append(f"{method}: {str(name)[:100]!r} is left out: {describe_validation(error)}")
            return False
        return True

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        await self._inner.notify(method, params, opts)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        def intercept(method: str, params: Mapping[str, Any] | None) -> bool:
            if method == "notifications/progress":
                self._report(params or {})
                return True
            return on_notify_intercept is not None and on_notify_intercept(method, params)

        try:
            await self._inner.run(on_request, on_notify, intercept, task_status=task_status)
        finally:
            self.ended.set()

    def _report(self, params: Mapping[str, Any]) -> None:
        """Pass progress on. What comes after the result of its call, or fits no call, is passed over."""
        report = self._reporting.get(params.get("progressToken"))
        progress, total, message = params.get("progress"), params.get("total"), params.get("message")
        if report is None or not isinstance(progress, int | float):
            return
        report(
            (
                progress,
                total if isinstance(total, int | float) else None,
                message if isinstance(message, str) else None,
            )
        )


def means_closed(error: MCPError) -> bool:
    """Return whether an error means that the connection ended. Servers use the same code for errors of their own."""
    ours = error.message == "Connection closed" or error.message.startswith("SSE stream ")
    ours &= "byte limit" not in error.message  # an event was too large, which ends only its call
    return error.code == CONNECTION_CLOSED and ours


_LOST: Final = re.compile(
    r"(bad request: |not found: )?"
    r"(session (not found|terminated|expired)|(invalid|unknown|missing) session( id)?|no valid session id provided|"
    r"server not initialized)\.?",
    re.IGNORECASE,
)
"""How servers over HTTP answer when they do not know a session, for example after they were started again."""


def means_lost(error: MCPError) -> bool:
    """Return whether an error means that the server does not know the session. It has not executed the request."""
    return _LOST.fullmatch(error.message.strip()) is not None


async def _nothing(progress: float, total: float | None, message: str | None) -> None:
    """Make the SDK send a progress token. The reports are taken before they get here."""
