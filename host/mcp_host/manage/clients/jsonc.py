"""Reads and changes JSON, with or without comments and trailing commas. Bytes outside the change stay the same.

For files that people and editors write: a value is added or removed as text, with the file's own indentation and line
ends. The libraries for JSON with comments parse the whole file and write it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

DEEPEST: Final = 200
"""How deep objects and arrays may be nested. A settings file needs only a few levels."""

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_TRIVIA: Final = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"(?:true|false|null)\b")
_WORDS: Final = {"true": True, "false": False, "null": None}


class JSONCError(ValueError):
    """A text is not valid. `line` and `column` count from 1."""

    def __init__(self, what: str, text: str, position: int) -> None:
        super().__init__(what)
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)


@dataclass
class _Member:
    key: str
    start: int
    value: _Node
    comma: int | None = None
    """The position of the comma after the value."""


@dataclass
class _Node:
    start: int
    end: int
    value: Any
    members: list[_Member] | None = None
    """The members of an object, or None for any other value."""

    def member(self, key: str, text: str) -> _Member | None:
        found = [member for member in self.members or () if member.key == key]
        if len(found) > 1:
            raise JSONCError(f"the key {key!r} occurs twice", text, found[1].start)
        return found[0] if found else None


@dataclass
class _Reader:
    text: str
    comments: bool
    at: int = field(default=0)

    def read(self) -> _Node | None:
        """Return the value of the text, or None if the text has only white space and comments."""
        self.at = 1 if self.text.startswith("\ufeff") else 0
        self._skip()
        if self.at == len(self.text):
            return None
        node = self._value(0)
        self._skip()
        if self.at < len(self.text):
            raise self._error("there is more text after the end of the value")
        return node

    def _error(self, what: str) -> JSONCError:
        return JSONCError(what, self.text, self.at)

    def _skip(self) -> None:
        end = (_TRIVIA if self.comments else _BLANK).match(self.text, self.at)
        assert end is not None
        self.at = end.end()

    def _value(self, depth: int) -> _Node:
        if depth > DEEPEST:
            raise self._error(f"this is nested deeper than {DEEPEST} levels")
        start, mark = self.at, self.text[self.at : self.at + 1]
        if mark == "{":
            return self._object(depth)
        if mark == "[":
            return self._array(depth)
        if mark == '"':
            text = self._string()
            return _Node(start, self.at, text)
        if number := _NUMBER.match(self.text, start):
            self.at = number.end()
            return _Node(start, self.at, _number(number[0]))
        if word := _WORD.match(self.text, start):
            self.at = word.end()
            return _Node(start, self.at, _WORDS[word[0]])
        if mark == "/" and not self.comments:
            raise self._error("comments are not allowed in this file")
        raise self._error("a value is expected here" if mark else "the file ends too early")

    def _string(self) -> str:
        try:
            value, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise JSONCError("this string is not valid JSON", self.text, error.pos) from None
        return str(value)

    def _object(self, depth: int) -> _Node:
        node = _Node(self.at, self.at, {}, [])
        assert node.members is not None
        while self._next("}", [member.comma for member in node.members]):
            if self.text[self.at] != '"':
                raise self._error("a key in double quotes is expected here")
            start, key = self.at, self._string()
            self._skip()
            if self.text[self.at : self.at + 1] != ":":
                raise self._error("a colon is expected here")
            self.at += 1
            self._skip()
            member = _Member(key, start, self._value(depth + 1))
            member.comma = self._comma()
            node.members.append(member)
            node.value[key] = member.value.value
        node.end = self.at
        return node

    def _array(self, depth: int) -> _Node:
        start, items, commas = self.at, [], list[int | None]()
        while self._next("]", commas):
            items.append(self._value(depth + 1).value)
            commas.append(self._comma())
        return _Node(start, self.at, items)

    def _next(self, close: str, commas: Sequence[int | None]) -> bool:
        """Go to the next item, or past the closing bracket. Return whether there is an item."""
        if not commas:
            self.at += 1
        self._skip()
        mark = self.text[self.at : self.at + 1]
        if mark == close:
            if commas and commas[-1] is not None and not self.comments:
                raise self._error("a trailing comma is not allowed in this file")
            self.at += 1
            return False
        if not mark:
            raise self._error("the file ends too early")
        if commas and commas[-1] is None:
            raise self._error(f"a comma or {close} is expected here")
        return True

    def _comma(self) -> int | None:
        before = self.at
        self._skip()
        if self.text[self.at : self.at + 1] == ",":
            self.at += 1
            return self.at - 1
        self.at = before
        return None


def read(text: str, *, comments: bool = True) -> dict[str, Any]:
    """Return the object in a text, or an empty one if the text has only white space and comments.

    `comments` allows comments and trailing commas.

    Raises:
        JSONCError: The text is not JSON, or its value is not an object.
    """
    value: dict[str, Any] = _object(text, comments).value
    return value


def put(text: str, path: Sequence[str], value: Any, *, comments: bool = True) -> str:
    """Return the text with a value set at a path of keys. Missing objects on the path are created.

    Raises:
        JSONCError: The text is not JSON, or a value on the path is not an object.
    """
    node = _object(text, comments)
    if node.start == node.end:
        return _put_first(text, path, value)
    style = _Style.of(text, node)
    for depth, key in enumerate(path):
        member = node.member(key, text)
        if member is None:
            for above in reversed(path[depth + 1 :]):
                value = {above: value}
            return _insert(text, node, key, value, style)
        node = member.value
        if node.members is None and depth < len(path) - 1:
            raise JSONCError(f"the value of {key!r} is not an object", text, node.start)
    inline = "\n" not in text[node.start : node.end] and style.is_inline(text, node)
    return text[: node.start] + style.dump(value, _indent_at(text, node.start), inline) + text[node.end :]


def take(text: str, path: Sequence[str], *, comments: bool = True) -> str:
    """Return the text without the member at a path of keys, and without its lines. A missing member changes nothing.

    An object without members becomes `{}`.

    Raises:
        JSONCError: The text is not JSON, or something on the way is not an object.
    """
    node = _object(text, comments)
    for depth, key in enumerate(path):
        member = node.member(key, text)
        if member is None:
            return text
        if depth == len(path) - 1:
            return _remove(text, node, member)
        node = member.value
        if node.members is None:
            raise JSONCError(f"the value of {key!r} is not an object", text, node.start)
    return text


def _object(text: str, comments: bool) -> _Node:
    node = _Reader(text, comments).read()
    if node is None:
        return _Node(len(text), len(text), {}, [])
    if node.members is None:
        raise JSONCError("an object is expected: { ... }", text, node.start)
    return node


def _number(token: str) -> int | float | str:
    try:
        number: int | float = json.loads(token)
    except ValueError:
        # Python refuses whole numbers with thousands of digits. The number is not used, so its text is enough.
        return token
    return number


@dataclass(frozen=True)
class _Style:
    """The style of a text: its line end, one step of indentation, and the text between a key and its value."""

    newline: str
    step: str
    colon: str
    one_line: bool

    @classmethod
    def of(cls, text: str, root: _Node) -> _Style:
        inside = text[root.start : root.end]
        newline = "\r\n" if "\r\n" in text else "\n"
        step = "  "
        if root.members and (found := re.search(r"\n([ \t]+)$", text[root.start : root.members[0].start])):
            step = found[1]
        spaced = re.search(r'":\s', inside) is not None or not root.members
        return cls(newline, step, ": " if spaced else ":", bool(root.members) and "\n" not in inside)

    def dump(self, value: Any, indent: str, inline: bool) -> str:
        """Return a value as JSON. All lines after the first begin with `indent`."""
        if inline:
            comma = ", " if self.colon == ": " else ","
            return json.dumps(value, ensure_ascii=False, separators=(comma, self.colon))
        text = json.dumps(value, ensure_ascii=False, indent=self.step, separators=(",", self.colon))
        return text.replace("\n", self.newline + indent)

    def is_inline(self, text: str, node: _Node) -> bool:
        """Return whether an object has its members on one line, or would have them there."""
        if not node.members:
            return self.one_line
        return "\n" not in text[node.start : node.members[0].start]


def _put_first(text: str, path: Sequence[str], value: Any) -> str:
    for key in reversed(path):
        value = {key: value}
    style = _Style("\r\n" if "\r\n" in text else "\n", "  ", ": ", False)
    gap = "" if not text.strip("\ufeff \t\r\n") or text.endswith("\n") else style.newline
    return text + gap + style.dump(value, "", False) + style.newline


def _indent_at(text: str, position: int) -> str:
    """Return the white space at the beginning of a position's line."""
    line = text[text.rfind("\n", 0, position) + 1 : position].removeprefix("\ufeff")
    return line[: len(line) - len(line.lstrip(" \t"))]


