"""Whether two RFC 6570 templates can name the same URI."""

from __future__ import annotations

import re
from collections.abc import Sequence

_EXPRESSION = re.compile(r"\{([+#./;?&]?)([^}]*)\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# What a variable's value cannot contain, by operator, as the SDK's matcher has it.
_STOPS = {"": "/?#&,", "+": "?#", "#": "", ".": "./?#", "/": "/?#", ";": ";/?#"}
_SEPARATORS = {"": ",", "+": ",", "#": ",", ".": ".", "/": "/", ";": ";"}

# A token is one literal character, or the set of characters that a value (of any length) cannot contain.
_Token = str | frozenset[str]


def has_scheme(uri: str) -> bool:
    """Whether `uri` starts with a scheme (RFC 3986, 3.1), as every resource URI must."""
    return _SCHEME.match(uri) is not None


def overlap(first: str, second: str) -> bool:
    """Return True if some URI may match both templates (or equals one of them, where that is a plain URI).

    Query expressions are left out: they are optional, so that two templates overlap if and only if their
    paths do. Values count as possibly empty, which errs on the side of saying True.
    """
    a, b = _tokens(first), _tokens(second)
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
        x = a[i] if i < len(a) else None
        y = b[j] if j < len(b) else None
        if isinstance(x, frozenset):
            todo.append((i + 1, j))
            if isinstance(y, str) and y not in x:
                todo.append((i, j + 1))
        if isinstance(y, frozenset):
            todo.append((i, j + 1))
            if isinstance(x, str) and x not in y:
                todo.append((i + 1, j))
        if isinstance(x, str) and x == y:
            todo.append((i + 1, j + 1))
    return False


def _tokens(template: str) -> Sequence[_Token]:
    tokens: list[_Token] = []
    end = 0
    for match in _EXPRESSION.finditer(template):
        tokens.extend(template[end : match.start()])
        end = match.end()
        operator, names = match[1], match[2].split(",")
        if operator in ("?", "&"):
            continue
        for index, name in enumerate(names):
            lead = operator if operator in "#./;" else ""
            tokens.extend(lead if index == 0 else _SEPARATORS[operator])
            if operator == ";":
                tokens.extend(name.removesuffix("*"))
            # An exploded variable runs over its own separators.
            stops = "?#" if name.endswith("*") else _STOPS[operator]
            tokens.append(frozenset(stops))
    tokens.extend(template[end:])
    return tokens
