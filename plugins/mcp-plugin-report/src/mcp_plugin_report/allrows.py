"""Describes the columns of a source from all its rows: the source computes the figures, however many rows it has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, TypeVar

from mcp_host.tables import Aggregate, By, Measure
from mcp_plugin_report import bars
from mcp_plugin_report.app import Reports
from mcp_plugin_report.columns import (
    DAY,
    as_number,
    as_time,
    between,
    figures_of,
    limit_label,
    may_be_number,
    time_label,
)
from mcp_plugin_report.models import Bar, Chart, ColumnReport, Crosstab, Period, Source, Trend, TrendPoint
from mcp_plugin_report.sources import UnreadableError, read_aggregate
from mcp_plugin_report.texts import rounded, shown

T = TypeVar("T")

MOST_PERIODS: Final = 60
"""How many points a trend has at most."""

MOST_NUMBERS: Final = 3
"""How many columns of numbers a trend has."""

MOST_GROUPS: Final = 12
"""How many rows and columns a cross-tab has, before the others are put together."""

_PERIODS: Final[tuple[tuple[int, Period, int], ...]] = (
    (MOST_PERIODS - 2, "day", 10),
    ((MOST_PERIODS - 2) * 30, "month", 7),
    (4_000_000, "year", 4),
)
"""For spans of so many days: the name of a period, and how many characters of a date it has."""


async def count_rows(ctx: Reports, source: Source) -> int:
    """Return the number of rows. Raises UnreadableError."""
    ((count,),) = await read_aggregate(ctx, source, Aggregate((Measure("count"),)))
    return int(count)


async def describe_all(ctx: Reports, source: Source, first: ColumnReport, name: str, total: int) -> ColumnReport:
    """Describe a column from all rows. `first` is its description from the first rows, which has its kind.

    Raises:
        UnreadableError: The source cannot compute the figures.
    """
    kind = first.kind
    if kind == "empty":
        kind = "number" if may_be_number(first.type) else "text"
    measures = [Measure("count", name), Measure("distinct", name)]
    if kind in ("number", "time"):
        measures += [Measure("min", name), Measure("max", name)]
    ((count, distinct, *ends),) = await read_aggregate(ctx, source, Aggregate(tuple(measures)))
    column = first.model_copy(
        update={"kind": kind, "count": int(count), "missing": total - int(count), "distinct": int(distinct)}
        | {"chart": None, "figures": None, "first": None, "last": None}
    )
    if not column.count:
        return column.model_copy(update={"kind": "empty"})
    if kind == "number":
        least, greatest = (_known(as_number(end), name, "numbers", source) for end in ends)
        return await _number(ctx, source, name, column, least, greatest)
    if kind == "time":
        earliest, latest = (_known(as_time(end), name, "dates", source) for end in ends)
        return await _time(ctx, source, name, column, earliest, latest)
    return column.model_copy(update={"chart": await _most_frequent(ctx, source, name, column)})


async def trend(ctx: Reports, source: Source, time: str, numbers: Sequence[str], span: tuple[str, str]) -> Trend | None:
    """Return how many rows there are in each day, month or year, and the means of columns of numbers.

    Raises:
        UnreadableError: The source cannot compute them.
    """
    first, last = as_time(span[0]), as_time(span[1])
    if first is None or last is None:
        return None
    days = (last - first).days
    _, period, length = next(each for each in _PERIODS if days <= each[0])
    chosen = list(numbers)[:MOST_NUMBERS]
    measures = (Measure("count"), *(Measure("mean", name) for name in chosen))
    request = Aggregate(measures, (By(time, length),), limit=1000)
    rows = await read_aggregate(ctx, source, request)
    points = [
        TrendPoint(
            period=shown(row[0]),
            rows=int(row[1]),
            means=[
                None if (mean := as_number(value)) is None else rounded(float(mean), ctx.settings.digits)
                for value in row[2:]
            ],
        )
        for row in rows
    ]
    cut = max(len(points) - MOST_PERIODS, 0)
    names = [shown(name) for name in chosen]
    return Trend(column=shown(time), period=period, numbers=names, points=points[cut:], cut=cut)


async def crosstab(ctx: Reports, source: Source, row: str, column: str) -> Crosstab:
    """Return how often the values of two columns occur together.

    Raises:
        UnreadableError: The source cannot compute it.
    """
    request = Aggregate((Measure("count"),), (By(row), By(column)), order="most")
    found = [(shown(a), shown(b), int(count)) for a, b, count in await read_aggregate(ctx, source, request)]
    rows, columns = Counter[str](), Counter[str]()
    for a, b, count in found:
        rows[a] += count
        columns[b] += count
    kept_rows, kept_columns = ([name for name, _ in each.most_common(MOST_GROUPS)] for each in (rows, columns))
    cells = {(a, b): count for a, b, count in found}
    return Crosstab(
        row=shown(row),
        column=shown(column),
        rows=kept_rows,
        columns=kept_columns,
        counts=[[cells.get((a, b), 0) for b in kept_columns] for a in kept_rows],
        others=sum(count for a, b, count in found if a not in kept_rows or b not in kept_columns),
        complete=len(found) < request.limit,
    )


async def _number(
    ctx: Reports, source: Source, name: str, column: ColumnReport, low: float | int, high: float | int
) -> ColumnReport:
    ((found,),) = await read_aggregate(ctx, source, Aggregate((Measure("mean", name),)))
    mean = float(_known(as_number(found), name, "numbers", source))
    deviation = None
    if column.count > 1:
        request = Aggregate((Measure("deviations", name, mean),))
        squares = float(_known(as_number((await read_aggregate(ctx, source, request))[0][0]), name, "numbers", source))
        deviation = math.sqrt(squares / (column.count - 1))
    q1, median, q3 = [await _quartile(ctx, source, name, column.count, quarter) for quarter in (1, 2, 3)]
    figures = figures_of((low, q1, median, mean, q3, high), deviation, ctx.settings.digits)
    chart = await _few_numbers(ctx, source, name) if column.distinct <= bars.MOST_VALUES else None
    limits = bars.limits_of(float(low), float(high))
    if chart is None and limits is not None:
        counts = await _counts(ctx, source, name, limits.all, column.count)
        chart = bars.of_counts([limit_label(limit) for limit in limits.all], counts)
    return column.model_copy(update={"figures": figures, "chart": chart})


async def _few_numbers(ctx: Reports, source: Source, name: str) -> Chart | None:
    """Return a chart with a bar for each number, if all are whole."""
    found = await read_aggregate(ctx, source, Aggregate((Measure("count", name),), (By(name),)))
    counted = [(_known(as_number(value), name, "numbers", source), int(count)) for value, count in found]
    return bars.of_counted_numbers(counted) if all(float(value).is_integer() for value, _ in counted) else None


async def _quartile(ctx: Reports, source: Source, name: str, count: int, quarter: int) -> float | int:
    """Return a quartile, interpolated linearly between the two values beside it."""
    below, part = divmod(quarter * (count - 1), 4)
    rows = await read_aggregate(ctx, source, Aggregate((), (By(name),), limit=2, offset=below))
    numbers = [_known(as_number(row[0]), name, "numbers", source) for row in rows]
    return between(numbers[0], numbers[-1], Fraction(part, 4))


async def _time(
    ctx: Reports, source: Source, name: str, column: ColumnReport, first: datetime, last: datetime
) -> ColumnReport:
    low, high = first.timestamp(), last.timestamp()
    by_day = high - low >= 2 * DAY
    step = max(math.ceil((high - low) / bars.RANGES / DAY), 1) * DAY if by_day else None
    chart = None
    limits = bars.limits_of(low, high, step)
    if limits is not None:
        try:
            texts = [time_label(limit, by_day) for limit in limits.all]
        except (OverflowError, ValueError):
            texts = []  # a limit is before the year 1 or after 9999
        if texts:
            counts = await _counts(ctx, source, name, texts, column.count)
            chart = bars.of_counts(texts, counts)
    whole_days = all(each % DAY == 0 for each in (low, high))
    shape = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M:%S"
    ends = {"first": f"{first.astimezone(UTC):{shape}}", "last": f"{last.astimezone(UTC):{shape}}"}
    return column.model_copy(update={"kind": "time", "chart": chart, **ends})


def _known(value: T | None, name: str, what: str, source: Source) -> T:
    if value is None:
        raise UnreadableError(source.id, f"the values of {shown(name)} are not all {what}")
    return value


async def _counts(ctx: Reports, source: Source, name: str, limits: Sequence[Any], total: int) -> list[int]:
    """Return how many values are in each range. The last range has its upper limit, too."""
    request = Aggregate(tuple(Measure("below", name, limit) for limit in limits[1:-1]))
    below = [0]
    if request.measures:
        below += [int(count) for count in (await read_aggregate(ctx, source, request))[0]]
    below.append(total)
    return [after - before for before, after in pairwise(below)]


async def _most_frequent(ctx: Reports, source: Source, name: str, column: ColumnReport) -> Chart | None:
    request = Aggregate((Measure("count"),), (By(name),), order="most", limit=bars.MOST_VALUES)
    found = [(shown(value), int(count)) for value, count in await read_aggregate(ctx, source, request)]
    if not found or (column.distinct > bars.MOST_VALUES and found[0][1] == 1):
        return None
    others = column.count - sum(count for _, count in found)
    return Chart(shape="bars", bars=[Bar(label=label, count=count) for label, count in found], others=others)
