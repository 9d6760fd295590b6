"""Measures a value without making its JSON: its size and depth, and whether JSON and UTF-8 can express it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import inspect
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel


class Size(NamedTuple):
    """The size of a value. Measuring stops at a limit, so a value over a limit may be larger still.

    `size` is the approximate number of bytes of its JSON. `depth` is its deepest nesting. It is `finite` if JSON has
    all of its numbers, and `encodable` if UTF-8 has all of its text (it does not have half of a surrogate pair). It is
    `plain` if no code of a plugin runs when its JSON is made.
    """

    size: int
    depth: int
    finite: bool = True
    encodable: bool = True
    plain: bool = True

    def beside(self, other: Size) -> Size:
        """Return the size of two values that say the same: that of the larger one."""
        return Size(
            max(self.size, other.size),
            max(self.depth, other.depth),
            self.finite and other.finite,
            self.encodable and other.encodable,
            self.plain and other.plain,
        )


_PLAIN: Final = frozenset(
    {str, int, float, bool, type(None), dict, list, tuple, set, frozenset, bytes}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID}
)


_T = TypeVar("_T")


def _by_class(find: Callable[[type[Any]], _T]) -> Callable[[type[Any]], _T]:
    """Remember the result for a class as long as the class exists. A reload makes new classes."""
    found: WeakKeyDictionary[type[Any], _T] = WeakKeyDictionary()

    def remembered(kind: type[Any]) -> _T:
        try:
            return found[kind]
        except KeyError:
            return found.setdefault(kind, find(kind))

    return remembered


def measure(value: object, most_bytes: int, most_depth: int | None = None, *, plain_only: bool = False) -> Size:
    """Measure a value of JSON's types or of objects with fields. A cycle is walked once.

    With `plain_only`, measuring stops at the first part that is not plain, and runs no code of the value.
    """
    size, depth, finite, encodable, plain = 0, 0, True, True, True
    seen: set[int] = set()
    level: list[object] = [value]
    while level:
        below: list[object] = []
        for item in level:
            kind = type(item)
            if kind is int:
                size += 1 + item.bit_length() // 3  # type: ignore[attr-defined]
                if size > most_bytes:
                    return Size(size, depth, finite, encodable, plain)
                continue
            if kind not in _PLAIN and not is_simple(kind):
                plain = False
                if plain_only:
                    return Size(size, depth, finite, encodable, plain)
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
                if id(item) not in seen:
                    seen.add(id(item))
                    below.extend(_inside(item))
                size += 2
            if size > most_bytes:
                return Size(size, depth, finite, encodable, plain)
        level = below
        if level:
            depth += 1
            if most_depth is not None and depth > most_depth:
                break
    return Size(size, depth, finite, encodable, plain)


def _inside(item: object) -> Iterable[object]:
    if type(item) is dict:
        return (*item, *item.values())
    if isinstance(item, Mapping):
        return (part for pair in item.items() for part in pair)
    if isinstance(item, list | tuple | set | frozenset):
        return item
    if isinstance(item, type):
        return ()
    if isinstance(item, decimal.Decimal):
        return (str(item),)
    attributes = getattr(item, "__dict__", None)
    if not isinstance(attributes, dict):  # a class may make `__dict__` anything
        return [getattr(item, name, None) for name in _sent_fields(type(item))] if is_dataclass_object(item) else ()
    extra = getattr(item, "__pydantic_extra__", None) if isinstance(item, BaseModel) else None
    return [
        *(attributes[name] for name in _sent_fields(type(item)) if name in attributes),
        *(extra.values() if isinstance(extra, dict) else ()),
    ]


def is_dataclass_object(item: object) -> bool:
    """Return whether it is an instance of a dataclass, and not the class itself."""
    return dataclasses.is_dataclass(item) and not isinstance(item, type)


@_by_class
def is_simple(kind: type[Any]) -> bool:
    """Return whether objects of a class have only fields, so that none of its code runs when their JSON is made."""
    if issubclass(kind, BaseModel):
        return kind.__pydantic_complete__ and not runs_code(kind.__pydantic_core_schema__)
    return dataclasses.is_dataclass(kind) and not hasattr(kind, "__pydantic_core_schema__")


def runs_code(core_schema: Any) -> bool:
    """Return whether a pydantic core schema has functions that validation or serialization calls."""
    if isinstance(core_schema, list | tuple):
        return any(runs_code(part) for part in core_schema)
    if not isinstance(core_schema, dict):
        return False
    if str(core_schema.get("type", "")).startswith("function-"):
        return True
    if any(core_schema.get(key) for key in _CODE):
        return True
    if callable(core_schema.get("discriminator")):
        return True
    model = core_schema.get("cls")
    if isinstance(model, type) and issubclass(model, BaseModel) and model.model_dump is not BaseModel.model_dump:
        return True
    return any(runs_code(part) for key, part in core_schema.items() if key != "metadata")


_CODE: Final = ("computed_fields", "default_factory", "post_init", "custom_init", "missing")
"""Keys of a core schema with functions."""


@_by_class
def _sent_fields(kind: type[Any]) -> tuple[str, ...]:
    """Return the attributes that are in an object's JSON: neither private ones nor those that its author excludes."""
    if issubclass(kind, BaseModel):
        return tuple(name for name, field in kind.model_fields.items() if field.exclude is not True)
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    annotated = {name: None for base in reversed(kind.__mro__) for name in inspect.get_annotations(base)}
    return tuple(name for name in annotated if not name.startswith("_"))


def text_size(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def is_encodable(text: str) -> bool:
    """Return whether UTF-8 can express the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cut_text(text: str, most_bytes: int, whose: str) -> str:
    """Return the text. If it is too long, return its beginning and a note about the rest."""
    size = text_size(text)
    if size <= most_bytes:
        return text
    kept = text.encode("utf-8", "surrogatepass")[:most_bytes].decode("utf-8", "ignore")
    return f"{kept}\n[Cut here: {text_size(kept)} of {size} bytes are shown, the most that {whose} may return.]"
