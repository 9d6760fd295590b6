"""The rows of a chart in SQL: which have a place on the x axis, in which series, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.models import Axis, ChartAggregate, ChartKind, Period
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.worker import steps
from mcp_plugin_stats.worker.grouping import aggregated
from mcp_plugin_stats.worker.labels import counted, unique
from mcp_plugin_stats.worker.session import Session
from mcp_plugin_stats.worker.sqlparts import finite

MOST: Final[dict[ChartKind, int]] = {"line": 2000, "bar": 100, "scatter": 2000, "box": 100}
"""The most points of a line or scatter chart, and the most values of x with bars or boxes."""

USUAL: Final[dict[ChartKind, int]] = {"line": 400, "bar": 30, "scatter": 500, "box": 30}
"""How many there are without `limit`."""

MOST_SERIES: Final = 10
"""The most series: as many as there are colours."""

LINE_VALUES: Final = 100
"""The most values of a line's x axis, if they are not numbers or times."""

FEW: Final = 60
"""Up to so many periods are drawn if most of them have no rows."""

ALL: Final = 1 << 20
"""More rows than a query for a chart returns."""


@dataclass(frozen=True)
class ChartRequest:
    """What is drawn. `digits` and `most_bytes` are those of the settings; `period` is None for an automatic one."""

    data: Dataset
    kind: ChartKind
    x: Column | None
    y: tuple[Column, ...]
    group: Column | None
    aggregate: ChartAggregate
    period: Period | None
    limit: int
    title: str | None
    image: bool
    digits: int
    most_bytes: int

    @property
    def over_time(self) -> bool:
        """Whether the x axis has dates."""
        return self.x is not None and self.x.kind.startswith(("date", "timestamp"))

    @property
    def over_numbers(self) -> bool:
        """Whether the x axis has numbers."""
        return self.x is not None and self.x.numeric

    @property
    def zone(self) -> str:
        """The end of a moment in ISO form: Z if the column has a time zone."""
        return "Z" if self.x is not None and self.x.kind == "timestamp with time zone" else ""

    @property
    def adds(self) -> bool:
        """Whether the value of no rows is 0."""
        return self.kind in ("line", "bar") and self.aggregate in ("count", "sum")


@dataclass
class Places:
    """The places on an x axis that is not that of a scatter chart.

    `rows` is the SQL of the rows with their `place`: the number of a value, or a step as `step.index` reads it.
    """

    axis: Axis
    rows: str
    values: list[Any] = field(default_factory=list)
    step: steps.Steps | None = None
    first: int = 0
    last: int = 0


