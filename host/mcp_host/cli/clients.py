"""The client behind `inspect`, `call`, `read` and `prompt`: to plugins loaded here, or to a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.common import load_host, read_config
from mcp_host.errors import HostError, text_of

if TYPE_CHECKING:
    from mcp import Client

    from mcp_host.cli.terminal import Terminal

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Ask the server running at this URL. Default: load the plugins and ask them here."
    ),
]


@asynccontextmanager
async def client(
    config: Path | None, url: str | None, disable: list[str] | None = None, terminal: Terminal | None = None
) -> AsyncIterator[Client]:
    """Yield a connected client; with a `terminal`, log messages are shown on it and questions asked.

    Raises:
        HostError: The server at `url` cannot be reached, refused a request, or the plugins here refuse to start.
    """
    from mcp import MCPError

    try:
        async with _connected(config, url, disable, terminal) as connected:
            yield connected
    except (BaseExceptionGroup, MCPError) as error:
        # The client's task groups wrap whatever is raised inside them.
        cause = _innermost(error)
        if isinstance(cause, MCPError):
            mend = "mcp-host inspect   (shows what is served)"
            raise HostError(cause.error.message, where=url or "the request", mend=mend) from None
        raise cause from None


@asynccontextmanager
async def _connected(
    config: Path | None, url: str | None, disable: list[str] | None, terminal: Terminal | None
) -> AsyncIterator[Client]:
    from mcp import Client

    options: dict[str, Any] = {}
    if terminal is not None:
        options = {"logging_callback": terminal.log, "log_level": "info"}
        if terminal.can_ask:
            options["elicitation_callback"] = terminal.ask
    if url is not None:
        connected = Client(url, **options)
        try:
            await connected.__aenter__()
        except Exception as error:
            raise HostError(
                f"cannot reach {url}: {text_of(_innermost(error))}",
                where="command line: --url",
                mend="mcp-host run --transport http   (starts a server)",
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


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
