"""Makes the texts that people see of a change, with secrets masked."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_host.config.references import is_reference, looks_secret
from mcp_host.manage.configedit.statements import Part, StatementKind, parts_of


def masked(text: str) -> str:
    """Return a TOML text with `"***"` for each value whose key looks like the name of a secret."""
    return "".join(
        f'{part.text[: part.value_at]} "***"\n' if part.kind is StatementKind.VALUE and _is_secret(part) else part.text
        for part in parts_of(text)
    )


def diff(before: str, after: str, file: str) -> str:
    """Return a unified diff of two texts with secrets masked, or "" if they are equal."""
    old, new = (masked(text.removeprefix("\ufeff")).replace("\r\n", "\n").splitlines() for text in (before, after))
    return "\n".join(difflib.unified_diff(old, new, file, file, lineterm=""))


def _is_secret(part: Part) -> bool:
    value: Any = tomllib.loads(part.text)
    for key in part.key:
        value = value[key]

    def holds(keys: Iterable[str], value: object) -> bool:
        if isinstance(value, Mapping) and not is_reference(value):
            return any(holds((*keys, key), inner) for key, inner in value.items())
        if isinstance(value, list):
            return any(holds(keys, inner) for inner in value)
        return isinstance(value, str) and any(map(looks_secret, keys))

    return "settings" in part.path and holds(part.path[part.path.index("settings") + 1 :], value)