class ChartRows:
    """The usable rows of a chart. In their SQL `x` and `g` are the columns for the axis and the series, `y0` ... y."""

    def __init__(self, session: Session, request: ChartRequest) -> None:
        self.session = session
        self.request = request
        self.notes: list[str] = []
        self.y = tuple(replace(column, name=f"y{number}") for number, column in enumerate(request.y))
        self.usable = f"(SELECT * FROM {self._every} WHERE {self._has_place})"
        self._count_left_out()
        self.series: list[str] = []
        self.groups = self._find_series()

    def select(self, sql: str) -> list[list[Any]]:
        """Return all rows of a SELECT."""
        return self.session.select(sql, ALL).rows

    @property
    def names(self) -> list[str | None]:
        """The names of the series. One series has no name."""
        return [*self.series] or [None]

    @property
    def in_series(self) -> str:
        """The usable rows in one of the series, with its number `gi`."""
        return f"(SELECT r.*, gi FROM {self.usable} r JOIN ({self.groups}) s ON r.g IS NOT DISTINCT FROM s.g)"

    @property
    def _every(self) -> str:
        """All rows, numbered. Values of y that are NaN or infinite are NULL."""
        request = self.request
        parts = ["row_number() OVER () AS n"] if request.kind == "scatter" else []
        parts.append(
            f"{self._x} AS x, {'false' if request.x is None else f'{quoted(request.x.name)} IS NULL'} AS empty"
        )
        parts.append(f"{quoted(request.group.name) if request.group is not None else 'NULL'} AS g")
        for n, column in enumerate(request.y):
            parts.append(f"{finite(column)} AS y{n}, {quoted(column.name)} IS NULL AS y{n}_empty")
        return f"(SELECT {', '.join(parts)} FROM {quoted(request.data.name)})"

    @property
    def _x(self) -> str:
        request = self.request
        if request.x is None:
            return "NULL"
        name = quoted(request.x.name)
        if request.over_time:
            return f"{name} AT TIME ZONE 'UTC'" if request.zone else f"TRY_CAST({name} AS TIMESTAMP)"
        return finite(request.x) if request.over_numbers else name

    @property
    def _has_place(self) -> str:
        """The condition for a place on the axis. A missing value has one only among values that are not continuous."""
        if self.request.over_time:
            return "(x IS NOT NULL AND isfinite(x) AND year(x) BETWEEN 1 AND 9999)"
        return "(x IS NOT NULL)" if self.request.over_numbers else "true"

    # What is left out

    def _count_left_out(self) -> None:
        """Count the rows without a value. Raises DataError if no row is left."""
        request = self.request
        figures = ["count(*) FILTER (empty)", f"count(*) FILTER (NOT empty AND {self._has_place} IS NOT TRUE)"]
        figures.append(f"count(*) FILTER ({self._has_place})")
        for column in self.y:
            y = column.name
            figures.append(f"count(*) FILTER ({self._has_place} AND {y}_empty)")
            figures.append(f"count(*) FILTER ({self._has_place} AND NOT {y}_empty AND {y} IS NULL)")
            figures.append(f"count({y}) FILTER ({self._has_place})")
        empty, odd, left, *counts = self.session.row(f"SELECT {', '.join(figures)} FROM {self._every}")
        if request.x is not None and (request.over_time or request.over_numbers):
            name = request.x.name
            self._note(empty, f"no value of {name} and {{}} left out")
            kind = "is infinite or outside of the years 1 to 9999" if request.over_time else "is NaN or infinite"
            self._note(odd, f"a value of {name} that {kind} and {{}} left out")
            if not left:
                raise DataError(f"Column {name!r} of {request.data.name!r} has no value that can be drawn.")
        for column, missing, endless, values in zip(request.y, counts[::3], counts[1::3], counts[2::3], strict=True):
            self._note(missing, f"no value of {column.name}")
            self._note(endless, f"NaN or an infinite value of {column.name}, which {{}} left out")
            if not values:
                where = "" if left == request.data.rows else " in the rows that have a place on the x axis"
                raise DataError(f"Column {column.name!r} of {request.data.name!r} has no finite value to draw{where}.")

    def _note(self, rows: int, text: str) -> None:
        if rows:
            has, be = ("has", "is") if rows == 1 else ("have", "are")
            self.notes.append(f"{counted(rows, 'row')} {has} {text.format(be)}.")

    def _note_others(self, others: list[Any], column: Column) -> None:
        values, rows = others
        if values:
            self.notes.append(
                f"{counted(values, 'other value')} of {column.name} ({counted(rows, 'row')}) "
                f"{'is' if values == 1 else 'are'} left out."
            )

    def _find_series(self) -> str:
        """Find the series, and return the SQL for their numbers. Of the groups, those with the most rows are series."""
        request = self.request
        if request.group is None:
            if len(request.y) > 1:
                self.series = unique([column.name for column in request.y])
            return "SELECT NULL AS g, 0 AS gi"
        ranked = (
            "SELECT g, c, row_number() OVER (ORDER BY c DESC, g) - 1 AS gi "
            f"FROM (SELECT g, count(*) AS c FROM {self.usable} GROUP BY g)"
        )
        found = self.select(f"SELECT g FROM ({ranked}) WHERE gi < {MOST_SERIES} ORDER BY gi")
        self.series = unique([label for (label,) in found])
        others = f"SELECT count(*), coalesce(sum(c), 0) FROM ({ranked}) WHERE gi >= {MOST_SERIES}"
        self._note_others(self.session.row(others), request.group)
        return f"SELECT g, gi FROM ({ranked}) WHERE gi < {MOST_SERIES}"

    # The x axis

    def places(self) -> Places:
        """Return the places on the x axis: periods, ranges or values."""
        request = self.request
        if request.over_time:
            return self._periods()
        if request.over_numbers:
            low, high, different = self.session.row(
                f"SELECT min(CAST(x AS DOUBLE)), max(CAST(x AS DOUBLE)), count(DISTINCT x) FROM {self.usable}"
            )
            if different > request.limit:
                return self._ranges(low, high, different)
        return self._values()

    def _periods(self) -> Places:
        request = self.request
        assert request.x is not None
        low, high = self.session.row(f"SELECT min(x), max(x) FROM {self.usable}")
        ends = steps.moment(low), steps.moment(high)
        period = request.period or self._closest(*ends)
        step = steps.Periods(period, request.zone)
        first, last = (steps.index_of(end, period) for end in ends)
        if last - first >= request.limit:
            first = last - request.limit + 1
            start = f"TIMESTAMP '{steps.start_of(first, period)}'"
            cut, rows = self.session.row(
                f"SELECT count(DISTINCT {step.sql('x')}), count(*) FROM {self.usable} WHERE x < {start}"
            )
            self.notes.append(
                f"Only the last {counted(request.limit, period)} of the axis {'is' if request.limit == 1 else 'are'} "
                f"drawn: {counted(cut, f'earlier {period}')} with {counted(rows, 'row')} left out."
            )
            placed = f"(SELECT *, {step.sql('x')} AS place FROM {self.in_series} WHERE x >= {start})"
        else:
            placed = f"(SELECT *, {step.sql('x')} AS place FROM {self.in_series})"
        title = f"{request.x.name} ({period}{', UTC' if request.zone else ''})"
        axis = Axis(title=title, scale="time" if request.kind == "line" else "bands", period=period)
        return Places(axis, placed, step=step, first=first, last=last)

    def _closest(self, low: Any, high: Any) -> Period:
        """Return the period that fits the dates and the limit."""
        request = self.request
        shortest = "day" if request.x is not None and request.x.kind == "date" else "second"
        spans = [
            (period, steps.index_of(high, period) - steps.index_of(low, period) + 1)
            for period in steps.PERIODS[steps.PERIODS.index(shortest) :]
        ]
        fitting = [(period, number) for period, number in spans if number <= request.limit] or spans[-1:]
        figures = ", ".join(f"count(DISTINCT {steps.Periods(period).sql('x')})" for period, _ in fitting)
        filled = self.session.row(f"SELECT {figures} FROM {self.usable}")
        return steps.closest(
            [(period, number, rows) for (period, number), rows in zip(fitting, filled, strict=True)], FEW
        )

    def _ranges(self, low: float, high: float, different: int) -> Places:
        request = self.request
        assert request.x is not None
        check_span(low, high, request.x.name)
        step = steps.ranges(low, high, request.limit)
        at = step.sql("CAST(x AS DOUBLE)")
        first, last = self.session.row(f"SELECT min({at}), max({at}) FROM {self.usable}")
        self.notes.append(
            f"{request.x.name} has {different:,} different values: they are in ranges of {step.at(1)}"
            f"{', and a point stands in the middle of its range' if request.kind == 'line' else ''}."
        )
        axis = Axis(title=request.x.name, scale="number" if request.kind == "line" else "bands")
        return Places(axis, f"(SELECT *, {at} AS place FROM {self.in_series})", step=step, first=first, last=last)

    def _values(self) -> Places:
        """Return the values of x: of a bar chart those with the largest values of y, else those with the most rows."""
        request = self.request
        ordered = (
            request.kind == "line" or (request.x is not None and request.x.kind in ORDERED) or request.over_numbers
        )
        figure = aggregated(self.y[0] if self.y else None, request.aggregate) if request.kind == "bar" else "count(*)"
        limit = (
            min(request.limit, LINE_VALUES) if request.kind == "line" and not request.over_numbers else request.limit
        )
        ranked = (
            "SELECT x, c, row_number() OVER (ORDER BY v DESC NULLS LAST, x) - 1 AS k "
            f"FROM (SELECT x, count(*) AS c, {figure} AS v FROM {self.usable} GROUP BY x)"
        )
        order = "x NULLS LAST" if ordered else "k"
        kept = f"SELECT x, row_number() OVER (ORDER BY {order}) - 1 AS place FROM ({ranked}) WHERE k < {limit}"
        values = [value for (value,) in self.select(f"SELECT x FROM ({kept}) ORDER BY place")]
        if request.x is not None:
            others = f"SELECT count(*), coalesce(sum(c), 0) FROM ({ranked}) WHERE k >= {limit}"
            self._note_others(self.session.row(others), request.x)
        axis = Axis(title=request.x.name if request.x is not None else "", scale="bands" if ordered else "categories")
        if request.kind == "line" and request.over_numbers:
            axis.scale = "number"
        else:
            axis.values = values
            axis.labels = [""] if request.x is None else unique(values)
        rows = f"(SELECT r.*, place FROM {self.in_series} r JOIN ({kept}) k ON r.x IS NOT DISTINCT FROM k.x)"
        return Places(axis, rows, values)


ORDERED: Final = frozenset(("boolean", "time", "time with time zone", "interval"))
"""Kinds of columns whose values have an order that a reader expects."""


def check_span(low: float, high: float, what: str) -> None:
    """Raise DataError if an axis cannot have these ends."""
    span = high - low
    if not abs(span) <= LARGEST or (span and low + span / 1000 == low):
        raise DataError(f"{what} is from {low:g} to {high:g}: that cannot be drawn.")


LARGEST: Final = 1e300
"""The longest axis. Drawing needs some numbers beyond its ends."""
