"""Splits a TOML text into its statements, each with the path of its table or key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from mcp_host.config.origins import statements
from mcp_host.errors import HostError


class StatementKind(Enum):
    BLANK = auto()
    COMMENT = auto()
    HEADER = auto()
    VALUE = auto()


@dataclass(frozen=True)
class Part:
    """One statement with its newline. `path` is the path of a header's table, or the whole path of a key."""

    text: str
    kind: StatementKind
    table: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    value_at: int = 0

    @property
    def indent(self) -> str:
        return self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def key(self) -> tuple[str, ...]:
        """The path of a value inside its table, as written in its line."""
        return self.path[len(self.table) :]


_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_WORDS: Final = rf"{_WORD}(?:[ \t]*\.[ \t]*{_WORD})*"
_HEADER: Final = re.compile(rf"[ \t]*\[\[?[ \t]*({_WORDS})[ \t]*\]")
_KEY: Final = re.compile(rf"[ \t]*({_WORDS})[ \t]*=")


def parts_of(text: str) -> list[Part]:
    """Split a valid text into its statements."""
    parts: list[Part] = []
    table: tuple[str, ...] = ()
    for _, statement in statements(text):
        bare = statement.strip()
        if not bare or bare.startswith("#"):
            parts.append(Part(statement, StatementKind.COMMENT if bare else StatementKind.BLANK, table))
        elif match := _HEADER.match(statement):
            table = _path(match[1])
            parts.append(Part(statement, StatementKind.HEADER, table, table))
        elif match := _KEY.match(statement):
            parts.append(Part(statement, StatementKind.VALUE, table, (*table, *_path(match[1])), match.end()))
        else:
            raise by_hand("a statement of the file is not understood")
    return parts


def _path(words: str) -> tuple[str, ...]:
    table: Any = tomllib.loads(f"{words} = 0")
    path: list[str] = []
    while table != 0:
        ((key, table),) = table.items()
        path.append(key)
    return tuple(path)


def by_hand(why: str) -> HostError:
    return HostError(f"this file cannot be changed without changes to the rest of it: {why}", hint="change it by hand")
