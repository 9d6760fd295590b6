"""Collects the rows of a result up to the limits, and counts the rows that are left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_plugin_sql.values import to_json

COUNTED: Final = 10_000
"""How many rows over the limit are counted. For more rows, a result reports only that there are more."""


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

    def add(self, row: Sequence[Any]) -> bool:
        """Add one more row. Returns False if no more rows are needed."""
        if not self.cap:
            cells = [to_json(value) for value in row]
            size = self.size + len(json.dumps(cells, ensure_ascii=False, separators=(",", ":")).encode()) + 1
            if len(self.rows) >= self.max_rows:
                self.cap = f"max_rows = {self.max_rows}"
            elif size > self.max_bytes:
                self.cap = f"max_bytes = {self.max_bytes}"
            else:
                self.rows.append(cells)
                self.size = size
                return True
        if self.unseen >= COUNTED:
            self.more = True
            return False
        self.unseen += 1
        return True

    @property
    def note(self) -> str:
        """A note about the rows that were left out, or an empty text."""
        if not self.cap:
            return ""
        number = f"more than {self.unseen}" if self.more else str(self.unseen)
        text = f"Truncated at {self.cap}: {number} more {'row is' if number == '1' else 'rows are'} not listed."
        if not self.rows:
            return f"{text} A single row is larger than that: select fewer columns, or parts of them."
        return text
