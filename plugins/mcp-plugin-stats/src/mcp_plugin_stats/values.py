"""Converts values: quotes SQL identifiers, converts DuckDB's types to JSON, and rounds figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

Scalar = int | float | str | bool | None
"""The JSON type of a figure, a minimum or a group's key."""

INTEGERS = frozenset(
    ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint")
)
FLOATS = frozenset(("float", "double"))
NUMBERS = INTEGERS | FLOATS | {"decimal"}
NESTED = frozenset(("list", "array", "struct", "map", "union"))
TIMES = frozenset(
    (
        *("date", "time", "time with time zone", "timestamp", "timestamp with time zone"),
        *("timestamp_s", "timestamp_ms", "timestamp_ns"),
    )
)

LONGEST_TEXT = 2_000
"""The most characters of one cell."""


def quoted(identifier: str) -> str:
    """Return the identifier quoted for SQL. It may have any characters."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def rounded(value: int | float | None, digits: int) -> int | float | None:
    """Round a float to `digits` decimals, or a very small one to as many significant digits. NaN becomes None."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = round(value, digits)
    if short == 0 and value != 0:
        return float(f"{value:.{max(digits, 1)}g}")
    return short


def portable(column: str, type_id: str) -> str:
    """Return the SQL expression that converts a column to a form for `to_json`."""
    if type_id in NUMBERS or type_id == "boolean":
        return column
    if type_id in NESTED:
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"


def to_json(value: Any, type_id: str) -> Any:
    """Return the JSON value of a value that was read with `portable`: no NaN, exact integers, ISO dates."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        exponent = value.as_tuple().exponent
        return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
    text = str(value)
    if type_id in NESTED:
        return _shortened(json.loads(text, parse_constant=lambda _: None))
    if type_id.startswith("timestamp"):
        return text.replace(" ", "T", 1)
    return _shortened(text)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}... ({len(value)} characters)"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value


def listed(names: Sequence[str], most: int = 30) -> str:
    """Return the names in one line, for an error message."""
    if not names:
        return "none"
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
