"""The client of `inspect`, `call`, `read` and `prompt`: to the plugins, loaded here, or to a running server's URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import typer

from mcp_host.cli.common import load_host, read_config
from mcp_host.errors import ErrorCode, HostError, NeedsTokenError, RequestFailedError, did_you_mean, text_of
from mcp_host.net.fields import VALUE, field_of

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import PaginatedResult

    from mcp_host.cli.terminal import Terminal

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Ask the server running at this URL. Default: load the plugins and ask them here."
    ),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME: VALUE", help="With --url: send this header too. May be repeated."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token-env", metavar="VARIABLE", help="With --url: send the value of this environment variable as the token."
    ),
]

PageT = TypeVar("PageT", bound="PaginatedResult")

MOST_PAGES = 1000
"""The most pages of one list that are read, because a server's list may never end."""


@dataclass(frozen=True)
class Remote:
    """A server with its URL. The headers may contain secrets, so nothing shows them."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def transport(self) -> AbstractAsyncContextManager[Any]:
        """Return the transport for a `Client`. Its requests have the headers, and it follows no redirects."""
        return _transport(self)


@asynccontextmanager
async def _transport(remote: Remote) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    # The timeouts of the SDK's own client: a server may keep the stream of a long call open.
    timeout = httpx2.Timeout(30.0, read=300.0)

    async def look(response: httpx2.Response) -> None:
        # The SDK's error does not contain the status.
        if response.status_code in (401, 403):
            needed = "another token" if "authorization" in response.request.headers else "a token"
            what = f"{remote.url} requires {needed}: HTTP {response.status_code}"
            raise NeedsTokenError(what, where="command line: --url", hint="--token-env VARIABLE   (sends its value)")

    async with (
        httpx2.AsyncClient(
            headers=dict(remote.headers), timeout=timeout, event_hooks={"response": [look]}
        ) as http_client,
        streamable_http_client(remote.url, http_client=http_client) as streams,
    ):
        yield streams


def remote(url: str | None, headers: Sequence[str] | None, token_env: str | None) -> Remote | None:
    """Return the server that the options name, or None for the plugins here.

    Raises:
        HostError: A header is not valid, the variable is not set, or there is no URL. The error shows no value.
    """
    if url is None:
        if headers or token_env:
            option = "--header" if headers else "--token-env"
            raise HostError(f"{option} needs --url", where=f"command line: {option}", hint="--url URL")
        return None
    given = dict(field_of(header, example="X-Tenant: acme") for header in headers or ())
    if token_env is not None:
        token = os.environ.get(token_env, "").strip()
        if not VALUE.fullmatch(token):
            wrong = "contains characters that a token cannot have" if token else "is not set"
            where = "command line: --token-env"
            raise HostError(f"{token_env} {wrong}", where=where, hint=f"export {token_env}=...")
        if any(name.lower() == "authorization" for name in given):
            raise HostError("two tokens", where="command line: --token-env", hint="without --header 'Authorization: '")
        given["Authorization"] = f"Bearer {token}"
    return Remote(url, given)


@asynccontextmanager
async def client(
    config: Path | None, remote: Remote | None, disable: list[str] | None = None, terminal: Terminal | None = None
) -> AsyncIterator[Client]:
    """Yield a connected client. A `terminal` shows its log messages and asks its questions.

    Raises:
        HostError: The server at the URL cannot be reached or refused a request, or the plugins here cannot be served.
    """
    from mcp import MCPError

    try:
        async with _connected(config, remote, disable, terminal) as connected:
            yield connected
    except (BaseExceptionGroup, MCPError) as error:
        # The client's task groups wrap whatever is raised inside them.
        cause = _innermost(error)
        if isinstance(cause, MCPError):
            hint = "mcp-host inspect   (shows what is served)"
            where = remote.url if remote else "the request"
            raise RequestFailedError(cause.error.message, where=where, hint=hint) from None
        raise cause from None


@asynccontextmanager
async def _connected(
    config: Path | None, remote: Remote | None, disable: list[str] | None, terminal: Terminal | None
) -> AsyncIterator[Client]:
    from mcp import Client

    options: dict[str, Any] = {}
    if terminal is not None:
        options = {"logging_callback": terminal.log, "log_level": "info"}
        if terminal.can_ask:
            options["elicitation_callback"] = terminal.ask
    if remote is not None:
        try:
            remote = await _at_endpoint(remote)
            connected = Client(remote.transport(), **options)
            await connected.__aenter__()
        except Exception as error:
            cause = _innermost(error)
            if isinstance(cause, HostError):
                raise cause from None
            raise HostError(
                f"cannot reach {remote.url}: {text_of(cause)}",
                where="command line: --url",
                hint="mcp-host run --transport http   (starts a server)",
                code=ErrorCode.UNREACHABLE,
            ) from error
        try:
            yield connected
        finally:
            await connected.__aexit__(None, None, None)
        return
    # Beside the answer, only problems matter: the log starts at warning.
    host = load_host(read_config(config, disable=disable), log_level="warning")

    from mcp_host.server.hostserver import HostServer

    # Only the handshake versions let a tool ask in the middle of a call.
    mode = "legacy" if "elicitation_callback" in options else "auto"
    async with host.running(), Client(HostServer(host), mode=mode, **options) as connected:
        yield connected


async def _at_endpoint(remote: Remote) -> Remote:
    """Return the server at its endpoint. The URL of a host without a path leads to it."""
    import httpx2

    if urlsplit(remote.url).path not in ("", "/"):
        return remote
    async with httpx2.AsyncClient(headers=dict(remote.headers), timeout=30.0) as http_client:
        answer = await http_client.get(remote.url, headers={"Accept": "application/json"})
    try:
        path = urlsplit(answer.json()["endpoint"]).path
    except (ValueError, KeyError, TypeError, AttributeError):
        return remote  # another server, whose endpoint may be at the root
    # Only the path: a page never sends the headers to another host.
    return replace(remote, url=urljoin(remote.url, path))


async def pages(ask: Callable[..., Awaitable[PageT]]) -> AsyncIterator[PageT]:
    """Yield each page that one of the client's `list_` methods returns.

    Raises:
        HostError: The list does not end.
    """
    page = await ask()
    yield page
    for _ in range(MOST_PAGES - 1):
        if page.next_cursor is None:
            return
        page = await ask(cursor=page.next_cursor)
        yield page
    if page.next_cursor is not None:
        raise HostError(f"the server's list has more than {MOST_PAGES} pages", where=getattr(ask, "__name__", ""))


def unknown(kind: str, name: str, known: Iterable[str]) -> HostError:
    """Return the error for a name that the server does not list."""
    what = f"no {kind} is called {name!r}{did_you_mean(name, known)}"
    return HostError(what, hint="mcp-host inspect", code=ErrorCode.UNKNOWN_NAME)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
