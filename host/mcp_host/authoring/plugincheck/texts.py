"""Characters that a person does not see and a model reads all the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiner: at home inside Persian, Indic scripts and emoji, and nowhere else."""

_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of controls, formats (bidi, zero-width, tags), surrogates, private and unassigned ones."""


def invisible(text: str) -> list[str]:
    """Return the code points that are not shown, such as `U+200B ZERO WIDTH SPACE`, each once. Lines may end in LF."""
    found = {}
    for index, character in enumerate(text):
        if _is_shown(character) or (character in _JOINERS and _joins(text, index)):
            continue
        name = unicodedata.name(character, "control character" if unicodedata.category(character) == "Cc" else "")
        found[character] = f"U+{ord(character):04X} {name}".strip()
    return list(found.values())


def _is_shown(character: str) -> bool:
    if character in "\n\t":
        return True
    # Variation selectors 17 to 256 have been used to hide whole messages in one emoji.
    return unicodedata.category(character) not in _NOT_SHOWN and not 0xE0100 <= ord(character) <= 0xE01EF


def _joins(text: str, index: int) -> bool:
    around = text[index - 1 : index] + text[index + 1 : index + 2]
    return len(around) == 2 and not any(side.isascii() for side in around)


def texts_of(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every text of a tool, resource, template or prompt that reaches a model, keys included, with its path."""
    for key, value in item.items():
        if key not in ("_meta", "icons"):
            yield from _texts(key, value)


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"a name in {path}", key
            yield from _texts(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(f"{path}[{number}]", inner)
