"""Reads what a client replaces in the texts of its file: `${VAR}`, `${VAR:-default}`, `${input:id}`, `{env:VAR}`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Syntax = Literal["none", "braces", "shell", "opencode"]
"""What a client replaces: nothing, `${...}`, also `$VAR`, or `{env:VAR}` and `{file:PATH}`."""

_BRACES: Final = re.compile(r"\$\{([^{}]*)\}")
_SHELL: Final = re.compile(r"\$\{([^{}]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")
_OPENCODE: Final = re.compile(r"\{((?:env|file):[^{}]*)\}")
_VARIABLE: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_.()-]*)(?::-(.*))?", re.DOTALL)


class NotImportedError(Exception):
    """An entry cannot become a table. The text is the reason and repeats no value."""


@dataclass(frozen=True)
class Reference:
    """A part of a text that is not written in it: a variable, a file, or an input of VS Code."""

    kind: Literal["env", "file", "input"]
    name: str
    original: str = field(default="", compare=False)
    """The reference as the client's file has it."""


Part = str | Reference
Parts = tuple[Part, ...]
"""A text as its written parts and its references."""


@dataclass(frozen=True)
class Surroundings:
    """What the references of one file stand for: the environment, the home and the folder of the project."""

    environ: Mapping[str, str]
    home: Path
    folder: Path
    syntax: Syntax = "braces"

    def parts(self, text: str) -> Parts:
        """Return the parts of a text. A variable that is not set and has a default is replaced by the default.

        Raises:
            NotImportedError: The text has a reference that only the client can replace.
        """
        pattern = {"braces": _BRACES, "shell": _SHELL, "opencode": _OPENCODE}.get(self.syntax)
        if pattern is None:
            return plain(text)
        parts: list[Part] = []
        position = 0
        for match in pattern.finditer(text):
            parts += [text[position : match.start()], self._part(next(filter(None, match.groups()), ""), match[0])]
            position = match.end()
        return simple((*parts, text[position:]))

    def _part(self, inside: str, whole: str) -> Part:
        places = {
            "userHome": str(self.home),
            "HOME": str(self.home),
            "env:HOME": str(self.home),
            "workspaceFolder": str(self.folder),
            "workspaceFolderBasename": self.folder.name,
            "pathSeparator": os.sep,
            "/": os.sep,
        }
        if inside in places:
            return places[inside]
        kind, _, rest = inside.partition(":")
        if kind == "input" and rest:
            return Reference("input", rest, whole)
        if kind == "file" and rest:
            return Reference("file", rest, whole)
        if match := _VARIABLE.fullmatch(inside):
            name, default = match[1], match[2]
            return default if default is not None and not self.environ.get(name) else Reference("env", name, whole)
        shown = f"{kind}:..." if kind in ("command", "config") else "..."
        raise NotImportedError(f"it uses ${{{shown}}}, which only the client can replace")


def plain(text: str) -> Parts:
    """Return the parts of a text in which nothing is replaced."""
    return (text,) if text else ()


def simple(parts: Parts) -> Parts:
    """Return the parts without empty texts, and with texts side by side as one."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


def references(parts: Parts) -> list[Reference]:
    """Return the references in the parts of a text."""
    return [part for part in parts if isinstance(part, Reference)]


def written(parts: Parts) -> str:
    """Return the text of parts that have no references."""
    return "".join(part for part in parts if isinstance(part, str))
