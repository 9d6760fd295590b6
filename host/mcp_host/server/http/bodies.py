"""Checks bodies: they must arrive in time and be complete, and for the SDK's endpoint contain one message.

The SDK limits the size of a body but not its time, and accepts a request whose id is in use.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
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


def check_bodies(manager: StreamableHTTPSessionManager, timeout: float) -> None:
    """Put the checks in front of a session manager's endpoint. A body may take `timeout` seconds to arrive."""
    checked = _MessageCheck(manager)
    manager.asgi_app = RequestBodyLimitMiddleware(checked, manager.max_request_body_size)
    manager.asgi_app = BodyTimeout(manager.asgi_app, timeout, _too_slow)  # type: ignore[assignment]


class BodyTimeout:
    """ASGI app that answers 408 if the body does not arrive in time (RFC 9110, section 15.5.9).

    `answer` returns the content of this answer, and its media type.
    """

    def __init__(self, app: ASGIApp, timeout: float, answer: Callable[[str], tuple[str, str]]) -> None:
        self._app = app
        self._timeout = timeout
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._timeout)
        try:
            await self._app(scope, body.receive, send)
        except _TooSlowError:
            content, media_type = self._answer(f"The body of the request did not arrive within {self._timeout:g} s")
            response = Response(content, 408, {"Connection": "close"}, media_type)
            await response(scope, receive, send)
        finally:
            body.timer.cancel()


class _TooSlowError(Exception):
    pass


class _Body:
    """Receives a request's body with a timeout. Faster than `asyncio.timeout`, because every request runs this."""

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


class _MessageCheck:
    """ASGI app that passes valid messages to a session manager and answers the others with an error.

    `RequestBodyLimitMiddleware` is in front of it and sends each body in one piece. An exception of the manager becomes
    an error response with an id. The log has the same id with the traceback.
    """

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager
        self._app: ASGIApp = manager.asgi_app
        self._in_flight: set[tuple[str, type, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id: RequestId | None = None
        scope = {**scope, "headers": [_lowered(*header) for header in scope["headers"]]}
        session = Headers(scope=scope).get("mcp-session-id", "")
        transport = self._manager._server_instances.get(session)
        first = await receive()
        alias: str | None = None
        if scope["method"] == "POST":
            if first["type"] != "http.request" or first.get("more_body", False):
                return  # The client disconnected before the body was complete.
            try:
                message = parse(first["body"], "body")
            except NotAMessageError as error:
                await _respond(400, error.answer, scope, receive, send)
                return
            if isinstance(message, JSONRPCRequest):
                request_id = message.id
                if transport is not None and str(request_id) in transport._request_streams:
                    # The SDK would send this request's response to the other request, also if that one's id has the
                    # other type: 500 and "500" are two ids.
                    types = {kind for own, kind, text in self._in_flight if (own, text) == (session, str(request_id))}
                    if not types or type(request_id) in types:
                        await _respond(400, refusal(INVALID_REQUEST, ID_IN_USE, message.id), scope, receive, send)
                        return
                    alias = secrets.token_hex(16)
                    body = message.model_copy(update={"id": alias}).model_dump_json(by_alias=True, exclude_unset=True)
                    first = {**first, "body": body.encode()}
        sending = _Sending(send, transport, alias, request_id)
        used = (session, type(request_id), str(request_id))
        self._in_flight.add(used)
        try:
            await self._app(scope, _beginning_with(first, receive), sending)
        except Exception:
            error_id = new_error_id()
            logger.exception("an HTTP request crashed (error %s)", error_id)
            if not sending.begun:
                answer = refusal(INTERNAL_ERROR, unexpected("The request", error_id), request_id)
                await _respond(500, answer, scope, receive, send)
        finally:
            self._in_flight.discard(used)


class _Sending:
    """An ASGI `send` that knows whether the response has begun.

    A request whose session has ended is answered with 404 (spec: Streamable HTTP, Session Management). The SDK answers
    it with 500. With an `alias`, the response to the request that got this id has its own id again.
    """

    def __init__(
        self,
        send: Send,
        transport: StreamableHTTPServerTransport | None,
        alias: str | None,
        request_id: RequestId | None,
    ) -> None:
        self._send = send
        self._alias = f'"id":"{alias}"'.encode() if alias is not None else None
        self._own = f'"id":{json.dumps(request_id)}'.encode()
        self._transport = transport
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        if message.get("status") == 500 and self._transport is not None and self._transport.is_terminated:
            message = {**message, "status": 404}
        if self._alias is not None:
            if message["type"] == "http.response.start":
                # The own id has another length.
                headers = [header for header in message["headers"] if header[0] != b"content-length"]
                message = {**message, "headers": headers}
            else:
                message = {**message, "body": message.get("body", b"").replace(self._alias, self._own)}
        await self._send(message)


def _lowered(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header with a media type in lower case: the SDK compares case, HTTP does not (RFC 9110, 8.3.1)."""
    return name, value.lower() if name in (b"content-type", b"accept") else value


def _beginning_with(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _too_slow(text: str) -> tuple[str, str]:
    return to_json(refusal(INVALID_REQUEST, text)), "application/json"


async def _respond(status: int, answer: JSONRPCError, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(to_json(answer), status, media_type="application/json")
    await response(scope, receive, send)
