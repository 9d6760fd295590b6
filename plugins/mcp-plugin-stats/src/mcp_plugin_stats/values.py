"""Values on their way out: SQL identifiers quoted, DuckDB's types made JSON, figures rounded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

Scalar = int | float | str | bool | None
"""What a figure, a minimum or a group's key may be in JSON."""

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
"""Characters of one cell that are sent."""


def quoted(identifier: str) -> str:
    """The identifier as SQL takes it, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def rounded(value: int | float | None, digits: int) -> int | float | None:
    """A float with `digits` decimals; one too small for them keeps as many significant digits; NaN becomes None."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = round(value, digits)
    if short == 0 and value != 0:
        return float(f"{value:.{max(digits, 1)}g}")
    return short


def portable(column: str, type_id: str) -> str:
    """The SQL expression that brings a column out in a form that `to_json` below understands."""
    if type_id in NUMBERS or type_id == "boolean":
        return column
    if type_id in NESTED:
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"


def to_json(value: Any, type_id: str) -> Any:
    """What JSON can say of a value that was read as `portable` says: no NaN, exact integers, ISO dates."""
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
    """The names in one line, for an error that says what there is."""
    if not names:
        return "none"
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
