"""The client behind `inspect`, `call`, `read` and `prompt`: to plugins loaded here, or to a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_host.cli.common import load_host, read_config
from mcp_host.errors import HostError, text_of

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import PaginatedResult

    from mcp_host.cli.remote import Remote
    from mcp_host.cli.terminal import Terminal

PageT = TypeVar("PageT", bound="PaginatedResult")

MOST_PAGES = 1000
"""Pages of one list that are read: a server whose list never ends is not asked for ever."""


@asynccontextmanager
async def client(
    config: Path | None, remote: Remote | None, disable: list[str] | None = None, terminal: Terminal | None = None
) -> AsyncIterator[Client]:
    """Yield a connected client; with a `terminal`, log messages are shown on it and questions asked.

    Raises:
        HostError: The server at the URL cannot be reached, refused a request, or the plugins here refuse to start.
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
            raise HostError(cause.error.message, where=remote.url if remote else "the request", hint=hint) from None
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
        connected = Client(remote.transport(), **options)
        try:
            await connected.__aenter__()
        except Exception as error:
            cause = _innermost(error)
            if isinstance(cause, HostError):
                raise cause from None
            raise HostError(
                f"cannot reach {remote.url}: {text_of(cause)}",
                where="command line: --url",
                hint="mcp-host run --transport http   (starts a server)",
            ) from error
        try:
            yield connected
        finally:
            await connected.__aexit__(None, None, None)
        return
    # Only trouble is of interest next to the answer: the log starts at warning.
    host = load_host(read_config(config, disable=disable), log_level="warning")

    from mcp_host.server.hostserver import HostServer

    # Only the handshake versions let a tool ask in the middle of a call.
    mode = "legacy" if "elicitation_callback" in options else "auto"
    async with host.running(), Client(HostServer(host), mode=mode, **options) as connected:
        yield connected


async def pages(ask: Callable[..., Awaitable[PageT]]) -> AsyncIterator[PageT]:
    """Yield every page that one of the client's `list_` methods gives.

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
        raise HostError(f"the server's list goes on after {MOST_PAGES} pages", where=getattr(ask, "__name__", ""))


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
