"""Changes the entries of a YAML file as text, so that its comments and its order stay."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from typing import Any


class YAMLTextError(Exception):
    """The text has a form that cannot be changed line by line. The text of the error is the reason."""


def with_entry(text: str, keys: Sequence[str], taken: Sequence[str], name: str, entry: Mapping[str, Any]) -> str:
    """Return a YAML text with one entry in the place of others of the same mapping.

    `keys` lead to the mapping. What the changed text means is compared with what is wanted.

    Raises:
        YAMLTextError: The mapping is not written line by line, or more would change.
    """
    yaml = importlib.import_module("yaml")
    before = yaml.safe_load(text)
    lines = text.splitlines(keepends=True)
    mapping = yaml.compose(text)
    for key in keys:
        mapping = next((value for each, value in mapping.value if each.value == key), None)
        if mapping is None or not isinstance(mapping.value, list) or mapping.flow_style:
            raise YAMLTextError("its servers are not written line by line")
    nodes = [(str(key.value), key.start_mark, value.end_mark) for key, value in mapping.value]
    spans = []
    for number, (key, start, end) in enumerate(nodes):
        last = nodes[number + 1][1].line if number + 1 < len(nodes) else end.line + (1 if end.column else 0)
        while last > start.line + 1 and lines[last - 1 : last] and _says_nothing(lines[last - 1]):
            last -= 1
        if key in taken or key == name:
            spans.append((start.line, last))
    column = nodes[0][1].column
    block = yaml.safe_dump({name: dict(entry)}, sort_keys=False, allow_unicode=True, width=10_000)
    new = [" " * column + line for line in block.splitlines(keepends=True)]
    at = spans[0][0] if spans else nodes[-1][1].line
    for start, last in reversed(spans):
        del lines[start:last]
    if at and lines[at - 1 : at] and not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    changed = "".join([*lines[:at], *new, *lines[at:]])
    expected = copy.deepcopy(before)
    entries = expected
    for key in keys:
        entries = entries[key]
    for key in taken:
        del entries[key]
    entries[name] = dict(entry)
    try:
        same = yaml.safe_load(changed) == expected
    except yaml.YAMLError:
        same = False
    if not same:
        raise YAMLTextError("it cannot be changed without changing more")
    return changed


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
