"""Where the points of a chart are, as plain numbers: for the ends of its axes and for drawing."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from mcp_plugin_stats.models import Axis, Chart
from mcp_plugin_stats.worker.steps import seconds


def place(axis: Axis, value: Any) -> float:
    """Return where a value of x is: on an axis of time in seconds from 1970, among values by its number."""
    if axis.scale == "time":
        return seconds(str(value))
    # Among values, true is not 1.
    return float(value) if axis.scale == "number" else [*map(repr, axis.values)].index(repr(value))


def x_ends(chart: Chart) -> tuple[float, float]:
    """Return the smallest and the largest place on the x axis."""
    places = [place(chart.x, point.x) for point in chart.points]
    return min(places), max(places)


def y_ends(chart: Chart) -> tuple[float, float]:
    """Return the ends of the y axis, with zero if it belongs to it."""
    ends = [float(end) for box in chart.boxes for end in (box.min, box.max)]
    if chart.stacked:
        sums: dict[Any, float] = defaultdict(float)
        for point in chart.points:
            sums[point.x] += float(point.y or 0)
        ends += sums.values()
    else:
        ends += [float(point.y) for point in chart.points if point.y is not None]
    if chart.y.zero:
        ends.append(0.0)
    return min(ends), max(ends)


def lies(chart: Chart) -> bool:
    """Whether bars and boxes are horizontal. They are for categories, whose names are long."""
    return chart.kind in ("bar", "box") and chart.x.scale == "categories"
