"""Bounds the memory of a statement: a connection counts the bytes of each batch of rows, and ends at too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MIB: Final = 2**20

SHARE: Final = 8
"""A batch may bring `max_memory / SHARE`. Drivers and Python hold a value several times while they read it."""

LARGEST_BATCH: Final = 50
"""The most rows that are fetched at a time."""

FIRST_BATCH: Final = 4


@dataclass
class Meter:
    """The bytes that a connection has received for the current batch. The next batch begins with `reset`."""

    limit: int
    used: int = 0
    exceeded: bool = field(default=False, init=False)
    _rows: int = field(default=FIRST_BATCH, init=False)

    def add(self, size: int) -> bool:
        """Count received bytes. Returns False if they are too many: then the connection must be closed."""
        self.used = max(0, self.used + size)
        self.exceeded = self.exceeded or self.used > self.limit
        return not self.exceeded

    def restart(self) -> None:
        """Begin a statement."""
        self.used, self._rows = 0, FIRST_BATCH

    def next_batch(self) -> int:
        """Return how many rows to fetch next: more while rows are small, and never many times as many as before."""
        if self.used:
            fitting = self._rows * self.limit // (4 * self.used)
            self._rows = max(1, min(LARGEST_BATCH, 2 * self._rows, fitting))
        self.used = 0
        return self._rows


def too_large(limit: int) -> str:
    """Return the error for a statement that brings more than `limit` bytes at once."""
    return (
        f"A row of the result, or a message of the database, has more than {limit // MIB} MiB: select parts of its "
        "values, for example with substr() or left(), or fewer columns. The setting max_memory raises this limit."
    )
