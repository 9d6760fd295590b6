"""`mcp-host call`: calls one tool from the shell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mcp_host.cli import completion
from mcp_host.cli.client import HeaderOption, Remote, TokenOption, UrlOption, client, pages, remote, unknown
from mcp_host.cli.common import ConfigOption, JsonOption, command_stdout
from mcp_host.cli.output import json_text
from mcp_host.cli.requests import ArgumentsArgument, OutputOption, Printer, read_arguments, read_json
from mcp_host.cli.terminal import Terminal
from mcp_host.errors import HostError


def call(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool's name.", autocompletion=completion.tools)],
    arguments: ArgumentsArgument = None,
    input_json: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON", help="All arguments as one JSON object; - reads it from stdin."),
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    token_env: TokenOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> int:
    """Call a tool and print its result.

    Progress and the tool's log messages go to stderr. A tool that asks the user something asks at the terminal.
    Without a terminal, the tool gets an error when it asks.
    """
    given = _input(input_json)
    server = remote(url, header, token_env)
    with command_stdout() as stdout:
        return asyncio.run(_call(tool, given, arguments or [], config, server, as_json, Printer(stdout, output)))


async def _call(
    name: str,
    given: Mapping[str, Any],
    pairs: list[str],
    config: Path | None,
    remote: Remote | None,
    as_json: bool,
    printer: Printer,
) -> int:
    terminal = Terminal()
    async with client(config, remote, terminal=terminal) as connected:
        tools = {tool.name: tool async for page in pages(connected.list_tools) for tool in page.tools}
        if name not in tools:
            raise unknown("tool", name, tools)
        arguments = {**given, **read_arguments(pairs, tools[name].input_schema)}
        with terminal.showing_progress():
            result = await connected.call_tool(name, arguments, progress_callback=terminal.progress)
    if as_json:
        printer.json(result)
    elif result.is_error:
        for block in result.content:
            Printer(sys.stderr).content(block)
    elif (lines := _structured(result)) is not None:
        printer.line(lines)
    else:
        for block in result.content:
            printer.content(block)
    return 1 if result.is_error else 0


def _structured(result: Any) -> str | None:
    """Return the JSON of a structured list of objects, or None. The text blocks have only one object each."""
    content = result.structured_content
    items = content.get("result") if isinstance(content, dict) and len(content) == 1 else None
    if isinstance(items, list) and (not items or any(isinstance(item, dict | list) for item in items)):
        return json_text(items)
    return None


def _input(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return {}
    where = "command line: --input"
    hint = """--input '{"key": "value"}'"""
    try:
        data = read_json(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise HostError(f"not JSON: {error}", where=where, hint=hint) from None
    if not isinstance(data, dict):
        raise HostError("not a JSON object", where=where, hint=hint)
    return data
