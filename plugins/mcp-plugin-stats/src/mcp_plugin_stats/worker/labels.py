"""Makes short labels of texts from the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_TITLE: Final = 80
"""The most characters of a title."""

LONGEST_LABEL: Final = 40
"""The most characters of a value on an axis, or of a series."""

NO_VALUE: Final = "(no value)"
"""The label of a missing value."""


def short(text: str, longest: int = LONGEST_TITLE) -> str:
    """Return the text as one line of at most `longest` characters, without characters that cannot be seen."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= longest else line[: longest - 3] + "..."


def unique(values: Sequence[object]) -> list[str]:
    """Return a different short label for each value."""
    labels: list[str] = []
    used: set[str] = set()
    for value in values:
        label = plain = _label(value)
        number = 1
        while label in used:
            number += 1
            label = f"{plain} ({number})"
        used.add(label)
        labels.append(label)
    return labels


def _label(value: object) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    return short(str(value), LONGEST_LABEL) or '""'


def counted(number: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
