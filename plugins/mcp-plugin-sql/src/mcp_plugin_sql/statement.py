"""Converts a statement with `:name` parameters to the form of each driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from mcp_host import ToolError

Style = Literal["qmark", "numeric_dollar", "pyformat"]

LONGEST: Final = 100_000
"""The most characters of a statement."""

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
    """A statement to send: its text, the values in the driver's form (None without parameters), and their names."""

    text: str
    values: tuple[Any, ...] | dict[str, Any] | None
    names: tuple[str, ...] = ()


def statement(sql: str, parameters: Mapping[str, Any] | None, dialect: Dialect) -> Statement:
    """Bind `:name` parameters.

    A colon within quotes or a comment is not changed. Without parameters, the text is sent unchanged. The database
    decides what is allowed. If a text is misread here, the database at worst rejects the statement.

    Raises:
        ToolError: A parameter has no value, a value has no parameter, or the text is too long or empty.
    """
    if not sql.strip():
        raise ToolError("The statement is empty: send one SQL statement.")
    if len(sql) > LONGEST:
        raise ToolError(f"The statement is {len(sql)} characters long: at most {LONGEST} are allowed.")
    if "\0" in sql:
        raise ToolError("The statement contains a NUL character, which SQL does not allow.")
    if not parameters:
        return Statement(sql, None)
    names: list[str] = []
    text = _replaced(sql, dialect, lambda name: _placeholder(name, names, dialect.style))
    _match(names, parameters)
    if dialect.style == "numeric_dollar":
        return Statement(text, tuple(parameters[name] for name in names), tuple(names))
    if dialect.style == "qmark":
        return Statement(text, tuple(parameters[name] for name in names), tuple(names))
    return Statement(text, {name: parameters[name] for name in names}, tuple(dict.fromkeys(names)))


def _replaced(sql: str, dialect: Dialect, place: Callable[[str], str]) -> str:
    double: Callable[[str], str] = (
        (lambda part: part.replace("%", "%%")) if dialect.style == "pyformat" else (lambda part: part)
    )
    parts, end = [], 0
    for token in _TOKENS[dialect.quotes].finditer(sql):
        if token["name"] is not None:
            parts += [double(sql[end : token.start()]), place(token["name"])]
            end = token.end()
    return "".join([*parts, double(sql[end:])])


def _placeholder(name: str, names: list[str], style: Style) -> str:
    if style == "qmark":
        names.append(name)
        return "?"
    if style == "pyformat":
        names.append(name)
        return f"%({name})s"
    if name not in names:
        names.append(name)
    return f"${names.index(name) + 1}"


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
