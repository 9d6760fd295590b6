"""Cuts a TOML text into its statements, each with the path of what it says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from mcp_host.config.origins import statements
from mcp_host.errors import HostError


class Kind(Enum):
    BLANK = auto()
    COMMENT = auto()
    HEADER = auto()
    VALUE = auto()


@dataclass(frozen=True)
class Part:
    """One statement with its newline; `path` is the table a header opens, or the whole path of a key."""

    text: str
    kind: Kind
    table: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    value_at: int = 0

    @property
    def indent(self) -> str:
        return self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def key(self) -> tuple[str, ...]:
        """The path of a value below its table, as its line writes it."""
        return self.path[len(self.table) :]


_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_WORDS: Final = rf"{_WORD}(?:[ \t]*\.[ \t]*{_WORD})*"
_HEADER: Final = re.compile(rf"[ \t]*\[\[?[ \t]*({_WORDS})[ \t]*\]")
_KEY: Final = re.compile(rf"[ \t]*({_WORDS})[ \t]*=")


def parts_of(text: str) -> list[Part]:
    """Cut a valid text into its statements."""
    parts: list[Part] = []
    table: tuple[str, ...] = ()
    for _, statement in statements(text):
        bare = statement.strip()
        if not bare or bare.startswith("#"):
            parts.append(Part(statement, Kind.COMMENT if bare else Kind.BLANK, table))
        elif match := _HEADER.match(statement):
            table = _path(match[1])
            parts.append(Part(statement, Kind.HEADER, table, table))
        elif match := _KEY.match(statement):
            parts.append(Part(statement, Kind.VALUE, table, (*table, *_path(match[1])), match.end()))
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
    return HostError(f"this file cannot be changed without disturbing the rest of it: {why}", hint="change it by hand")
