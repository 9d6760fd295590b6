"""`mcp-host read`: reads one resource from the shell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.client import HeaderOption, Remote, TokenOption, UrlOption, client, remote
from mcp_host.cli.common import ConfigOption, JsonOption, command_stdout
from mcp_host.cli.requests import OutputOption, Printer
from mcp_host.cli.terminal import Terminal
from mcp_host.errors import ErrorCode, HostError

_UNKNOWN = (-32602, -32002)
"""How servers answer for a URI that they do not serve: since 2026-07-28 (SEP-2164), and before."""


def read(
    uri: Annotated[str, typer.Argument(metavar="URI", help="The resource's URI.", autocompletion=completion.resources)],
    config: ConfigOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> None:
    """Read a resource and print it."""
    server = remote(url, header, token_env)
    with command_stdout() as stdout:
        asyncio.run(_read(uri, config, server, as_json, Printer(stdout, output)))


async def _read(uri: str, config: Path | None, remote: Remote | None, as_json: bool, printer: Printer) -> None:
    from mcp import MCPError

    async with client(config, remote, terminal=Terminal()) as connected:
        try:
            result = await connected.read_resource(uri)
        except MCPError as error:
            if error.error.code not in _UNKNOWN:
                raise
            where = remote.url if remote is not None else "the request"
            hint = "mcp-host inspect   (shows what is served)"
            raise HostError(error.error.message, where=where, hint=hint, code=ErrorCode.UNKNOWN_NAME) from None
    if as_json:
        printer.json(result)
    else:
        for contents in result.contents:
            printer.content(contents)
