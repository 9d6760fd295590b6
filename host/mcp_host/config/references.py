"""Decides which values are secrets: by references, by the names of keys, and by the length of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MASK: Final = "***"
"""Stands for a secret in texts that people see."""

_SECRET_WORDS: Final = frozenset({"auth", "bearer", "dsn", "key", "keys", "pass", "pin", "pwd"})


_SECRET_PARTS: Final = ("token", "secret", "passw", "passphrase", "credential", "apikey", "privatekey")

SHORTEST_SECRET: Final = 4
SHORTEST_ORDINARY: Final = 8
"""How long a text must be to be masked: a text whose key or type marks it as a secret, and any other text."""

SECRET_REFERENCE: Final[dict[str, Any]] = {
    "description": "A secret, read from an environment variable or from a file.",
    "type": "object",
    "properties": {
        "env": {"type": "string", "description": "Name of the environment variable."},
        "file": {"type": "string", "description": "Path of the file, relative to this one."},
        "format": {
            "type": "string",
            "pattern": r"^[^{}]*\{\}[^{}]*$",
            "description": "A text with the secret at `{}`, such as `Bearer {}`.",
        },
    },
    "additionalProperties": False,
    "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
}
"""The JSON Schema of what `is_reference` accepts."""


def looks_secret(key: str) -> bool:
    """Return whether a key's name suggests that its value is a secret: `api_key`, `authToken`, `db-password`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", key)
    return any(word.lower() in _SECRET_WORDS for word in words) or any(part in key.lower() for part in _SECRET_PARTS)


def path_looks_secret(keys: Iterable[str | int]) -> bool:
    """Tell whether one of the keys on the way to a value says that the value is a secret."""
    return any(looks_secret(str(key)) for key in keys)


def is_worth_masking(text: str, *, is_secret: bool) -> bool:
    """Return whether a text is long enough to be masked everywhere.

    Short texts are common in messages. If every `1` or every `prod` was masked, messages would be unreadable, and the
    gaps would reveal the value.
    """
    return len(text) >= (SHORTEST_SECRET if is_secret else SHORTEST_ORDINARY)


def without_secret(reference: Mapping[str, str]) -> str:
    """Return the text that a reference stands for, with the mask in the place of the secret."""
    return reference.get("format", "{}").replace("{}", MASK)


def is_reference(value: object) -> bool:
    """Return whether a value is `{ env = "NAME" }` or `{ file = "PATH" }`, with `format = "...{}..."` or without."""
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        return False
    return set(value) - {"format"} in ({"env"}, {"file"}) and value.get("format", "{}").count("{}") == 1
