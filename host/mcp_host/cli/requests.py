"""Shared by `call`, `read` and `prompt`: how arguments are read, and how a result is printed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from mcp_host.cli.output import print_json, write
from mcp_host.cli.outputfile import refuse_unwritable, write_output
from mcp_host.errors import HostError
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


class Printer:
    """Prints a result. Text is escaped for a terminal only. Binary content goes to a file, or is only described."""

    def __init__(self, stream: TextIO, output: Path | None = None) -> None:
        if output is not None and output != Path("-"):
            # Before the request: a call is not repeated because its result could not be written.
            refuse_unwritable(output, default="output")
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
            write_output(path, content)
            self.line(f"{about}, written to {path}")


def read_arguments(pairs: Sequence[str], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read KEY=VALUE pairs for the schema of the arguments. Without a schema, every value is text.

    A value for a parameter that takes only text is text. Any other value is read as JSON, or as text if it is no JSON.
    A parameter that takes only lists also takes `1,2,3`, and several values one after the other.
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
                arguments[key] = read_json(text)
            except ValueError as error:
                hint = f"{key}:='[1, 2]', or {key}=TEXT"
                raise HostError(f"the value of {key!r} is not JSON: {error}", where="command line", hint=hint) from None
            continue
        if text.startswith("@"):
            text = _file(key, Path(text[1:]))
        definitions = schema.get("$defs", {}) if schema is not None else {}
        if schema is None or _is_text(properties.get(key, {}), definitions):
            arguments[key] = text
        elif (items := _items(properties.get(key, {}), definitions)) is not None:
            listed = _list(text, items, definitions)
            # A list may also be given one item at a time.
            before = arguments.get(key)
            arguments[key] = [*before, *listed] if isinstance(before, list) and isinstance(listed, list) else listed
        else:
            arguments[key] = _json_or_text(text)
    return arguments


def _list(text: str, items: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the value for a parameter that takes only lists: JSON, or items with commas between them."""
    found = _json_or_text(text)
    if isinstance(found, list) or text == "":
        return found
    parts = [part.strip() for part in text.split(",")]
    return parts if _is_text(items, definitions) else [_json_or_text(part) for part in parts]


def _items(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the schema of the items if a JSON Schema allows only lists and null, else None."""
    if not isinstance(schema, dict):
        return None
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if len(options) != 1 or options[0].get("type") != "array":
        return None
    return options[0].get("items", {})


def _file(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text"
        raise HostError(f"cannot read {path}: {reason}", where=f"command line: {key}") from None


def _is_text(schema: Any, definitions: Mapping[str, Any]) -> bool:
    """Return whether a JSON Schema allows nothing but texts and null."""
    if not isinstance(schema, dict):
        return False
    if "$ref" in schema:
        # One step is enough: pydantic's references point to definitions, never to another reference.
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    if "anyOf" in schema:
        options = schema["anyOf"]
        return all(_is_text(option, definitions) or option.get("type") == "null" for option in options)
    if "enum" in schema:
        return all(isinstance(value, str) for value in schema["enum"])
    return bool(schema.get("type") == "string")


def read_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _json_or_text(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text