def _insert(text: str, node: _Node, key: str, value: Any, style: _Style) -> str:
    inline = style.is_inline(text, node)
    members = node.members or []
    own = _indent_at(text, members[0].start) if members and not inline else _indent_at(text, node.start) + style.step
    member = json.dumps(key, ensure_ascii=False) + style.colon + style.dump(value, own, inline)
    if not members:
        return _insert_first(text, node, member, own, inline, style)
    last = members[-1]
    after = (last.value.end if last.comma is None else last.comma + 1) if inline else _end_of_line(text, last)
    between = (" " if style.colon == ": " else "") if inline else style.newline + own
    if last.comma is None:
        return text[: last.value.end] + "," + text[last.value.end : after] + between + member + text[after:]
    return text[:after] + between + member + "," + text[after:]


def _insert_first(text: str, node: _Node, member: str, own: str, inline: bool, style: _Style) -> str:
    start, end = node.start + 1, node.end - 1
    blank = not text[start:end].strip()
    if inline:
        return text[: start if blank else end] + member + text[end:]
    if blank and "\n" in text[start:end]:
        # The closing bracket is already on its own line.
        return text[:start] + style.newline + own + member + text[start:]
    if not blank:
        # The member is added after the comments. A line comment ends before its newline.
        start = start + len(text[start:end].rstrip())
        if "\n" in text[start:end]:
            return text[:start] + style.newline + own + member + text[start:]
    return text[:start] + style.newline + own + member + style.newline + _indent_at(text, node.start) + text[end:]


