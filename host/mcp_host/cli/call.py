"""`mcp-host call`, `read` and `prompt`: one request from the shell."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from mcp_host.cli import completion
from mcp_host.cli.clients import client, pages
from mcp_host.cli.common import ConfigOption, JsonOption, command_stdout
from mcp_host.cli.output import json_text, print_json, write
from mcp_host.cli.remote import HeaderOption, Remote, TokenOption, UrlOption, remote
from mcp_host.cli.terminal import Terminal
from mcp_host.errors import HostError, did_you_mean
from mcp_host.system.texts import printable

ArgumentsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Arguments. KEY:=JSON passes a JSON value, KEY=@FILE a file's text."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write images and other binary content to this file; - is stdout."
    ),
]


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

    Progress and the tool's log messages go to stderr. A tool that asks the user something asks at the terminal;
    where there is none, it is told that nobody can be asked.
    """
    given = _input(input_json)
    server = remote(url, header, token_env)
    with command_stdout() as stdout:
        return asyncio.run(_call(tool, given, arguments or [], config, server, as_json, _Printer(stdout, output)))


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
        asyncio.run(_read(uri, config, server, as_json, _Printer(stdout, output)))


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
        asyncio.run(_prompt(name, arguments or [], config, server, as_json, _Printer(stdout)))


async def _call(
    name: str,
    given: Mapping[str, Any],
    pairs: list[str],
    config: Path | None,
    remote: Remote | None,
    as_json: bool,
    printer: _Printer,
) -> int:
    terminal = Terminal()
    async with client(config, remote, terminal=terminal) as connected:
        tools = {tool.name: tool async for page in pages(connected.list_tools) for tool in page.tools}
        if name not in tools:
            raise HostError(f"no tool is called {name!r}{did_you_mean(name, tools)}", hint="mcp-host inspect")
        arguments = {**given, **_arguments(pairs, tools[name].input_schema)}
        with terminal.showing_progress():
            result = await connected.call_tool(name, arguments, progress_callback=terminal.progress)
    if as_json:
        printer.json(result)
    elif result.is_error:
        for block in result.content:
            _Printer(sys.stderr).content(block)
    elif (lines := _structured(result)) is not None:
        printer.line(lines)
    else:
        for block in result.content:
            printer.content(block)
    return 1 if result.is_error else 0


async def _read(uri: str, config: Path | None, remote: Remote | None, as_json: bool, printer: _Printer) -> None:
    async with client(config, remote, terminal=Terminal()) as connected:
        result = await connected.read_resource(uri)
    if as_json:
        printer.json(result)
    else:
        for contents in result.contents:
            printer.content(contents)


async def _prompt(
    name: str, pairs: list[str], config: Path | None, remote: Remote | None, as_json: bool, printer: _Printer
) -> None:
    # Prompt arguments are text on the wire, whatever they look like.
    arguments = _arguments(pairs, None)
    async with client(config, remote, terminal=Terminal()) as connected:
        result = await connected.get_prompt(name, arguments)
    if as_json:
        printer.json(result)
    else:
        for message in result.messages:
            printer.line(f"[{message.role}]")
            printer.content(message.content)


def _structured(result: Any) -> str | None:
    """Return the JSON of a structured list of objects, which the text blocks only hold in pieces, else None."""
    content = result.structured_content
    items = content.get("result") if isinstance(content, dict) and len(content) == 1 else None
    if isinstance(items, list) and (not items or any(isinstance(item, dict | list) for item in items)):
        return json_text(items)
    return None


class _Printer:
    """Prints what a request gave: text, as it is unless a terminal shows it; binary content to a file, or as a note."""

    def __init__(self, stream: TextIO, output: Path | None = None) -> None:
        self._stream = stream
        self._output = output
        self._written = 0

    def line(self, text: str) -> None:
        text = text.removesuffix("\n")
        write(printable(text) if self._stream.isatty() else text, self._stream)

    def json(self, result: Any) -> None:
        print_json(result.model_dump(by_alias=True, mode="json", exclude_none=True), self._stream)

    def content(self, block: Any) -> None:
        """Print one content block of a result or message, or one content of a resource."""
        inner = getattr(block, "resource", block)
        text = getattr(inner, "text", None)
        data = getattr(inner, "data", None) or getattr(inner, "blob", None)
        if text is not None:
            self.line(text)
        elif data is not None:
            self._binary(base64.b64decode(data), getattr(inner, "mime_type", None) or "unknown type")
        else:
            self.line(f"{getattr(inner, 'name', '')} {getattr(inner, 'uri', '')}".strip())

    def _binary(self, content: bytes, mime_type: str) -> None:
        about = f"{mime_type}, {len(content)} bytes"
        if self._output is None:
            self.line(f"{about} (--output FILE writes it)")
        elif self._output == Path("-") and self._stream.isatty():
            raise HostError(
                f"binary content ({about}) is not written to a terminal",
                where="command line: --output",
                hint="--output FILE, or redirect stdout",
            )
        elif self._output == Path("-"):
            self._stream.flush()
            self._stream.buffer.write(content)
            self._stream.buffer.flush()
        else:
            self._written += 1
            stem = self._output.stem if self._written == 1 else f"{self._output.stem}-{self._written}"
            path = self._output.with_stem(stem)
            try:
                path.write_bytes(content)
            except OSError as error:
                raise HostError(f"cannot write {path}: {error.strerror}", where="command line: --output") from None
            self.line(f"{about}, written to {path}")


def _input(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return {}
    where = "command line: --input"
    hint = """--input '{"key": "value"}'"""
    try:
        data = _json(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise HostError(f"not JSON: {error}", where=where, hint=hint) from None
    if not isinstance(data, dict):
        raise HostError("not a JSON object", where=where, hint=hint)
    return data


def _arguments(pairs: Sequence[str], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read KEY=VALUE pairs against the schema of the arguments; without a schema every value is text.

    A value for a parameter that takes text only is text, any other is JSON where it can be.
    """
    properties = schema.get("properties", {}) if schema is not None else {}
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key.removesuffix(":"):
            raise HostError(f"{pair!r} is not KEY=VALUE", where="command line", hint="mcp-host call TOOL key=value")
        if key.endswith(":") and schema is not None:
            key = key[:-1]
            try:
                arguments[key] = _json(text)
            except ValueError as error:
                hint = f"{key}:='[1, 2]', or {key}=TEXT"
                raise HostError(f"the value of {key!r} is not JSON: {error}", where="command line", hint=hint) from None
            continue
        if text.startswith("@"):
            text = _file(key, Path(text[1:]))
        only_text = schema is None or _is_text(properties.get(key, {}), schema.get("$defs", {}))
        arguments[key] = text if only_text else _json_or_text(text)
    return arguments


def _file(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text"
        raise HostError(f"cannot read {path}: {reason}", where=f"command line: {key}") from None


def _is_text(schema: Any, definitions: Mapping[str, Any]) -> bool:
    """Whether a JSON Schema allows texts, and perhaps null, and nothing else."""
    if not isinstance(schema, dict):
        return False
    if "$ref" in schema:
        # One step: what pydantic refers to is a definition, never another reference.
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    if "anyOf" in schema:
        options = schema["anyOf"]
        return all(_is_text(option, definitions) or option.get("type") == "null" for option in options)
    if "enum" in schema:
        return all(isinstance(value, str) for value in schema["enum"])
    return bool(schema.get("type") == "string")


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _json_or_text(text: str) -> Any:
    try:
        return _json(text)
    except ValueError:
        return text
