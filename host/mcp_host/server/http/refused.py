"""Gives observers the HTTP requests to the MCP endpoint that are refused before they are a request of the protocol."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_host.api import EndReason
from mcp_host.calls.observers import Observers

_SEEN: Final = "mcp_host.seen"
"""The key of an ASGI scope under which it is noted that the request reached the protocol."""

_REASONS: Final[dict[int, EndReason]] = {
    401: "denied",
    403: "denied",
    404: "unknown",
    408: "timed-out",
    413: "too-large",
    421: "denied",
    429: "busy",
    503: "busy",
}


async def observed(app: ASGIApp, observers: Observers, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app. If it answers with an error and no request of the protocol was seen, note the end of `http/POST`."""
    seen: list[None] = []
    status = 0

    async def note_status(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        await send(message)

    ending = observers.request(f"http/{scope['method']}", None)
    await app({**scope, _SEEN: seen}, receive, note_status)
    if status >= 400 and not seen:
        with ending:
            ending.reason = _REASONS.get(status, "bad-arguments" if status < 500 else "crashed")


def note_seen(request: Any) -> None:
    """Note that an HTTP request holds a request of the protocol, which is an event of its own."""
    seen = request.scope.get(_SEEN) if request is not None else None
    if seen is not None:
        seen.append(None)
