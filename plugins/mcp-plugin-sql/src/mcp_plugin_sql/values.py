"""Converts a database's values to JSON. A number stays a number only if every JSON reader keeps it exactly."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

LARGEST_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

EXACT_DIGITS: Final = 15
"""How many significant digits of a decimal a double keeps."""

LONGEST_TEXT: Final = 10_000
"""The most characters of one cell."""

LONGEST_BYTES: Final = 1_000
"""The most bytes of one binary cell."""


def to_json(value: Any) -> Any:
    """Return the value as JSON.

    Integers beyond 2^53 - 1 and decimals of more than 15 digits become text with all their digits. NaN and infinities
    become the texts `NaN`, `Infinity`, `-Infinity`. Dates and times become ISO 8601. Bytes become
    `{"base64": ..., "bytes": length}`. Long texts and bytes are cut and marked.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, Decimal):
        return _decimal(value)
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


def _not_finite(value: float | Decimal) -> str:
    if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return _not_finite(value)
    digits = value.normalize().as_tuple()
    if len(digits.digits) > EXACT_DIGITS or abs(int(digits.exponent)) > 200:
        return str(value)
    return to_json(int(value)) if value == value.to_integral_value() else float(value)


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
