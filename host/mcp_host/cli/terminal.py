"""A running request at the terminal: shows its progress and log messages, and asks its questions (elicitation)."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from mcp_host.cli.live import progress_bar
from mcp_host.cli.output import write
from mcp_host.system.texts import one_line, printable

if TYPE_CHECKING:
    from mcp.types import ElicitRequestParams, ElicitResult, LoggingMessageNotificationParams
    from rich.progress import Progress

_YES, _NO = ("y", "yes", "true", "1"), ("n", "no", "false", "0")


class Terminal:
    """stderr and stdin during one request. Progress is a bar on a terminal and lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None

    @property
    def can_ask(self) -> bool:
        """Whether a person can answer: both stdin and stderr are terminals."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    @contextmanager
    def showing_progress(self) -> Iterator[None]:
        """Show the progress that is reported during the block. The bar disappears at its end."""
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Show one report of progress. A callback for the client."""
        if not sys.stderr.isatty():
            of = f"{progress:g}/{total:g}" if total is not None else f"{progress:g}"
            write(one_line(f"progress {of} {message or ''}".rstrip()), sys.stderr)
            return
        if self._bar is None:
            self._bar = progress_bar()
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=progress, total=total, description=one_line(message or ""))

    async def log(self, params: LoggingMessageNotificationParams) -> None:
        """Show one log message of the tool. A callback for the client."""
        text = params.data if isinstance(params.data, str) else json.dumps(params.data, default=str)
        line = one_line(f"{params.level}: {text}")
        if self._bar is not None:
            self._bar.console.print(line, markup=False, soft_wrap=True)
        else:
            write(line, sys.stderr)

    async def ask(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        """Ask the person a tool's question. A callback for the client. Ctrl+D cancels the question."""
        from mcp.types import ElicitRequestURLParams, ElicitResult

        if self._bar is not None:
            self._bar.stop()
        write(printable(f"\n{params.message}"), sys.stderr)
        try:
            if isinstance(params, ElicitRequestURLParams):
                write(one_line(f"  {params.url}"), sys.stderr)
                agreed = await _ask("Done there? [y/n] ", _yes_or_no)
                return ElicitResult(action="accept" if agreed else "decline")
            write("(Ctrl+D: no answer)", sys.stderr)
            content = await _fill_in(params.requested_schema)
        except EOFError:
            write("", sys.stderr)
            return ElicitResult(action="cancel")
        finally:
            if self._bar is not None:
                self._bar.start()
        return ElicitResult(action="accept", content=content)


async def _fill_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for each field of a form: the flat subset of JSON Schema that elicitation allows."""
    required = schema.get("required", ())
    content: dict[str, Any] = {}
    for name, field in schema.get("properties", {}).items():
        value = await _ask(_question(name, field, name in required), partial(_read, field, name in required))
        if value is not None:
            content[name] = value
    return content


def _question(name: str, field: Mapping[str, Any], required: bool) -> str:
    about = [str(field["description"]).rstrip(".")] if field.get("description") else []
    if choices := _choices(field):
        about.append("one of " + ", ".join(choices) if field.get("type") != "array" else "any of " + ", ".join(choices))
    elif field.get("type") in ("integer", "number"):
        about.append("a whole number" if field["type"] == "integer" else "a number")
    elif field.get("type") == "boolean":
        about.append("y or n")
    if "default" in field:
        about.append(f"Enter: {json.dumps(field['default'])}")
    elif not required:
        about.append("Enter: leave out")
    return one_line(f"  {name} ({'; '.join(about)}): " if about else f"  {name}: ")


def _choices(field: Mapping[str, Any]) -> list[str]:
    """Return the values that a field lists: in `enum`, or as titled constants in `oneOf` or `anyOf`."""
    source = field.get("items", field) if field.get("type") == "array" else field
    if "enum" in source:
        return [str(value) for value in source["enum"]]
    options = source.get("oneOf") or source.get("anyOf") or ()
    return [str(option["const"]) for option in options if "const" in option]


def _read(field: Mapping[str, Any], required: bool, text: str) -> Any:
    """Return the typed text as the field's type. For an empty text, return the default or None.

    Raises:
        ValueError: The text does not fit. The message describes what fits.
    """
    choices, kind = _choices(field), field.get("type")
    if not text:
        if required and "default" not in field:
            raise ValueError("an answer is required")
        return field.get("default")
    if kind == "array":
        values = [value.strip() for value in text.split(",")]
        if unknown := [value for value in values if choices and value not in choices]:
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(choices)}")
        return values
    if choices and text not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}")
    if kind == "boolean":
        return _yes_or_no(text)
    if kind not in ("integer", "number"):
        return text
    try:
        number = int(text) if kind == "integer" else float(text)
    except ValueError:
        raise ValueError("expected a whole number" if kind == "integer" else "expected a number") from None
    low, high = field.get("minimum", -math.inf), field.get("maximum", math.inf)
    if not low <= number <= high:
        raise ValueError(f"expected a number from {low} to {high}")
    return number


def _yes_or_no(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise ValueError("expected y or n")
    return text.lower() in _YES


async def _ask(question: str, read: Callable[[str], Any]) -> Any:
    """Ask until the answer is valid, and return it. Raises `EOFError` when the input ends."""
    while True:
        sys.stderr.write(question)
        sys.stderr.flush()
        line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        if not line:
            raise EOFError
        try:
            return read(line.strip())
        except ValueError as error:
            write(one_line(f"    not valid: {error}"), sys.stderr)
