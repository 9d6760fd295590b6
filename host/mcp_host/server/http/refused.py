"""Reports HTTP requests to observers that the MCP endpoint refused before it read a request of the protocol."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_host.api import EndReason
from mcp_host.calls.observers import Observers

_SEEN: Final = "mcp_host.seen"
"""The key of an ASGI scope for the note that the request reached the protocol."""

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
    """Run the app. If it answers with an error before it read a request of the protocol, report that to observers."""
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
    """Note that an HTTP request has a request of the protocol, which has its own event."""
    seen = request.scope.get(_SEEN) if request is not None else None
    if seen is not None:
        seen.append(None)
