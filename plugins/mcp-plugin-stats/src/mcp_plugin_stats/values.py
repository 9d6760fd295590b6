"""Converts values: DuckDB's types to JSON, and figures to the decimals of the settings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from mcp_host.values import exact_number

Scalar = int | float | str | bool | None
"""The JSON type of a figure, a minimum or a group's key."""

INTEGERS = frozenset(
    ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint")
)
FLOATS = frozenset(("float", "double"))
NUMBERS = INTEGERS | FLOATS | {"decimal"}
NESTED = frozenset(("list", "array", "struct", "map", "union", "json", "variant"))
TIMES = frozenset(
    (
        *("date", "time", "time with time zone", "timestamp", "timestamp with time zone"),
        *("timestamp_s", "timestamp_ms", "timestamp_ns"),
    )
)

LONGEST_TEXT = 2_000
"""The most characters of one text."""

LONGEST_NESTED = 20_000
"""The most characters of one list, struct or map as JSON."""


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


def type_id(type_: Any) -> str:
    """Return the kind of a DuckDB type: its name without parameters. JSON is a kind of its own."""
    return "json" if str(type_) == "JSON" else str(type_.id)


def portable(column: str, kind: str) -> str:
    """Return the SQL that converts a column for `to_json`. Long texts are cut by DuckDB, so that they stay there."""
    if kind in NUMBERS or kind == "boolean":
        return column
    text = f"CAST(to_json({column}) AS VARCHAR)" if kind in NESTED else f"CAST({column} AS VARCHAR)"
    longest = LONGEST_NESTED if kind in NESTED else LONGEST_TEXT
    return (
        f"CASE WHEN length({text}) > {longest} THEN left({text}, {longest}) || '... (' || length({text}) || "
        f"' characters)' ELSE {text} END"
    )


def to_json(value: Any, kind: str) -> Any:
    """Return the JSON value of a value that was read with `portable`: exact numbers, ISO dates."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return exact_number(value)
    text = str(value)
    if kind in NESTED:
        try:
            return _shortened(json.loads(text, parse_constant=str, parse_float=_exact_float, parse_int=_exact_int))
        except ValueError:  # it was cut
            return text
    if kind.startswith("timestamp"):
        return text.replace(" ", "T", 1)
    return text


def _exact_int(text: str) -> int | float | str:
    return exact_number(int(text)) if len(text) < 20 else text


def _exact_float(text: str) -> int | float | str:
    number = float(text)
    return exact_number(number) if repr(number).strip("0") == text.strip("0") else exact_number(Decimal(text))


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}... ({len(value)} characters)"
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
