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

    `labels` names the variable or flag of each value that did not come from the file. `flags` has the paths of the
    values that a flag set. Two configurations with equal values are equal, even if the values come from different
    places. So no field here is compared.
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
        # A key that is missing belongs to the place of the other keys in its table.
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
    """Return the first line, from 1, of each key and table in a valid TOML text.

    tomllib does not report positions, so each statement is parsed separately.
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
    """Yield the statements of a TOML text with their lines, from 1: keys, table headers, comments and empty lines.

    A statement ends at the first newline outside strings and brackets. Invalid TOML is split in the same way, as far
    as possible.
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
    # A stack instead of recursion, because a dotted key may have any number of parts.
    waiting: list[tuple[Keys, Mapping[str, Any]]] = [((), table)]
    while waiting:
        above, inner = waiting.pop()
        for key, value in inner.items():
            yield (*above, key)
            if isinstance(value, dict):
                waiting.append(((*above, key), value))
