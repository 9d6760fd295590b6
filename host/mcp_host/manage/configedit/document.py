"""The statements of a text while it is changed, and the check that only the requested change was made."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import tomlkit

from mcp_host.config.origins import dotted
from mcp_host.manage.configedit.statements import StatementKind, by_hand, parts_of


class Document:
    """A TOML text as a list of statements that can be changed."""

    def __init__(self, text: str) -> None:
        self._bom = "\ufeff" if text.startswith("\ufeff") else ""
        body = text.removeprefix("\ufeff")
        self.data: dict[str, Any] = tomllib.loads(body)
        self.parts = parts_of(body)
        self.end = "\r\n" if "\r\n" in body else "\n"
        self.ends_in_newline = body.endswith("\n") or not body
        if not self.ends_in_newline:
            last = self.parts[-1]
            self.parts[-1] = replace(last, text=last.text + self.end)

    @property
    def plugins(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get("plugins", {})
        return found

    def checked(self, changed: tuple[str, ...], holds: Callable[[Any], bool]) -> str:
        """Return the new text, if it differs only at the path `changed` and `holds` is true for its data.

        Raises:
            HostError: It does not, because the file is written in a way that this module cannot handle.
        """
        body = "".join(part.text for part in self.parts)
        if not self.ends_in_newline:
            body = body.removesuffix("\n").removesuffix("\r")
        try:
            new = tomllib.loads(body)
        except tomllib.TOMLDecodeError as error:
            raise by_hand(str(error)) from error
        # Compared as texts, because a setting may be nan, and because the order of the plugins matters.
        old_rest, new_rest = (repr(sorted(_without(data, changed).items())) for data in (self.data, new))
        if old_rest != new_rest or not holds(new):
            raise by_hand(f"{dotted(changed[:2])} is written in an unusual way")
        return self._bom + body

    # The steps of a change

    def insert(self, index: int, *lines: str) -> None:
        self.parts[index:index] = parts_of("".join(line + self.end for line in lines))

    def find(self, *path: str, kind: StatementKind = StatementKind.VALUE) -> int | None:
        return next((n for n, part in enumerate(self.parts) if part.kind is kind and part.path == path), None)

    def edit(self, index: int, change: Callable[[Any], None], *below: str) -> None:
        """Change the value of one statement with tomlkit, or the part of it at the path `below`."""
        part = self.parts[index]
        # Without its indentation, which tomlkit would put before each new key.
        document = tomlkit.parse(part.text.removeprefix(part.indent))
        change(_nested(document, (*part.key, *below)))
        text = tomlkit.dumps(document)
        for spaced, single in (("{  ", "{ "), ("  }", " }")):
            # tomlkit leaves the space beside a key that it removes.
            text = text.replace(spaced, single) if spaced not in part.text else text
        self.parts[index] = replace(part, text=part.indent + text)

    def comments_before(self, index: int) -> int:
        """Return the index of the comment directly above a header, or of the header itself.

        A comment at the top of the file is about the file.
        """
        start = index
        while start > 0 and self.parts[start - 1].kind is StatementKind.COMMENT:
            start -= 1
        return start if start > 0 else index

    def next_header(self, index: int) -> int:
        after = range(index + 1, len(self.parts))
        return next((n for n in after if self.parts[n].kind is StatementKind.HEADER), len(self.parts))

    def section_end(self, index: int) -> int:
        """Return the index for a new table after the section of `index`."""
        end = self.next_header(index)
        end = self.comments_before(end) if end < len(self.parts) else end
        while end > 0 and self.parts[end - 1].kind is StatementKind.BLANK:
            end -= 1
        return end

    def insert_into(self, index: int, line: str) -> None:
        """Insert a line of the same table after a statement."""
        table = self.parts[index].table
        (new,) = parts_of(line + self.end)
        self.parts.insert(index + 1, replace(new, table=table, path=(*table, *new.path)))

    def content_end(self, index: int) -> int:
        """Return the end of a section, without the comments about the next one."""
        header = self.next_header(index)
        own = header if header == len(self.parts) else self.comments_before(header)
        end = (
            max([n for n in range(index, own) if self.parts[n].kind in (StatementKind.VALUE, StatementKind.HEADER)]) + 1
        )
        while end < own and self.parts[end].kind is StatementKind.COMMENT:
            end += 1
        return end


def _without(data: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return a copy without the value at `path`, and without the tables on `path` that are empty then."""
    copied = copy.deepcopy(dict(data))
    table: Any = copied
    for key in path[:-1]:
        table = table.get(key, {})
    table.pop(path[-1], None)
    for end in range(len(path) - 1, 0, -1):
        table = copied
        for key in path[: end - 1]:
            table = table.get(key, {})
        if table.get(path[end - 1]) == {}:
            del table[path[end - 1]]
    return copied


def _nested(value: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        value = value[key]
    return value
