"""The transport to a remote server: Streamable HTTP, and what is known of a server that does not speak it."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import Dispatcher
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.types import INTERNAL_ERROR

from mcp_host.config.values import URL
from mcp_host.errors import ConfigError, HostError
from mcp_host.net import ExchangeTimeoutError, ResponseTooLargeError, guarded_client
from mcp_host.upstream.child import LARGEST, ChildState
from mcp_host.upstream.failures import UnreachableError, innermost
from mcp_host.upstream.oauthclient import allowed_addresses
from mcp_host.upstream.tokens import BearerAuth, Tokens

_READ = 300.0
"""Seconds between two pieces of an answer. The deadline of a call is the host's."""

_HEADER = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

Send = Callable[..., Awaitable[httpx2.Response]]

_KINDS = ("application/json", "text/event-stream")


@dataclass(frozen=True)
class Address:
    """The URL of a server, without the user and the password in it. `shown` is the URL without secrets."""

    url: str = field(repr=False)
    shown: str
    user: str = field(default="", repr=False)
    """The user and the password of the URL, with a colon between them."""

    @classmethod
    def of(cls, url: str, *, shown: str) -> Address:
        """Return the parts of a URL.

        Raises:
            ConfigError: It is not a URL. That is seen only here if a secret is its beginning.
        """
        try:
            parsed = httpx2.URL(URL.check(url))
        except (ValueError, httpx2.InvalidURL):
            raise ConfigError(f"{shown} is not a URL such as https://example.com, with the secret in it") from None
        return cls(str(parsed.copy_with(userinfo=b"")), shown, unquote(parsed.userinfo))

    def headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of each request, with the user and the password (RFC 7617), unless they have others."""
        if not self.user or any(name.lower() == "authorization" for name in given):
            return dict(given)
        pair = self.user if ":" in self.user else f"{self.user}:"
        return {**given, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@asynccontextmanager
async def remote_dispatcher(
    address: Address, headers: Mapping[str, str], state: ChildState, tokens: Tokens | None = None
) -> AsyncIterator[Dispatcher[Any]]:
    """Connect to a remote server for the block, and yield what sends requests to it.

    Only the host and port of the URL may have a private address. Nothing is sent without a token if there are `tokens`.

    Raises:
        HostError: It cannot be reached; an `UnreachableError` if that may change.
    """

    for name, value in headers.items():
        if not _HEADER.fullmatch(value):
            raise ConfigError(f"the value of the header {name} has a line break or a control character in it")

    async def note(response: httpx2.Response) -> None:
        state.answered = _unusual(response)
        state.is_busy = response.status_code >= 500 or response.status_code == 429

    client = guarded_client(
        allow=allowed_addresses(address.url),
        headers=address.headers(headers),
        timeout=_READ,
        max_bytes=LARGEST,
        streams=True,
    )
    client.event_hooks = {"response": [note]}
    # The SDK ends the session when an answer cannot be read.
    client.send = partial(_sent, client.send)  # type: ignore[method-assign]
    try:
        async with AsyncExitStack() as stack:
            if tokens is not None:
                stack.push_async_callback(tokens.aclose)
                await tokens.token()
                client.auth = BearerAuth(tokens, state)
            await stack.enter_async_context(client)
            read, write = await stack.enter_async_context(
                streamable_http_client(address.url, http_client=client, max_sse_event_size=LARGEST)
            )
            yield JSONRPCDispatcher(read, write)
    except Exception as error:
        inner = innermost(error)
        if isinstance(inner, httpx2.TransportError):
            raise _explained(address.shown, inner) from error
        raise


async def _sent(send: Send, request: httpx2.Request, **options: Any) -> httpx2.Response:
    """Send a request. One whose answer is too large, or does not come, is answered with an error, and fails alone."""
    try:
        response = await send(request, **options)
        try:
            if _kind(response) == "application/json":
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
    except (ResponseTooLargeError, ExchangeTimeoutError, httpx2.ReadTimeout) as error:
        request_id = _id_of(request)
        if request_id is None:
            raise
        if isinstance(error, ResponseTooLargeError):
            text = f"the answer of the server is larger than {error.limit} bytes"
        else:
            text = f"the server has sent nothing for {_READ:g} s"
        failed = {"jsonrpc": "2.0", "id": request_id, "error": {"code": INTERNAL_ERROR, "message": text}}
        return httpx2.Response(200, json=failed, request=request)
    return response


def _id_of(request: httpx2.Request) -> str | int | None:
    """Return the id of the JSON-RPC request in an HTTP request, if it has one."""
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    return message.get("id") if isinstance(message, dict) and "method" in message else None


def _kind(response: httpx2.Response) -> str:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


def _unusual(response: httpx2.Response) -> str:
    """Return what is unusual about an answer, or an empty text if it may be one of an MCP server."""
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.is_redirect:
        return f"it answered {status}, to {response.headers.get('location', '')[:200]}, which is not followed"
    kind = _kind(response)
    if response.status_code == 401:
        return f'it answered {status}: it requires a token, or refuses this one (with OAuth: auth = "oauth")'
    if response.is_error:
        return f"it answered {status}"
    if response.request.method == "POST" and response.status_code == 200 and kind not in _KINDS:
        return f"it answered with {kind or 'no media type'}, which is no MCP"
    return ""


def _explained(url: str, error: httpx2.TransportError) -> HostError:
    """Return the error about a connection that failed. What the operating system said is at the end of its causes."""
    cause: BaseException = error
    reason = str(error) or type(error).__name__
    while (next_cause := cause.__cause__ or cause.__context__) is not None:
        cause = next_cause
        if isinstance(cause, ssl.SSLError):
            return HostError(f"{url} cannot be reached: {cause.reason or cause}")
        if isinstance(cause, OSError) and cause.strerror:
            # The texts of asyncio's own errors repeat the address.
            reason = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror
    return UnreachableError(f"{url} cannot be reached: {reason}")
