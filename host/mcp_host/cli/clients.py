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

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Ask the server running at this URL. Default: load the plugins and ask them here."),
]


@asynccontextmanager
async def client(config: Path | None, url: str | None, disable: list[str] | None = None) -> AsyncIterator[Client]:
    """Yield a connected client.

    Raises:
        HostError: The server at `url` cannot be reached, or the plugins here refuse to start.
    """
    from mcp import Client

    options: dict[str, Any] = {}
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

    server = HostServer(host)
    async with host.running(), Client(server, **options) as connected:
        yield connected


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
