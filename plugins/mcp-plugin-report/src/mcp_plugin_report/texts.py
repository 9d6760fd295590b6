"""Texts and figures on their way into a report: shortened, visible, rounded; escaped for Markdown."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

LONGEST: Final = 80
"""Characters of a value that a report shows."""

_MARKUP: Final = re.compile(r"[\\`*\[\]<>|&~#$!]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=\bwww)\.|(?<=\S)@")


def shown(value: Any, longest: int = LONGEST) -> str:
    """A value of the data as one line in which every character can be seen."""
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
    # Control characters and those that change the direction of what follows could make the report lie.
    return f"\\u{ord(character):04x}"


def rounded(value: float | int, digits: int) -> float | int:
    """A float with `digits` decimals; one too small for them keeps as many significant digits. Integers stay exact."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = round(value, digits)
    if short == 0 and value != 0:
        return float(f"{value:.{max(digits, 1)}g}")
    return short


def number(value: float | int) -> str:
    """A figure as a person writes it: no `.0`, and an exponent only where there is no other way."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        return repr(value)
    return str(value)


def markdown(text: str) -> str:
    """The text for Markdown (CommonMark with tables): nothing in it is markup, a link, an image or a cell's end."""
    return _MARKUP.sub(lambda found: "".join(f"\\{character}" for character in found[0]), text)
