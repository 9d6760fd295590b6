"""Collects the rows of a result up to the limits, and counts the rows that are left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mcp_plugin_sql.values import Text, to_json

COUNTED: Final = 10_000
"""How many rows over the limit are counted. For more rows, a result reports only that there are more."""

Reader = Callable[[Any], Any]


class Sink(Protocol):
    """Takes the rows of a result."""

    def begin(self, columns: list[str], readers: Sequence[Reader | None] = ()) -> None:
        """Take the names of the columns, and the functions that turn what the database sends into values."""

    def add(self, row: Sequence[Any]) -> bool:
        """Take one more row. Returns False if no more rows are needed."""

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""

    @property
    def satisfied(self) -> bool:
        """Whether the result is complete but for the number of the rows that were left out."""

    def give_up(self) -> None:
        """End a satisfied result without a number of the rows that were left out."""


def read_row(row: Sequence[Any], readers: Sequence[Reader | None]) -> Sequence[Any]:
    """Return the values of a row."""
    if not readers:
        return row
    return [
        value if reader is None or value is None else reader(value) for value, reader in zip(row, readers, strict=True)
    ]


@dataclass
class Collector:
    """The rows of one result. `size` is in bytes of compact JSON."""

    max_rows: int
    max_bytes: int
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    size: int = 0
    unseen: int = 0
    more: bool = False
    cap: str = ""
    replaced: bool = False
    """Whether a text was not valid in its encoding."""
    begun: bool = False
    _readers: Sequence[Reader | None] = ()

    def begin(self, columns: list[str], readers: Sequence[Reader | None] = ()) -> None:
        """Take the names of the columns, and the functions that turn what the database sends into values."""
        self.columns, self._readers, self.begun = columns, readers, True

    @property
    def satisfied(self) -> bool:
        """Whether the result is complete but for the number of the rows that were left out."""
        return bool(self.cap)

    def give_up(self) -> None:
        """End a satisfied result without a number of the rows that were left out."""
        self.more = True

    def add(self, row: Sequence[Any]) -> bool:
        """Add one more row. Returns False if no more rows are needed."""
        if not self.cap:
            values = read_row(row, self._readers)
            cells = [to_json(value) for value in values]
            size = self.size + len(json.dumps(cells, ensure_ascii=False, separators=(",", ":")).encode()) + 1
            if len(self.rows) >= self.max_rows:
                self.cap = f"max_rows = {self.max_rows}"
            elif size > self.max_bytes:
                self.cap = f"max_bytes = {self.max_bytes}"
            else:
                self.rows.append(cells)
                self.size = size
                self.replaced = self.replaced or any(isinstance(value, Text) and value.replaced for value in values)
                return True
        if self.unseen >= COUNTED:
            self.more = True
            return False
        self.unseen += 1
        return True

    @property
    def note(self) -> str:
        """A note about the rows that were left out and the texts that were changed, or an empty text."""
        notes = [self._cut()] if self.cap else []
        if self.replaced:
            notes.append("Bytes that are not valid UTF-8 are shown as \N{REPLACEMENT CHARACTER}.")
        return " ".join(notes)

    def _cut(self) -> str:
        number = f"more than {self.unseen}" if self.more else str(self.unseen)
        text = f"Truncated at {self.cap}: {number} more {'row is' if number == '1' else 'rows are'} not listed."
        if not self.rows:
            return f"{text} A single row is larger than that: select fewer columns, or parts of them."
        return text
