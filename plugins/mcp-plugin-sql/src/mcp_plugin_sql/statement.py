"""Converts a statement with `:name` parameters to the form of each driver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mcp_host import ToolError

Style = Literal["qmark", "numeric_dollar", "pyformat"]

LONGEST: Final = 100_000
"""The most characters of a statement."""

LONGEST_LIST: Final = 10_000
"""The most items of a list after IN."""

NOTHING: Final = "SELECT NULL FROM (SELECT 1) AS empty_list WHERE 1 = 0"
"""An empty list after IN. With NULL alone, NOT IN would have no rows."""

_AFTER_IN: Final = re.compile(r"\b(?P<not>NOT\s+)?IN\s*(?P<open>\(\s*)?$", re.IGNORECASE)
_CLOSED: Final = re.compile(r"\s*\)")
_PARAMETER = r"(?<![:\w$])(?::(?P<name>[A-Za-z_]\w*))"
_COMMENTS = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`"
_DOLLARS = r"(?<!\w)\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
_TOKENS: Final = {
    "qmark": re.compile(rf"{_QUOTED}|`[^`]*`|\[[^\]]*\]|{_COMMENTS}|{_PARAMETER}", re.DOTALL),
    "numeric_dollar": re.compile(
        rf"(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|{_QUOTED}|{_DOLLARS}|{_COMMENTS}|{_PARAMETER}", re.DOTALL
    ),
    "pyformat": re.compile(rf"{_ESCAPED}|#[^\n]*|{_COMMENTS}|{_PARAMETER}", re.DOTALL),
}
"""Matches quoted texts and comments, which are skipped, and parameters, for each family of databases."""


@dataclass(frozen=True)
class Dialect:
    """The form of a driver's parameters, and the rules for quotes."""

    quotes: Literal["qmark", "numeric_dollar", "pyformat"]
    style: Style


@dataclass(frozen=True)
class Statement:
    """A statement to send: its text, and the values in the driver's form (None without parameters)."""

    text: str
    values: tuple[Any, ...] | dict[str, Any] | None


def statement(sql: str, parameters: Mapping[str, Any] | None, dialect: Dialect) -> Statement:
    """Bind `:name` parameters.

    A colon within quotes or a comment is not changed. Without parameters, the text is sent unchanged. The database
    decides what is allowed. If a text is misread here, the database at worst rejects the statement.

    A list may stand after IN, as IN :name or IN (:name). PostgreSQL gets it as an array, so that it may also stand
    elsewhere; the others get one placeholder for each item.

    Raises:
        ToolError: A parameter has no value, a value has no parameter, a list is at a place where it has no meaning, or
            the text is too long or empty.
    """
    if not sql.strip():
        raise ToolError("The statement is empty: send one SQL statement.")
    if len(sql) > LONGEST:
        raise ToolError(f"The statement is {len(sql)} characters long: at most {LONGEST} are allowed.")
    if "\0" in sql:
        raise ToolError("The statement contains a NUL character, which SQL does not allow.")
    if not parameters:
        return Statement(sql, None)
    binder = _Binder(dialect, parameters)
    text = binder.bound(sql)
    _match(binder.names, parameters)
    return Statement(text, binder.values)


def without_end(sql: str, dialect: Dialect) -> str:
    """Return a statement without the semicolons and comments after it, so that it can be a part of another one."""
    tokens = [token.span() for token in _TOKENS[dialect.quotes].finditer(sql)]
    end = len(sql)
    while True:
        end = len(sql[:end].rstrip())
        start, stop = tokens[-1] if tokens else (0, 0)
        if stop >= end > start and sql.startswith(("--", "/*", "#"), start):
            end = start
            tokens.pop()
        elif sql[:end].endswith(";"):
            end -= 1
        else:
            return sql[:end]


@dataclass
class _Binder:
    """Replaces the parameters of one statement."""

    dialect: Dialect
    parameters: Mapping[str, Any]
    names: list[str] = field(default_factory=list)
    """The parameters in the order in which they are met."""
    _placed: dict[str, Any] = field(default_factory=dict)
    """The values by their key: a parameter's name, with a number for an item of a list."""
    _order: list[str] = field(default_factory=list)

    def bound(self, sql: str) -> str:
        """Return the text with the driver's placeholders."""
        parts, end = [], 0
        for token in _TOKENS[self.dialect.quotes].finditer(sql):
            if token["name"] is None:
                continue
            start, stop, placed = self._placed_at(token["name"], sql, token)
            parts += [self._text(sql[end:start]), placed]
            end = stop
        return "".join([*parts, self._text(sql[end:])])

    @property
    def values(self) -> tuple[Any, ...] | dict[str, Any]:
        """The values in the driver's form."""
        if self.dialect.style == "pyformat":
            return self._placed
        return tuple(self._placed[key] for key in self._order)

    def _text(self, part: str) -> str:
        return part.replace("%", "%%") if self.dialect.style == "pyformat" else part

    def _placed_at(self, name: str, sql: str, token: re.Match[str]) -> tuple[int, int, str]:
        """Return which part of the text is replaced, and by what."""
        self.names.append(name)
        value = self.parameters.get(name)
        start, stop = token.span()
        if not isinstance(value, list):
            return start, stop, self._placeholder(name, value)
        before = _AFTER_IN.search(sql, max(0, start - 100), start)
        if self.dialect.quotes == "numeric_dollar":
            placeholder = self._placeholder(name, value)
            if before is None:
                return start, stop, placeholder
            closed = _CLOSED.match(sql, stop) if before["open"] else None
            if before["open"] and closed is None:
                raise ToolError(f"The list :{name} must be the only item after IN: write IN :{name}.")
            end = closed.end() if closed else stop
            return before.start(), end, f"{'<> ALL' if before['not'] else '= ANY'}({placeholder})"
        if before is None:
            raise ToolError(f"The parameter :{name} is a list: a list can only be used as IN :{name}.")
        if len(value) > LONGEST_LIST:
            raise ToolError(f"The list :{name} has {len(value)} items: at most {LONGEST_LIST} are allowed.")
        items = ", ".join(self._placeholder(f"{name}.{index}", item) for index, item in enumerate(value)) or NOTHING
        return start, stop, items if before["open"] else f"({items})"

    def _placeholder(self, key: str, value: Any) -> str:
        self._placed[key] = value
        if self.dialect.style == "pyformat":
            return f"%({key})s"
        if self.dialect.style == "qmark":
            self._order.append(key)
            return "?"
        if key not in self._order:
            self._order.append(key)
        return f"${self._order.index(key) + 1}"


def _match(names: Sequence[str], parameters: Mapping[str, Any]) -> None:
    missing = [f":{name}" for name in dict.fromkeys(names) if name not in parameters]
    if missing:
        raise ToolError(f"No value was given for {', '.join(missing)}.")
    unused = [name for name in parameters if name not in names]
    if unused:
        raise ToolError(
            f"The statement has no parameter {', '.join(f':{name}' for name in unused)}: "
            "write :name, outside of quotes, for each value."
        )
