"""`mcp-host call`, `read` and `prompt`: one request from the shell."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from mcp_host.cli.clients import UrlOption, client
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json
from mcp_host.errors import HostError, did_you_mean
from mcp_host.logs import printable
from mcp_host.stdout import own_stdout

ArgumentsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Arguments. KEY:=JSON passes a JSON value, KEY=@FILE a file's text."),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write an image or other binary content to this file.")
]


def call(
    tool: Annotated[str, typer.Argument(help="The tool's name.")],
    arguments: ArgumentsArgument = None,
    input_json: Annotated[
        str | None, typer.Option("--input", "-i", help="All arguments as one JSON object; - reads it from stdin.")
    ] = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> int:
    """Call a tool and print its result; progress goes to stderr. Exit code 1: the tool reported an error.

    mcp-host call describe_dataset dataset=penguins
    """
    given = _input(input_json)
    with own_stdout() as stdout:
        return asyncio.run(_call(tool, given, arguments or [], config, url, as_json, output, stdout))


def read(
    uri: Annotated[str, typer.Argument(help="The resource's URI.")],
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
) -> int:
    """Read a resource and print it."""
    with own_stdout() as stdout:
        return asyncio.run(_read(uri, config, url, as_json, output, stdout))


def prompt(
    name: Annotated[str, typer.Argument(help="The prompt's name.")],
    arguments: ArgumentsArgument = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Render a prompt and print its messages."""
    with own_stdout() as stdout:
        return asyncio.run(_prompt(name, arguments or [], config, url, as_json, stdout))


async def _call(
    name: str,
    given: Mapping[str, Any],
    pairs: list[str],
    config: Path | None,
    url: str | None,
    as_json: bool,
    output: Path | None,
    stdout: TextIO,
) -> int:
    async with client(config, url) as connected:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
        if name not in tools:
            raise HostError(f"no tool is called {name!r}{did_you_mean(name, tools)}", mend="mcp-host inspect")
        arguments = {**given, **_arguments(pairs, tools[name].input_schema.get("properties", {}))}
        async with _requesting(), _progress() as show:
            result = await connected.call_tool(name, arguments, progress_callback=show)
    if as_json:
        print_json(result.model_dump(by_alias=True, mode="json", exclude_none=True), stdout)
    else:
        for block in result.content:
            _print_content(block, output, sys.stderr if result.is_error else stdout)
    return 1 if result.is_error else 0


async def _read(
    uri: str, config: Path | None, url: str | None, as_json: bool, output: Path | None, stdout: TextIO
) -> int:
    async with client(config, url) as connected, _requesting():
        result = await connected.read_resource(uri)
    if as_json:
        print_json(result.model_dump(by_alias=True, mode="json", exclude_none=True), stdout)
    else:
        for contents in result.contents:
            _print_content(contents, output, stdout)
    return 0


async def _prompt(
    name: str, pairs: list[str], config: Path | None, url: str | None, as_json: bool, stdout: TextIO
) -> int:
    async with client(config, url) as connected, _requesting():
        # Prompt arguments are text on the wire, whatever they look like.
        result = await connected.get_prompt(name, {key: str(value) for key, value in _arguments(pairs, {}).items()})
    if as_json:
        print_json(result.model_dump(by_alias=True, mode="json", exclude_none=True), stdout)
    else:
        for message in result.messages:
            stdout.write(f"[{message.role}]\n")
            _print_content(message.content, None, stdout)
    return 0


@asynccontextmanager
async def _requesting() -> AsyncIterator[None]:
    """Turn the server's refusal of a request into the one form of error."""
    from mcp import MCPError

    try:
        yield
    except MCPError as error:
        raise HostError(
            error.error.message, where="the server", mend="mcp-host inspect   (shows what is served)"
        ) from None


@asynccontextmanager
async def _progress() -> AsyncIterator[Any]:
    """Yield a progress callback that shows a bar on a terminal, and lines elsewhere, on stderr."""
    if not sys.stderr.isatty():

        async def line(progress: float, total: float | None, message: str | None) -> None:
            of = f"{progress:g}/{total:g}" if total is not None else f"{progress:g}"
            sys.stderr.write(printable(f"progress {of} {message or ''}".rstrip()) + "\n")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None

        async def show(progress: float, total: float | None, message: str | None) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task("", total=total)
            bar.update(task, completed=progress, total=total, description=printable(message or ""))

        yield show


def _input(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return {}
    where = "command line: --input"
    try:
        data = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise HostError(f"not JSON: {error}", where=where, mend="""--input '{"key": "value"}'""") from None
    if not isinstance(data, dict):
        raise HostError("not a JSON object", where=where, mend="""--input '{"key": "value"}'""")
    return data


def _arguments(pairs: list[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Read KEY=VALUE pairs; a value for a parameter that takes text only is text, any other is JSON where it can be."""
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise HostError(f"{pair!r} is not KEY=VALUE", where="command line", mend="mcp-host call TOOL key=value")
        if key.endswith(":"):
            key = key[:-1]
            try:
                arguments[key] = json.loads(text)
            except ValueError as error:
                raise HostError(f"the value of {key!r} is not JSON: {error}", where="command line") from None
            continue
        if text.startswith("@"):
            try:
                text = Path(text[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise HostError(f"cannot read {text[1:]}: {error}", where=f"command line: {key}") from None
        arguments[key] = text if _is_text(properties.get(key, {})) else _json_or_text(text)
    return arguments


def _is_text(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    if "anyOf" in schema:
        return all(_is_text(option) or option.get("type") == "null" for option in schema["anyOf"])
    if "enum" in schema:
        return all(isinstance(value, str) for value in schema["enum"])
    return schema.get("type") == "string"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_content(block: Any, output: Path | None, stream: TextIO) -> None:
    """Print one content block or resource content: text as it is, binaries to the file asked for or as a note."""
    inner = getattr(block, "resource", block)
    text = getattr(inner, "text", None)
    data = getattr(inner, "data", None) or getattr(inner, "blob", None)
    mime_type = getattr(inner, "mime_type", None) or "unknown type"
    if text is not None:
        stream.write(text if text.endswith("\n") else text + "\n")
    elif data is not None:
        content = base64.b64decode(data)
        if output is not None:
            output.write_bytes(content)
            stream.write(f"{mime_type}, {len(content)} bytes, written to {output}\n")
        else:
            stream.write(f"{mime_type}, {len(content)} bytes (--output FILE writes it)\n")
    else:
        stream.write(f"{getattr(inner, 'name', '')} {getattr(inner, 'uri', '')}".strip() + "\n")
