"""Writes a chart as text for a model."""

from __future__ import annotations

from typing import Final

from mcp_plugin_stats.models import Box, Chart, Point
from mcp_plugin_stats.worker.labels import NO_VALUE, counted, short

LISTED: Final = 40
"""The most points that are listed; of more, only some figures are."""


def summary(chart: Chart) -> str:
    """Return what is drawn, what is left out, and the figures or the most important of them."""
    lines = [f"{chart.title} ({chart.kind} chart, {counted(chart.rows, 'row')})"]
    lines += [*chart.notes, *chart.warnings]
    figures = [_box(chart, box) for box in chart.boxes] + [_point(chart, point) for point in chart.points]
    if chart.kind == "scatter":
        lines.append(f"{counted(len(chart.points), 'point')}.")
        figures = []
    if len(figures) <= LISTED:
        return "\n".join(lines + figures)
    names: list[str | None] = [*chart.series] or [None]
    lines += [_ends(chart, name) for name in names]
    return "\n".join(lines)


def _ends(chart: Chart, series: str | None) -> str:
    """Return the first, last, smallest and largest point of a series, or of the boxes the number."""
    points = [point for point in chart.points if point.series == series and point.y is not None]
    if not points:
        boxes = [box for box in chart.boxes if box.series == series]
        return f"{_named(series)}{len(boxes):,} boxes."
    least, most = (pick(points, key=lambda point: float(point.y or 0)) for pick in (min, max))
    found = {"first": points[0], "last": points[-1], "smallest": least, "largest": most}
    return f"{_named(series)}{len(points):,} points; " + "; ".join(
        f"{name} {point.y} at {_place(chart, point.x)}" for name, point in found.items()
    )


def _point(chart: Chart, point: Point) -> str:
    rows = "" if point.rows is None or point.rows == point.y else f" ({counted(point.rows, 'row')})"
    return f"{_named(point.series)}{_place(chart, point.x)}: {'no value' if point.y is None else point.y}{rows}"


def _box(chart: Chart, box: Box) -> str:
    where = f"{_place(chart, box.x)}: " if chart.x.title else ""
    beyond = f", {box.beyond:,} beyond the whiskers {box.low} and {box.high}" if box.beyond else ""
    quartiles = f"quartiles {box.q1:.15g}, {box.median:.15g}, {box.q3:.15g}"
    return f"{_named(box.series)}{where}{quartiles}, from {box.min} to {box.max} ({counted(box.rows, 'value')}{beyond})"


def _named(series: str | None) -> str:
    return "" if series is None else f"{series}, "


def _place(chart: Chart, x: object) -> str:
    if x is None:
        return NO_VALUE
    for value, label in zip(chart.x.values, chart.x.labels, strict=True):
        if value == x and isinstance(value, bool) == isinstance(x, bool):
            return label
    return short(str(x), 40)
