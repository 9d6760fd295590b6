"""What one plugin asks another one about all rows of a table: a few aggregates, and the SQL for them.

A plugin that serves tables offers a resource `.../aggregate{?request}`. It reads the request with `Aggregate.parse` and
runs `sql`. A plugin that needs figures writes a request and gets columns and rows. Both use this module, so that a
request has one meaning. A request names columns of one table and functions of a short list; it has no SQL of its own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

Function = Literal["count", "distinct", "min", "max", "mean", "deviations", "below"]

MOST_MEASURES: Final = 100
"""The most measures of one request."""

MOST_ROWS: Final = 1000
"""The most rows of one answer."""

_FORMS: Final = {
    "count": "count({0})",
    "distinct": "count(DISTINCT {0})",
    "min": "min({0})",
    "max": "max({0})",
    "mean": "avg({0} * 1e0)",
    "deviations": "sum(({0} - {1}) * ({0} - {1}))",
    "below": "sum(CASE WHEN {0} < {1} THEN 1 ELSE 0 END)",
}
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)?")


@dataclass(frozen=True)
class Measure:
    """A figure of a group of rows.

    `count` counts rows, or the values of a column. `deviations` is the sum of the squared differences from `value`, and
    `below` counts what is less than `value`: a number, or a date or time in ISO form.
    """

    function: Function
    column: str | None = None
    value: float | int | str | None = None


@dataclass(frozen=True)
class By:
    """A column whose values make the groups; with `prefix`, the first characters of its text (a month has 7)."""

    column: str
    prefix: int | None = None


@dataclass(frozen=True)
class Aggregate:
    """A request. Without `measures`, the answer has the values of `by` themselves, sorted, from `offset` on.

    Rows where a column of `by` is missing are left out.
    """

    measures: tuple[Measure, ...] = ()
    by: tuple[By, ...] = ()
    order: Literal["value", "most"] = "value"
    limit: int = MOST_ROWS
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Aggregate:
        """Read a request.

        Raises:
            ValueError: It has another form. The error's text says what is wrong.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            measures = tuple(Measure(*each) for each in found.pop("measures", []))
            by = tuple(By(*each) for each in found.pop("by", []))
            request = cls(measures, by, **found)
            request._check()
        except (TypeError, AttributeError, KeyError, RecursionError) as error:
            raise ValueError(f"the request is not an aggregate: {error}") from None
        return request

    def text(self) -> str:
        """Return the request as `parse` reads it."""
        measures = [[each.function, each.column, each.value] for each in self.measures]
        by = [[each.column, each.prefix] for each in self.by]
        rest = {"order": self.order, "limit": self.limit, "offset": self.offset}
        return json.dumps({"measures": measures, "by": by, **rest}, separators=(",", ":"))

    def sql(self, table: str, columns: Collection[str], quoted: Callable[[str], str]) -> str:
        """Return the query, in the SQL that DuckDB, SQLite, PostgreSQL and MySQL share.

        `table` is the table as it is written in SQL, `columns` its columns. `quoted` quotes a name.

        Raises:
            ValueError: The table has no such column.
        """
        for name in [each.column for each in self.measures] + [each.column for each in self.by]:
            if name is not None and name not in columns:
                raise ValueError(f"there is no column {name!r}")
        groups = [_group(each, quoted) for each in self.by]
        figures = [_figure(each, quoted) for each in self.measures]
        parts = [f"SELECT {', '.join(f'{text} AS c{number}' for number, text in enumerate(groups + figures))}"]
        parts.append(f"FROM {table}")
        if self.by:
            parts.append("WHERE " + " AND ".join(f"{quoted(each.column)} IS NOT NULL" for each in self.by))
        if self.by and self.measures:
            parts.append("GROUP BY " + ", ".join(groups))
        if self.by:
            values = ", ".join(str(number) for number in range(1, len(groups) + 1))
            parts.append(f"ORDER BY {f'count(*) DESC, {values}' if self.order == 'most' else values}")
        return " ".join([*parts, f"LIMIT {self.limit} OFFSET {self.offset}"])

    def _check(self) -> None:
        if not _is_whole(self.limit) or not _is_whole(self.offset) or self.offset < 0:
            raise ValueError("limit and offset are whole numbers")
        if not 1 <= self.limit <= MOST_ROWS or len(self.measures) > MOST_MEASURES or len(self.by) > 2:
            raise ValueError(f"at most {MOST_MEASURES} measures, 2 columns to group by and {MOST_ROWS} rows")
        if not self.measures and not self.by:
            raise ValueError("the request asks for nothing")
        if self.order not in ("value", "most"):
            raise ValueError(f"the order is {self.order!r}: it is value or most")
        for each in self.by:
            if each.prefix is not None and not (_is_whole(each.prefix) and 1 <= each.prefix <= 32):
                raise ValueError("a prefix has from 1 to 32 characters")
        for measure in self.measures:
            if measure.function not in _FORMS or (measure.column is None and measure.function != "count"):
                raise ValueError(f"{measure.function!r} is no measure of a column")
            if measure.function in ("deviations", "below"):
                _literal(measure.value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _group(by: By, quoted: Callable[[str], str]) -> str:
    name = quoted(by.column)
    return name if by.prefix is None else f"substr(CAST({name} AS CHAR(32)), 1, {by.prefix})"


def _figure(measure: Measure, quoted: Callable[[str], str]) -> str:
    if measure.column is None:
        return "count(*)"
    value = _literal(measure.value) if measure.function in ("deviations", "below") else ""
    return _FORMS[measure.function].format(quoted(measure.column), value)


def _literal(value: object) -> str:
    """Return a number or a date as SQL has it. A number has an exponent, so that no database takes it for a decimal."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return f"'{value}'"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a value is a finite number, or a date or time in ISO form")
    text = repr(value)
    return text if (isinstance(value, int) and abs(value) < 2**63) or "e" in text else f"{text}e0"
