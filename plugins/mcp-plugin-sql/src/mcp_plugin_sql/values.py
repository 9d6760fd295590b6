"""Converts a database's values to JSON. A number stays a number only if every JSON reader keeps it exactly."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from mcp_host.values import exact_number

LONGEST_TEXT: Final = 10_000
"""The most characters of one cell."""

LONGEST_BYTES: Final = 1_000
"""The most bytes of one binary cell."""


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
        return _bytes(bytes(value))
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, Mapping) or type(value).__name__ == "Record":
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if type(value).__name__ == "Range":
        return _range(value)
    return _text(str(value))


def _bytes(value: bytes) -> dict[str, Any]:
    shown = base64.b64encode(value[:LONGEST_BYTES]).decode()
    return {"base64": shown, "bytes": len(value)} | ({"cut": True} if len(value) > LONGEST_BYTES else {})


def _duration(value: datetime.timedelta) -> str:
    """Return hours, minutes and seconds, as MySQL writes a TIME. There may be more than 24 hours, or a minus sign."""
    total = abs(value)
    seconds = total.days * 86_400 + total.seconds
    fraction = f".{total.microseconds:06}" if total.microseconds else ""
    sign = "-" if value < datetime.timedelta() else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _range(value: Any) -> str:
    """Return a range of asyncpg or psycopg as PostgreSQL writes it."""
    if value.isempty:
        return "empty"
    lower, upper = ("" if bound is None else str(to_json(bound)) for bound in (value.lower, value.upper))
    return f"{'[' if value.lower_inc else '('}{lower},{upper}{']' if value.upper_inc else ')'}"


def _text(value: str) -> str:
    # Text that is not UTF-8 (SQLite allows any bytes in TEXT) may have lone surrogates, which JSON does not allow.
    value = value.encode("utf-8", "replace").decode()
    return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}... ({len(value)} characters)"
