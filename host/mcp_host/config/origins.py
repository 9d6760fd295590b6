"""Where each value of a configuration came from: a line of the file, a variable or a flag."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

Keys = tuple[str | int, ...]
"""The path of a value in the file: names of tables and keys, and numbers of list items."""


@dataclass(frozen=True)
class Origins:
    """Where each value of a configuration came from: a variable, a flag, or a line of the file.

    `labels` names the variable or flag of each value that did not come from the file, `flags` has the paths of those
    that a flag set. Two configurations that say
    the same are equal wherever they say it, so nothing here takes part in a comparison.
    """

    file: str = field(default="", compare=False)
    text: str = field(default="", compare=False, repr=False)
    labels: Mapping[Keys, str] = field(default_factory=dict, compare=False)
    flags: frozenset[Keys] = field(default=frozenset(), compare=False)

    def where(self, keys: Keys) -> str:
        """Return the place of a value, such as `mcp-host.toml:7: plugins.stats.prefix` or `environment: MCP_PORT`."""
        above = [keys[:end] for end in range(len(keys), 0, -1)]
        if label := next((self.labels[path] for path in above if path in self.labels), None):
            return label
        if line := next((self._lines[path] for path in above if path in self._lines), None):
            return f"{self.file}:{line}: {dotted(keys)}"
        # A key that is nowhere belongs to where the rest of its table is.
        if label := next((label for path, label in self.labels.items() if path[:-1] == keys[:-1] != ()), None):
            return label
        return ": ".join(part for part in (self.file, dotted(keys)) if part)

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        return key_lines(self.text)


def dotted(keys: Keys) -> str:
    """Return a path as TOML writes it: `plugins."my plugin".tools.deny[0]`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            bare = key if re.fullmatch("[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
            text += f".{bare}" if text else bare
    return text


def key_lines(text: str) -> dict[Keys, int]:
    """Return the line, from 1, where each key and table of a valid TOML text first stands.

    tomllib keeps no positions, so each statement is parsed by itself.
    """
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for line, statement in statements(text):
        paths = list(_paths(tomllib.loads(statement)))
        is_header = statement.lstrip().startswith("[")
        for path in paths:
            lines.setdefault(path if is_header else (*table, *path), line)
        if is_header:
            table = max(paths, key=len)
    return lines


_TOKEN: Final = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|\#[^\n]*|[\[\]{}\n]''', re.DOTALL
)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each key with its value, table header, comment and empty line of a TOML text, with its line, from 1.

    A statement ends at the first newline outside its strings and brackets. A text that is not valid TOML is cut in
    the same way, as far as that goes.
    """
    line, begin, depth = 1, 0, 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        elif mark == "\n" and depth <= 0:
            yield line, text[begin : token.end()]
            line += text.count("\n", begin, token.end())
            begin, depth = token.end(), 0
    if begin < len(text):
        yield line, text[begin:]


def _paths(table: Mapping[str, Any]) -> Iterator[Keys]:
    # A stack and not recursion, because a dotted key may be as deep as its author likes.
    waiting: list[tuple[Keys, Mapping[str, Any]]] = [((), table)]
    while waiting:
        above, inner = waiting.pop()
        for key, value in inner.items():
            yield (*above, key)
            if isinstance(value, dict):
                waiting.append(((*above, key), value))
