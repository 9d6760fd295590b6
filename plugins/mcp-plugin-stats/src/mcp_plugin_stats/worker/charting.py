"""Computes a chart from all rows of a data set: the points of lines, bars and scatter charts, and boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.models import Axis, Box, Chart, Point
from mcp_plugin_stats.values import rounded
from mcp_plugin_stats.worker import extents, steps, vegalite
from mcp_plugin_stats.worker.chartrows import ChartRequest, ChartRows, Places, check_span
from mcp_plugin_stats.worker.drawing import draw
from mcp_plugin_stats.worker.grouping import aggregated
from mcp_plugin_stats.worker.labels import LONGEST_TITLE, counted, short
from mcp_plugin_stats.worker.session import Session

OUTLIERS: Final = 20
"""The most outliers that are drawn for a box."""

KEPT_DIGITS: Final = 5
"""At least so many digits of the largest value are kept after its first one."""


def make_chart(session: Session, request: ChartRequest) -> tuple[Chart, bytes | None]:
    """Return the chart, at most as large as the settings allow, and its image. Raises DataError."""
    if not request.data.rows:
        raise DataError(f"Data set {request.data.name!r} has no rows.")
    while True:
        chart = _chart(session, request)
        size = len(chart.model_dump_json().encode())
        if size <= request.most_bytes:
            return chart, draw(chart) if request.image else None
        if request.limit == 1:
            raise DataError(
                f"The chart has {size:,} bytes, more than max_result_bytes ({request.most_bytes:,}): draw fewer "
                "series, or raise that setting."
            )
        drawn = max(len(chart.x.values), len(chart.points) // max(len(chart.series), 1), 2)
        request = replace(request, limit=max(int(min(request.limit, drawn) * 0.9 * request.most_bytes / size), 1))


def _chart(session: Session, request: ChartRequest) -> Chart:
    rows = ChartRows(session, request)
    points: list[Point] = []
    boxes: list[Box] = []
    if request.kind == "scatter":
        axis, points = _scatter(rows)
    else:
        places = rows.places()
        axis = places.axis
        if request.kind == "box":
            boxes = _boxes(rows, places)
        else:
            points = _aggregates(rows, places)
    axis.title = short(axis.title)
    y = Axis(title=short(_y_title(request)), scale="number", zero=request.kind == "bar" or request.adds)
    chart = Chart(
        dataset=request.data.name,
        kind=request.kind,
        title=short(request.title or _title(request, axis), LONGEST_TITLE),
        rows=request.data.rows,
        notes=rows.notes,
        warnings=list(request.data.warnings),
        x=axis,
        y=y,
        group=short(request.group.name) if request.group is not None else None,
        series=rows.series,
        stacked=request.kind == "bar" and request.adds and request.group is not None and _none_negative(points),
        points=points,
        boxes=boxes,
        vega_lite={},
    )
    check_span(*extents.y_ends(chart), y.title)
    if axis.scale in ("number", "time"):
        check_span(*extents.x_ends(chart), axis.title)
    if axis.scale == "time":
        moments = sorted((str(point.x) for point in points), key=steps.moment)
        shortest = axis.period or ("day" if len(moments[0]) == len("2024-01-31") else "second")
        axis.ticks = steps.ticks(moments[0], moments[-1], shortest)
    return chart.model_copy(update={"vega_lite": vegalite.specification(chart)})


def _none_negative(points: Iterable[Point]) -> bool:
    return all(point.y is None or float(point.y) >= 0 for point in points)


def _y_title(request: ChartRequest) -> str:
    if request.kind in ("scatter", "box"):
        return request.y[0].name if len(request.y) == 1 else "value"
    if not request.y:
        return "rows"
    return f"{request.aggregate} of {request.y[0].name}" if len(request.y) == 1 else request.aggregate


def _title(request: ChartRequest, axis: Axis) -> str:
    columns = ", ".join(column.name for column in request.y)
    what = columns if request.kind in ("scatter", "box") else f"{request.aggregate} of {columns or 'rows'}"
    parts = [f"{request.data.name}: {what}"]
    if request.x is not None:
        parts.append(f"{'against' if request.kind == 'scatter' else 'by'} {axis.title}")
    if request.group is not None:
        parts.append(f"for each {request.group.name}")
    return " ".join(parts)


# Lines and bars


def _aggregates(rows: ChartRows, places: Places) -> list[Point]:
    """Return the aggregates for each place on the axis and each series."""
    request = rows.request
    figures = [aggregated(column, request.aggregate) for column in rows.y] or ["count(*)"]
    figures += [f"count({column.name})" for column in rows.y] or ["count(*)"]
    half = len(figures) // 2
    found = {}
    for at, gi, *cells in rows.select(f"SELECT place, gi, {', '.join(figures)} FROM {places.rows} GROUP BY place, gi"):
        index = at if places.step is None else places.step.index(at)
        names = [rows.series[gi]] if request.group is not None else rows.names
        for name, y, used in zip(names, cells[:half], cells[half:], strict=True):
            found[index, name] = (0 if y is None and request.adds else y), used
    indexes = sorted({index for index, _ in found})
    if places.step is not None:
        indexes = _without_gaps(rows, places, indexes)
        if places.axis.scale == "bands":
            places.axis.values = [places.step.start(index) for index in indexes]
            places.axis.labels = [places.step.label(index) for index in indexes]
    digits = _digits((y for y, _ in found.values()), request.digits)
    points = []
    for index in indexes:
        for name in rows.names:
            if (index, name) not in found and not (request.adds and places.step is not None):
                continue
            y, used = found.get((index, name), (0, 0))
            if request.aggregate in ("sum", "mean", "median") and isinstance(y, float):
                y = rounded(y, digits)
            points.append(Point(x=_x(request, places, index), y=y, series=name, rows=used))
    return points


def _without_gaps(rows: ChartRows, places: Places, indexes: list[int]) -> list[int]:
    """Return the steps to draw: for counts and sums, those without rows, too."""
    every = places.last - places.first + 1
    gaps = every - len(indexes)
    if gaps:
        what = places.axis.period or "range"
        value = ": their value is 0" if rows.request.adds else ", and no point" if rows.request.kind == "line" else ""
        rows.notes.append(f"{gaps:,} of {counted(every, what)} have no rows{value}.")
    return list(range(places.first, places.last + 1)) if rows.request.adds else indexes


def _x(request: ChartRequest, places: Places, index: int) -> Any:
    if places.step is None:
        return places.values[index]
    if request.kind == "line" and isinstance(places.step, steps.Ranges):
        return places.step.at(index + 0.5)
    return places.step.start(index)


def _digits(values: Iterable[Any], digits: int) -> int:
    """Return how many decimals are kept, so that small differences can still be seen."""
    numbers = [abs(float(value)) for value in values if value is not None]
    numbers = [number for number in numbers if math.isfinite(number) and number]
    return max(digits, KEPT_DIGITS - math.floor(math.log10(max(numbers)))) if numbers else digits


# Scatter charts


def _scatter(rows: ChartRows) -> tuple[Axis, list[Point]]:
    """Return the axis and the points: all, or a fixed sample with the smallest and largest values."""
    request = rows.request
    assert request.x is not None
    used = " OR ".join(f"{column.name} IS NOT NULL" for column in rows.y)
    drawable = f"(SELECT * FROM {rows.in_series} WHERE {used})"
    names = ["x", *(column.name for column in rows.y)]
    ends = ", ".join(f"arg_min(n, {name}), arg_max(n, {name})" for name in names)
    count, *extreme = rows.session.row(f"SELECT count(*), {ends} FROM {drawable}")
    most = max(request.limit // len(rows.y), 1)
    if count > most:
        rows.notes.append(f"Of {count:,} rows with both values, {most:,} are drawn: a sample that is always the same.")
    kept = ", ".join(str(number) for number in extreme if number is not None)
    sample = f"SELECT * FROM {drawable} ORDER BY n IN ({kept}) DESC, hash(n), n LIMIT {most}"
    points = []
    for x, gi, *ys in rows.select(f"SELECT x, gi, {', '.join(names[1:])} FROM ({sample}) ORDER BY n"):
        if request.over_time:
            x = x[: len("2024-01-31")] if request.x.kind == "date" else f"{x}{request.zone}"
        series = [rows.series[gi]] if request.group is not None else rows.names
        points += [Point(x=x, y=y, series=name) for name, y in zip(series, ys, strict=True) if y is not None]
    title = f"{request.x.name}{' (UTC)' if request.zone else ''}"
    return Axis(title=title, scale="time" if request.over_time else "number"), points


# Boxes


def _boxes(rows: ChartRows, places: Places) -> list[Box]:
    """Return the boxes of each place on the axis and each series."""
    request = rows.request
    found = []
    for number, column in enumerate(rows.y):
        for at, gi, *figures in _quartiles(rows, places, column.name):
            index = at if places.step is None else places.step.index(at)
            found.append((index, gi if request.group is not None else number, figures))
    found.sort(key=lambda each: each[:2])
    if places.step is not None:
        indexes = _without_gaps(rows, places, sorted({index for index, _, _ in found}))
        places.axis.values = [places.step.start(index) for index in indexes]
        places.axis.labels = [places.step.label(index) for index in indexes]
    ends = [end for _, _, (_, low, _, _, _, _, high, *_) in found for end in (low, high)]
    digits = _digits(ends, request.digits)
    boxes = []
    for index, series, (count, least, low, q1, median, q3, high, most, beyond, outliers) in found:
        q1, median, q3 = (rounded(cut, digits) for cut in (q1, median, q3))
        boxes.append(
            Box(
                **{"x": _x(request, places, index), "series": rows.names[series], "rows": count},
                **{"min": least, "low": low, "q1": q1, "median": median, "q3": q3, "high": high, "max": most},
                **{"beyond": beyond, "outliers": outliers},
            )
        )
    return boxes


def _quartiles(rows: ChartRows, places: Places, y: str) -> Sequence[Sequence[Any]]:
    """Return the place, the group and the figures of each box of a column, the outliers last."""
    values = f"(SELECT place, gi, {y} AS v, CAST({y} AS DOUBLE) AS d FROM {places.rows} WHERE {y} IS NOT NULL)"
    cuts = ", ".join(f"quantile_cont(d, {part}) AS q{n}" for n, part in enumerate((0.25, 0.5, 0.75), 1))
    boxes = f"(SELECT place, gi, {cuts} FROM {values} GROUP BY place, gi)"
    fenced = (
        f"(SELECT v.*, q1, q2, q3, d BETWEEN q1 - 1.5 * (q3 - q1) AND q3 + 1.5 * (q3 - q1) AS inside FROM {values} v "
        f"JOIN {boxes} b ON v.place = b.place AND v.gi = b.gi)"
    )
    found = rows.select(
        "SELECT place, gi, count(*), min(v), min(v) FILTER (inside), any_value(q1), any_value(q2), any_value(q3), "
        f"max(v) FILTER (inside), max(v), count(*) FILTER (NOT inside) FROM {fenced} GROUP BY place, gi"
    )
    outliers: dict[tuple[Any, int], list[Any]] = {}
    beyond = f"(SELECT DISTINCT place, gi, v, abs(d - q2) AS away FROM {fenced} WHERE NOT inside)"
    rank = "row_number() OVER (PARTITION BY place, gi ORDER BY away DESC, v)"
    for at, gi, v in rows.select(
        f"SELECT place, gi, v FROM {beyond} QUALIFY {rank} <= {OUTLIERS} ORDER BY place, gi, away DESC, v"
    ):
        outliers.setdefault((at, gi), []).append(v)
    return [[*row, outliers.get((row[0], row[1]), [])] for row in found]
