"""Which values are secrets: references to them, keys whose names say so, and texts long enough to be masked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_SECRET_WORDS: Final = frozenset({"auth", "bearer", "dsn", "key", "keys", "pass", "pin", "pwd"})


_SECRET_PARTS: Final = ("token", "secret", "passw", "passphrase", "credential", "apikey", "privatekey")

SHORTEST_SECRET: Final = 4
SHORTEST_ORDINARY: Final = 8
"""Characters from which on a text is masked: one whose key or type says that it is a secret, and any other."""


def looks_secret(key: str) -> bool:
    """Tell whether a key's name says that its value is a secret: `api_key`, `authToken`, `db-password`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", key)
    return any(word.lower() in _SECRET_WORDS for word in words) or any(part in key.lower() for part in _SECRET_PARTS)


def path_looks_secret(keys: Iterable[str | int]) -> bool:
    """Tell whether one of the keys on the way to a value says that the value is a secret."""
    return any(looks_secret(str(key)) for key in keys)


def is_worth_masking(text: str, *, is_secret: bool) -> bool:
    """Tell whether a text is long enough to be masked wherever it occurs.

    Short texts are words of any message: to mask every `1`, or every `prod`, makes messages unreadable, and the gaps
    would give the value away.
    """
    return len(text) >= (SHORTEST_SECRET if is_secret else SHORTEST_ORDINARY)


def is_reference(value: object) -> bool:
    """Tell whether a value is exactly `{ env = "NAME" }` or `{ file = "PATH" }`."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and all(key in ("env", "file") and isinstance(name, str) for key, name in value.items())
    )
