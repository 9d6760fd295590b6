"""`mcp-host prompt`: renders one prompt from the shell."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.client import HeaderOption, Remote, TokenOption, UrlOption, client, pages, remote, unknown
from mcp_host.cli.common import ConfigOption, JsonOption, command_stdout
from mcp_host.cli.requests import ArgumentsArgument, Printer, read_arguments
from mcp_host.cli.terminal import Terminal


def prompt(
    name: Annotated[
        str, typer.Argument(metavar="PROMPT", help="The prompt's name.", autocompletion=completion.prompts)
    ],
    arguments: ArgumentsArgument = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Render a prompt and print its messages."""
    server = remote(url, header, token_env)
    with command_stdout() as stdout:
        asyncio.run(_prompt(name, arguments or [], config, server, as_json, Printer(stdout)))


async def _prompt(
    name: str, pairs: list[str], config: Path | None, remote: Remote | None, as_json: bool, printer: Printer
) -> None:
    # The protocol sends each prompt argument as text.
    arguments = read_arguments(pairs, None)
    async with client(config, remote, terminal=Terminal()) as connected:
        names = [each.name async for page in pages(connected.list_prompts) for each in page.prompts]
        if name not in names:
            raise unknown("prompt", name, names)
        result = await connected.get_prompt(name, arguments)
    if as_json:
        printer.json(result)
    else:
        for message in result.messages:
            printer.line(f"[{message.role}]")
            printer.content(message.content)
