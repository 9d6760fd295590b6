"""The open file descriptors of this process, where the system shows them."""

from __future__ import annotations

import gc
import os
from pathlib import Path

_FOLDER = Path("/proc/self/fd")
_HARMLESS = ("/dev/urandom", "/dev/random", "/dev/null")
"""What libraries keep open for the life of a process, once."""

Descriptors = frozenset[tuple[int, str]]


def open_descriptors() -> Descriptors | None:
    """Return the numbers and targets of what is open after a garbage collection, or None on a system that hides it."""
    if not _FOLDER.is_dir():
        return None
    gc.collect()
    found = set()
    for number in os.listdir(_FOLDER):
        try:
            target = os.readlink(_FOLDER / number)
        except OSError:  # the descriptor of this very listing
            continue
        if target not in _HARMLESS:
            found.add((int(number), target))
    return frozenset(found)


def opened_since(before: Descriptors | None) -> list[str] | None:
    """Return the targets of what was opened since and still is, or None where nobody can tell."""
    after = open_descriptors()
    if before is None or after is None:
        return None
    return [target for _, target in sorted(after - before)]
