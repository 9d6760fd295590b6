"""The cells of a plain table of texts: aggregates over all of them, and where the first one of a kind is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_plugin_stats.sqltext import literal

if TYPE_CHECKING:
    import duckdb

MISSING = (
    *("", "na", "n/a", "#n/a", "#na", "nan", "-nan", "null", "none", "<na>", "nil", "-", "--", ".", "?"),
    *("#null!", "#div/0!", "#value!", "#ref!"),
)
"""What stands for a missing number or date in lower case, in columns that otherwise have only numbers or dates."""

MISSING_TEXT = literal(rf"\s*({'|'.join(map(re.escape, MISSING))})\s*")
"""The same as a pattern in SQL."""


@dataclass
class Column:
    """How one column becomes a typed one. `type` is None for text."""

    name: str
    place: str
    type: str | None = None
    expression: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The SQL of the column with its type."""
        return self.expression or self.place


class Cells:
    """The table of texts that is examined: `relation` is SQL for its rows, which have `part` and `line`."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, relation: str, labels: Sequence[str], unit: str = "line"
    ) -> None:
        self._cursor = cursor
        self.relation = relation
        self._labels = labels
        self._unit = unit

    def row(self, expressions: Sequence[str], where: str = "true") -> list[Any]:
        """Return the values of aggregates over all rows."""
        sql = f"SELECT {', '.join(expressions)} FROM {self.relation} WHERE {where}"
        return list(self._cursor.execute(sql).fetchall()[0])

    def first(self, place: str, where: str) -> tuple[str, str] | None:
        """Return where the first row of a condition is (`line 7`), and its text in this column."""
        found = self._cursor.execute(
            f"SELECT part, line, {place} FROM {self.relation} WHERE {where} ORDER BY part, line LIMIT 1"
        ).fetchall()
        if not found:
            return None
        part, line, text = found[0]
        label = f"{self._labels[part]}, " if len(self._labels) > 1 else ""
        return f"{label}{self._unit} {line}", _cut(text)


def _cut(text: object) -> str:
    shown = str(text)
    return repr(shown if len(shown) <= 40 else shown[:37] + "...")


def missing(place: str) -> str:
    """Return the condition that a text stands for a missing number or date."""
    return f"regexp_full_match({place}, {MISSING_TEXT}, 'i')"
