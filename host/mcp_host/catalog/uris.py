"""Finds out whether two patterns can match the same text, and whether two RFC 6570 templates can match the same URI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)([^}]*)\}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# The characters that a variable's value cannot contain, by operator, as in the SDK's matcher.
_STOPS: Final = {"": "/?#&,", "+": "?#", "#": "", ".": "./?#", "/": "/?#", ";": ";/?#", "?": "&#", "&": "&#"}
_LEADS: Final = {"": "", "+": ""}
_SEPARATORS: Final = {"": ",", "+": ",", "#": ",", "?": "&"}


@dataclass(frozen=True)
class Only:
    """The characters that a value (it may be empty) can contain."""

    characters: frozenset[str]


Token = str | frozenset[str] | Only | int
"""One literal character, the characters that a value (it may be empty) cannot contain or can only contain, or the
number of following tokens that may be left out."""


def has_scheme(uri: str) -> bool:
    """Return whether `uri` starts with a scheme (RFC 3986, 3.1), as every resource URI must."""
    return _SCHEME.match(uri) is not None


def overlap(first: str, second: str) -> bool:
    """Return True if a URI may match both templates. Each may also be a plain URI, which matches itself.

    A value may be empty here, and the order in which the SDK matches is ignored. So the answer may be True too often.
    """
    return meet(list(_tokens(first)), list(_tokens(second)))


def meet(a: Sequence[Token], b: Sequence[Token]) -> bool:
    """Return True if a text may match both patterns. As values may be empty, the answer may be True too often."""
    # Reachability in the product of the two patterns: a state is a position in each.
    seen: set[tuple[int, int]] = set()
    todo = [(0, 0)]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        i, j = state
        if i == len(a) and j == len(b):
            return True
        todo.extend((position, j) for position in _without_reading(a, i))
        todo.extend((i, position) for position in _without_reading(b, j))
        x = a[i] if i < len(a) else None
        y = b[j] if j < len(b) else None
        if isinstance(x, str) and x == y:
            todo.append((i + 1, j + 1))
        elif isinstance(x, str) and _can_contain(y, x):
            todo.append((i + 1, j))
        elif isinstance(y, str) and _can_contain(x, y):
            todo.append((i, j + 1))
    return False


def _can_contain(value: Token | None, character: str) -> bool:
    if isinstance(value, Only):
        return character in value.characters
    return isinstance(value, frozenset) and character not in value


def _without_reading(tokens: Sequence[Token], position: int) -> Iterator[int]:
    """Yield the next positions in a pattern that need no character of the URI."""
    token = tokens[position] if position < len(tokens) else None
    if isinstance(token, frozenset | Only):
        yield position + 1
    elif isinstance(token, int):
        yield position + 1
        yield position + 1 + token


def _tokens(template: str) -> Iterator[Token]:
    expressions = list(_EXPRESSION.finditer(template))
    path_end = _query_start(template, expressions)
    end = 0
    for expression in expressions:
        if expression.start() >= path_end:
            break
        yield from template[end : expression.start()]
        yield from _expression(expression[1], expression[2].split(","))
        end = expression.end()
    yield from template[end:path_end]
    if path_end < len(template):
        # The parameters may be in any order, missing, or mixed with others. A fragment is ignored.
        yield from (2, "?", frozenset[str](), 2, "#", frozenset[str]())


def _query_start(template: str, expressions: Sequence[re.Match[str]]) -> int:
    """Return the position of the `{?...}{&...}` that the SDK matches as a query, or the template's length."""
    start = len(template)
    for expression in reversed(expressions):
        if expression[1] not in ("?", "&") or expression.end() != start:
            break
        start = expression.start()
    path = template[:start]
    literals = _EXPRESSION.sub("", path)
    is_query = template.startswith("{?", start) and not re.search(r"[?#]", literals) and "{#" not in path
    return start if is_query else len(template)


def _expression(operator: str, names: Sequence[str]) -> Iterator[Token]:
    for index, name in enumerate(names):
        lead = _LEADS.get(operator, operator) if index == 0 else _SEPARATORS.get(operator, operator)
        if name.endswith("*"):
            # It may contain its separators, and it may be left out.
            yield from (2, lead, frozenset("?#"))
            continue
        yield from lead
        if operator in ("?", "&"):
            yield from f"{name}="
        if operator == ";":
            # ";name=value", or ";name" for an empty value.
            yield from (*name, 2, "=")
        yield frozenset(_STOPS[operator])
