"""What stands in front of the SDK's HTTP endpoint: only whole, timely bodies that hold one message reach it.

The SDK limits a body's size and not its time, and does not refuse a request whose id is in use already.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import RequestBodyLimitMiddleware, StreamableHTTPSessionManager
from mcp.types import INTERNAL_ERROR, INVALID_REQUEST, JSONRPCError, JSONRPCRequest, RequestId
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_host.calls.outgoing import new_error_id, unexpected
from mcp_host.server.messages import ID_IN_USE, NotAMessageError, parse, refusal, to_json

logger = logging.getLogger(__name__)


def guard_bodies(manager: StreamableHTTPSessionManager, timeout: float) -> None:
    """Put the guard in front of a session manager's endpoint. A body may take `timeout` seconds to arrive."""
    checked = _Checked(manager)
    manager.asgi_app = RequestBodyLimitMiddleware(checked, manager.max_request_body_size)
    manager.asgi_app = _Timely(manager.asgi_app, timeout)  # type: ignore[assignment]


class _Timely:
    """ASGI app that answers 408 when the body is not there in time (RFC 9110, section 15.5.9)."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive, self._timeout)
        try:
            await self._app(scope, body.receive, send)
        except _TooSlowError:
            text = f"The body of the request did not arrive within {self._timeout:g} s"
            await _respond(408, refusal(INVALID_REQUEST, text), scope, receive, send, {"Connection": "close"})
        finally:
            body.timer.cancel()


class _TooSlowError(Exception):
    pass


class _Body:
    """A request's body on its way. `asyncio.timeout`, done by hand: every request pays for this."""

    def __init__(self, receive: Receive, timeout: float) -> None:
        self._receive = receive
        self._awaited_by: asyncio.Task[Any] | None = None
        self._late = False
        self.timer = asyncio.get_running_loop().call_later(timeout, self._be_late)

    async def receive(self) -> Message:
        if self.timer.cancelled():
            return await self._receive()
        if self._late:
            raise _TooSlowError
        self._awaited_by = task = asyncio.current_task()
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self._late and task is not None and not task.uncancel():
                raise _TooSlowError from None
            raise
        finally:
            self._awaited_by = None
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.timer.cancel()
        return message

    def _be_late(self) -> None:
        self._late = True
        if self._awaited_by is not None:
            self._awaited_by.cancel()


class _Checked:
    """ASGI app that hands a session manager what it can answer, and answers the rest itself.

    It takes the bodies of `RequestBodyLimitMiddleware`, which come in one piece. What the manager raises ends here,
    as an error response with an id that is in the log with the traceback.
    """

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager
        self._app: ASGIApp = manager.asgi_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id: RequestId | None = None
        transport = self._manager._server_instances.get(Headers(scope=scope).get("mcp-session-id", ""))
        first = await receive()
        if scope["method"] == "POST":
            if first["type"] != "http.request" or first.get("more_body", False):
                return  # The client left before it had sent all of it.
            try:
                message = parse(first["body"], "body")
            except NotAMessageError as error:
                await _respond(400, error.answer, scope, receive, send)
                return
            if isinstance(message, JSONRPCRequest):
                request_id = message.id
                if transport is not None and str(request_id) in transport._request_streams:
                    # The SDK would give this request's answer to the other.
                    await _respond(400, refusal(INVALID_REQUEST, ID_IN_USE, message.id), scope, receive, send)
                    return
        sending = _Sending(send, transport)
        try:
            await self._app(scope, _beginning_with(first, receive), sending)
        except Exception:
            error_id = new_error_id()
            logger.exception("an HTTP request crashed (error %s)", error_id)
            if not sending.begun:
                answer = refusal(INTERNAL_ERROR, unexpected("The request", error_id), request_id)
                await _respond(500, answer, scope, receive, send)


class _Sending:
    """An ASGI `send` that knows whether the response has begun.

    A request whose session was ended meanwhile is answered with 404 (spec: Streamable HTTP, Session Management); the
    SDK calls that an error of the server's.
    """

    def __init__(self, send: Send, transport: StreamableHTTPServerTransport | None) -> None:
        self._send = send
        self._transport = transport
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        if message.get("status") == 500 and self._transport is not None and self._transport.is_terminated:
            message = {**message, "status": 404}
        await self._send(message)


def _beginning_with(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _respond(
    status: int, answer: JSONRPCError, scope: Scope, receive: Receive, send: Send, headers: Any = None
) -> None:
    response = Response(to_json(answer), status, headers, "application/json")
    await response(scope, receive, send)
