"""How large, how deep and how sayable in JSON a value is, found out without making its JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """`size` is about the bytes of the value's JSON, `depth` its deepest nesting.

    `finite` says whether JSON has all of its numbers, `encodable` whether UTF-8 has all of its text (it has no half of
    a surrogate pair). Measuring stops where a limit is passed; what was found by then is told.
    """

    size: int
    depth: int
    finite: bool = True
    encodable: bool = True


def measure(value: object, most_bytes: int, most_depth: int | None = None) -> Size:
    """Measure a value of JSON's types, or of objects whose attributes are; a cycle is walked once."""
    size, depth, finite, encodable = 0, 0, True, True
    seen: set[int] = set()
    level: list[object] = [value]
    while level:
        below: list[object] = []
        for item in level:
            if isinstance(item, str):
                size += text_size(item) + 2
                encodable = encodable and (item.isascii() or is_encodable(item))
            elif isinstance(item, bytes | bytearray | memoryview):
                size += len(item)
            elif isinstance(item, bool) or item is None:
                size += 4
            elif isinstance(item, int):
                size += 1 + item.bit_length() // 3
            elif isinstance(item, float):
                size += 8
                finite = finite and math.isfinite(item)
            else:
                inner = _inside(item)
                if id(item) not in seen:
                    seen.add(id(item))
                    below.extend(inner)
                size += 2
            if size > most_bytes:
                return Size(size, depth, finite, encodable)
        level = below
        if level:
            depth += 1
            if most_depth is not None and depth > most_depth:
                break
    return Size(size, depth, finite, encodable)


def _inside(item: object) -> Iterable[object]:
    if isinstance(item, Mapping):
        return (part for pair in item.items() for part in pair)
    if isinstance(item, list | tuple | set | frozenset):
        return item
    # Models, dataclasses and plain objects; the class of anything may make `__dict__` what it likes.
    attributes = getattr(item, "__dict__", None)
    return list(attributes.values()) if isinstance(attributes, dict) and not isinstance(item, type) else ()


def text_size(text: str) -> int:
    """The bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can say it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cut_text(text: str, most_bytes: int, whose: str) -> str:
    """Return the text, or as much of its beginning as fits and a note of what is missing."""
    size = text_size(text)
    if size <= most_bytes:
        return text
    kept = text.encode("utf-8", "surrogatepass")[:most_bytes].decode("utf-8", "ignore")
    return f"{kept}\n[Cut here: {text_size(kept)} of {size} bytes are shown, the most that {whose} may return.]"
