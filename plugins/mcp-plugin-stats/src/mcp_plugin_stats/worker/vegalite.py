"""Writes a chart as a Vega-Lite specification that has its data.

The fields of the data have names of their own, so that the names of columns, which may have any characters, are only
titles. Numbers beyond 2^53 are rounded, because Vega draws with doubles.
"""

from __future__ import annotations

from typing import Any, Final

from mcp_plugin_stats.models import Axis, Chart
from mcp_plugin_stats.worker.extents import lies, place
from mcp_plugin_stats.worker.steps import d3_format

SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"

PALETTE: Final = (
    *("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b", "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac"),
)
"""The colours of the series."""

MARKED: Final = 60
"""A line with at most so many places has a mark at each."""

_WIDTH, _HEIGHT, _STEP = 600, 320, 22


def specification(chart: Chart) -> dict[str, Any]:
    """Return the specification."""
    spec: dict[str, Any] = {"$schema": SCHEMA, "title": {"text": chart.title, "anchor": "start"}}
    long, short = ("height", "width") if lies(chart) else ("width", "height")
    beside = len(chart.series) if chart.series and not chart.stacked else 1
    spec[long] = {"step": max(_STEP, 10 * beside + 6), "for": "position"} if lies(chart) else _WIDTH
    spec[short] = _WIDTH if lies(chart) else _HEIGHT
    spec["config"] = {"axis": {"labelLimit": 240}, "mark": {"color": PALETTE[0]}}
    return spec | (_boxes(chart) if chart.kind == "box" else _points(chart))


def _points(chart: Chart) -> dict[str, Any]:
    rows = [_row(chart, point.x, point.series, y=_number(point.y)) for point in chart.points if point.y is not None]
    y: dict[str, Any] = {**_y(chart), "field": "y"}
    encoding = _encoding(chart)
    if chart.kind == "bar":
        mark: dict[str, Any] = {"type": "bar"}
        y["stack"] = "zero" if chart.stacked else None
    elif chart.kind == "line":
        few = len({row["x"] for row in rows}) <= MARKED
        mark = {"type": "line", "point": few or _single(chart)}
    else:
        mark = {"type": "point", "filled": True, "opacity": 0.6, "size": 30}
    encoding["x" if lies(chart) else "y"] = y
    if chart.stacked:
        encoding.pop("yOffset" if lies(chart) else "xOffset", None)
    return {"data": {"values": rows}, "mark": {**mark, "tooltip": True}, "encoding": encoding}


def _single(chart: Chart) -> bool:
    """Whether a series has only one point, of which no line can be drawn."""
    names = [point.series for point in chart.points]
    return any(names.count(name) == 1 for name in chart.series) or len(names) == 1


def _boxes(chart: Chart) -> dict[str, Any]:
    rows = []
    outliers = []
    for box in chart.boxes:
        ends = {"low": _number(box.low), "q1": box.q1, "median": box.median, "q3": box.q3, "high": _number(box.high)}
        rows.append(_row(chart, box.x, box.series, **ends))
        outliers += [_row(chart, box.x, box.series, y=_number(value)) for value in box.outliers]
    across = "x" if lies(chart) else "y"
    y = _y(chart)

    def layer(mark: dict[str, Any], first: str, second: str | None = None, **more: Any) -> dict[str, Any]:
        encoding = {across: {**y, "field": first}}
        if second is not None:
            encoding[f"{across}2"] = {"field": second}
        return {"mark": {**mark, "tooltip": True}, "encoding": encoding, **more}

    width = max(3, min(16, 30 if not chart.series else 80 // len(chart.series)))
    layers = [
        layer({"type": "rule", "color": PALETTE[0]}, "low", "high"),
        layer({"type": "bar", "size": width}, "q1", "q3"),
        layer({"type": "tick", "color": "white", "size": width, "thickness": 2}, "median"),
    ]
    # The median is white on every box.
    layers[2]["encoding"]["color"] = {"value": "white"}
    if outliers:
        layers.append(layer({"type": "point", "size": 15}, "y", data={"values": outliers}))
    return {"data": {"values": rows}, "encoding": _encoding(chart), "layer": layers}


def _row(chart: Chart, x: Any, series: str | None, **figures: Any) -> dict[str, Any]:
    row = {"x": _x_value(chart.x, x), **figures}
    return row if series is None else {**row, "series": series}


def _x_value(axis: Axis, value: Any) -> Any:
    if axis.scale == "number":
        return _number(value)
    if axis.scale == "time":
        # Without a zone, Vega reads a moment in the zone of the reader.
        text = str(value)
        return text if text.endswith("Z") else f"{text}Z" if "T" in text else f"{text}T00:00:00Z"
    return axis.labels[int(place(axis, value))]


def _number(value: Any) -> int | float:
    return float(value) if isinstance(value, str) else value


def _encoding(chart: Chart) -> dict[str, Any]:
    """Return the encoding of x and of the series."""
    axis = chart.x
    x: dict[str, Any] = {"field": "x", "title": axis.title or None}
    if axis.scale == "number":
        x |= {"type": "quantitative", "scale": {"zero": False}}
    elif axis.scale == "time":
        ticks = [1000 * place(axis, tick.value) for tick in axis.ticks]
        x |= {"type": "temporal", "scale": {"type": "utc"}}
        x["axis"] = {"values": ticks, "format": d3_format(axis.ticks)}
    else:
        turned = max(map(len, axis.labels)) * len(axis.labels) > 100
        x |= {"type": "ordinal" if axis.scale == "bands" else "nominal", "sort": None, "scale": {"domain": axis.labels}}
        x["axis"] = (
            ({} if axis.title else None) if lies(chart) else {"labelAngle": -45 if turned else 0, "labelOverlap": True}
        )
    along = "y" if lies(chart) else "x"
    encoding: dict[str, Any] = {along: x}
    if chart.series:
        scale = {"domain": chart.series, "range": list(PALETTE[: len(chart.series)])}
        encoding["color"] = {"field": "series", "type": "nominal", "title": chart.group, "sort": None, "scale": scale}
        if chart.kind in ("bar", "box"):
            encoding[f"{along}Offset"] = {"field": "series", "type": "nominal", "sort": None}
            encoding[f"{along}Offset"]["scale"] = {"domain": chart.series}
    return encoding


def _y(chart: Chart) -> dict[str, Any]:
    return {"type": "quantitative", "title": chart.y.title, "scale": {"zero": chart.y.zero}}