def _end_of_line(text: str, member: _Member) -> int:
    """Return the end of a member's line: after its comma and the comments beside it."""
    position = end = member.value.end if member.comma is None else member.comma + 1
    while beside := re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)").match(text, position):
        position = end = beside.end()
    return end


def _remove(text: str, node: _Node, member: _Member) -> str:
    members = node.members or []
    number = members.index(member)
    before = members[number - 1] if number else None
    gap_start = node.start + 1
    if before is not None:
        gap_start = before.value.end if before.comma is None else before.comma + 1
    gap = text[gap_start : member.start]
    end = member.value.end if member.comma is None else member.comma + 1
    rest = re.compile(r"[ \t]*").match(text, end)
    assert rest is not None
    ends_line = text[rest.end() : rest.end() + 1] in ("\r", "\n", "")
    start = member.start - (len(gap) - len(gap.rstrip(" \t")))
    if (ends_line or not gap.strip()) and (newline := re.search(r"\r?\n\Z", text[:start])):
        start = newline.start()
    elif number == 0 and member.comma is not None:
        start, end = member.start, rest.end()
    if ends_line and start < member.start:
        end = rest.end()
    head = text[:start]
    if before is not None and before.comma is not None and member is members[-1] and member.comma is None:
        head = text[: before.comma] + text[before.comma + 1 : start]
    if len(members) == 1 and not (text[node.start + 1 : start] + text[end : node.end - 1]).strip():
        return text[: node.start] + "{}" + text[node.end :]
    return head + text[end:]
