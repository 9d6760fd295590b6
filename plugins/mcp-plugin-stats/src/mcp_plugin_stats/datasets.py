"""A loaded data set and its columns."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.values import NUMBERS, TIMES, listed


@dataclass(frozen=True)
class Column:
    """A column of a data set; `kind` is DuckDB's type without its parameters."""

    name: str
    type: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether the column contains numbers."""
        return self.kind in NUMBERS

    @property
    def temporal(self) -> bool:
        """Whether the column contains dates or times."""
        return self.kind in TIMES


@dataclass(frozen=True)
class Dataset:
    """A loaded data set. `warnings` are in words what was decided when its files were read."""

    name: str
    rows: int
    columns: tuple[Column, ...]
    warnings: tuple[str, ...] = ()

    def column(self, name: str, *, numeric: bool = False) -> Column:
        """Return the column with this name. If only one column matches, the case is ignored.

        Raises DataError with a list of the columns.
        """
        same = [column for column in self.columns if column.name == name]
        same = same or [column for column in self.columns if column.name.lower() == name.lower()]
        if len(same) != 1:
            names = [column.name for column in self.columns]
            raise DataError(
                f"Data set {self.name!r} has no column {name!r}.{nearest(name, names)} Columns: {listed(names)}."
            )
        if numeric and not same[0].numeric:
            raise DataError(
                f"Column {same[0].name!r} of {self.name!r} is {same[0].type}, not a number. "
                f"Columns of numbers: {listed(self.numbers)}."
            )
        return same[0]

    @property
    def numbers(self) -> list[str]:
        """The names of the columns with numbers."""
        return [column.name for column in self.columns if column.numeric]


def nearest(name: str, names: Sequence[str]) -> str:
    """Return the question whether another name was meant, or nothing."""
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    meant = next((known for known in names if near and known.lower() == near[0]), None)
    return f" Did you mean {meant!r}?" if meant else ""
