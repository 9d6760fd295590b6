"""Converts numbers to JSON without a change of their digits. This is one rule for all plugins that return data."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

__all__ = ["EXACT_DIGITS", "LARGEST_INTEGER", "exact_number"]

LARGEST_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

EXACT_DIGITS: Final = 15
"""How many significant digits of a decimal a double keeps."""

_LARGEST_EXPONENT: Final = 200
"""A decimal with a larger exponent may not fit into a double."""

_NOT_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def exact_number(value: int | float | Decimal) -> int | float | str:
    """Return the number as JSON that every reader keeps exactly.

    Integers beyond 2^53 - 1 and decimals of more than 15 significant digits become text with all their digits. NaN and
    infinities, which JSON does not have, become the texts `NaN`, `Infinity` and `-Infinity`.
    """
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[str(value)]
    if not value.is_finite():
        return "NaN" if value.is_nan() else str(value)
    # Not `normalize`, which rounds to the context's 28 digits.
    digits = "".join(map(str, value.as_tuple().digits)).rstrip("0")
    if len(digits) > EXACT_DIGITS or abs(value.adjusted()) > _LARGEST_EXPONENT:
        return str(value)
    return exact_number(int(value)) if value == value.to_integral_value() else float(value)
