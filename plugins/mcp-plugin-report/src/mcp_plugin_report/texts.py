"""Prepares texts and figures for a report: shortens, rounds, makes characters visible, and escapes Markdown."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

LONGEST: Final = 80
"""The most characters of a value in a report."""

_MARKUP: Final = re.compile(r"[\\`*\[\]<>|&~#$!]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=\bwww)\.|(?<=\S)@")


def shown(value: Any, longest: int = LONGEST) -> str:
    """Return a value of the data as one line in which every character is visible."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace() and ord(character) < 0x2000:
        return " "
    # Control characters and characters that change the direction of writing could make the report misleading.
    return f"\\u{ord(character):04x}"


def rounded(value: float | int, digits: int) -> float | int:
    """Round a float to `digits` decimals, or a very small one to as many significant digits. Integers stay exact."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = round(value, digits)
    if short == 0 and value != 0:
        return float(f"{value:.{max(digits, 1)}g}")
    return short


def number(value: float | int) -> str:
    """Return a figure as a person writes it: without `.0`, and with an exponent only if necessary."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        return repr(value)
    return str(value)


def markdown(text: str) -> str:
    """Escape a text for Markdown (CommonMark with tables), so that nothing in it is markup, a link or a cell's end."""
    return _MARKUP.sub(lambda found: "".join(f"\\{character}" for character in found[0]), text)
