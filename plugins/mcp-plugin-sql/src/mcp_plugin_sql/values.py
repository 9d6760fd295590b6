"""Converts a database's values to JSON. A number stays a number only if every JSON reader keeps it exactly."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mcp_host.values import exact_number

LONGEST_TEXT: Final = 10_000
"""The most characters of one cell."""

LONGEST_BYTES: Final = 1_000
"""The most bytes of one binary cell."""

LONGEST_KEPT: Final = 100_000
"""The most characters of a text that is not shown, such as the definition of a table."""

LONGEST_JSON: Final = 1_000_000
"""The most characters of a JSON value or an array that is read as such. A longer one is a text."""


class Text(str):
    """A text of which only the first characters were kept. `length` is the whole one's; `replaced`: it was no UTF-8."""

    length: int
    replaced: bool

    @classmethod
    def of(cls, data: bytes) -> Text:
        """Return the text of a database that does not check its encoding."""
        decoded = data.decode("utf-8", "replace")
        text = cls(decoded[:LONGEST_KEPT])
        text.length = len(decoded)
        text.replaced = "\N{REPLACEMENT CHARACTER}" in decoded and not _is_utf8(data)
        return text


@dataclass(frozen=True)
class Bytes:
    """Bytes of which only the first were kept."""

    start: bytes
    length: int


def exact_json(text: str | bytes) -> Any:
    """Return what a JSON text contains, with all digits of its numbers; or the text, if it is very long."""
    if len(text) > LONGEST_JSON:
        return text if isinstance(text, str) else text.decode()
    return json.loads(text, parse_float=Decimal)


def to_json(value: Any) -> Any:
    """Return the value as JSON.

    For numbers, see `mcp_host.values.exact_number`. Dates and times become ISO 8601. Bytes become
    `{"base64": ..., "bytes": length}`. Long texts and bytes are cut and marked.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return exact_number(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(Bytes(bytes(value[:LONGEST_BYTES]), len(value)))
    if isinstance(value, Bytes):
        return _bytes(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    return _text(str(value))


def to_text(value: Any) -> str:
    """Return the whole value as a text, for a field of a file. Bytes become base64, containers JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_to_json_text)
    return str(value).encode("utf-8", "replace").decode()


def _to_json_text(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else to_json(value)


def _bytes(value: Bytes) -> dict[str, Any]:
    shown = base64.b64encode(value.start).decode()
    return {"base64": shown, "bytes": value.length} | ({"cut": True} if value.length > LONGEST_BYTES else {})


def _duration(value: datetime.timedelta) -> str:
    """Return hours, minutes and seconds, as MySQL writes a TIME. There may be more than 24 hours, or a minus sign."""
    total = abs(value)
    seconds = total.days * 86_400 + total.seconds
    fraction = f".{total.microseconds:06}" if total.microseconds else ""
    sign = "-" if value < datetime.timedelta() else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _text(value: str) -> str:
    # Text that is not UTF-8 (SQLite allows any bytes in TEXT) may have lone surrogates, which JSON does not allow.
    length = value.length if isinstance(value, Text) else len(value)
    shown = value[:LONGEST_TEXT].encode("utf-8", "replace").decode()
    return shown if length <= LONGEST_TEXT else f"{shown}... ({length} characters)"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
