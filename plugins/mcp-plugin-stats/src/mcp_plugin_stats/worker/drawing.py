"""Draws a chart as a PNG with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_plugin_stats.models import Chart, Point
from mcp_plugin_stats.worker.canvas import canvas, png_of
from mcp_plugin_stats.worker.extents import lies, place
from mcp_plugin_stats.worker.labels import short
from mcp_plugin_stats.worker.vegalite import MARKED, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE: Final = 0.8
"""The part of a place on the axis that bars and boxes fill."""

_LONG_LABEL: Final = 24
"""The most characters of a label beside the axis."""

_CHARACTERS: Final = 80
"""About how many characters of labels fit below the axis."""

_TURNED: Final = 24
"""How many labels fit below the axis if they are turned."""


def draw(chart: Chart) -> bytes:
    """Return the image, 800 pixels wide and 500 or more high."""
    from matplotlib.patches import Patch

    lying = lies(chart)
    beside = len(chart.series) if chart.series and not chart.stacked else 1
    height = max(5.0, 1.2 + len(chart.x.labels) * max(0.22, 0.11 * beside)) if lying else 5.0
    with canvas(height) as (figure, axes):
        {"line": _lines, "bar": _bars, "scatter": _scatter, "box": _boxes}[chart.kind](axes, chart)
        axes.set_title(chart.title, parse_math=False, loc="left", fontsize=11, wrap=True)
        along, across = (axes.yaxis, axes.xaxis) if lying else (axes.xaxis, axes.yaxis)
        along.set_label_text(chart.x.title, parse_math=False)
        across.set_label_text(chart.y.title, parse_math=False)
        across.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        _label(axes, chart, lying)
        if chart.series:
            title = short(chart.group, _LONG_LABEL) if chart.group is not None else None
            names = [short(name, _LONG_LABEL) for name in chart.series]
            marks = [Patch(color=colour) for colour in PALETTE[: len(names)]]
            style: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
            legend = axes.legend(marks, names, title=title, fontsize=9, **style)
            for text in [*legend.get_texts(), legend.get_title()]:
                text.set_parse_math(False)
        return png_of(figure)


def _label(axes: Axes, chart: Chart, lying: bool) -> None:
    """Label the x axis so that no label covers another one."""
    axis = chart.x
    if axis.scale == "number":
        return
    if axis.scale == "time":
        axes.set_xticks([place(axis, tick.value) for tick in axis.ticks], [tick.label for tick in axis.ticks])
        return
    labels = [short(label, _LONG_LABEL) for label in axis.labels]
    if lying:
        axes.set_yticks(range(len(labels)) if axis.title else [], labels if axis.title else [], parse_math=False)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        return
    longest = max(map(len, labels))
    turned = longest * len(labels) > (_CHARACTERS * 3 // 4 if chart.series else _CHARACTERS)
    every = -(-len(labels) // _TURNED) if turned else 1
    shown = range(0, len(labels), every)
    style: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(shown, [labels[at] for at in shown], parse_math=False, **style)
    axes.set_xlim(-0.5, len(labels) - 0.5)


def _of_series(chart: Chart) -> list[tuple[str, list[Point]]]:
    """Return the colour and the points of each series."""
    names: list[str | None] = [*chart.series] or [None]
    return [
        (colour, [point for point in chart.points if point.series == name and point.y is not None])
        for name, colour in zip(names, PALETTE, strict=False)
    ]


def _lines(axes: Axes, chart: Chart) -> None:
    for colour, points in _of_series(chart):
        mark = "o" if len(points) <= MARKED else ""
        xs = [place(chart.x, point.x) for point in points]
        axes.plot(xs, [float(point.y or 0) for point in points], color=colour, marker=mark, markersize=4)
    if chart.y.zero:
        _from_zero(axes)


def _scatter(axes: Axes, chart: Chart) -> None:
    for colour, points in _of_series(chart):
        xs = [place(chart.x, point.x) for point in points]
        ys = [float(point.y or 0) for point in points]
        axes.scatter(xs, ys, color=colour, s=16, alpha=0.6, linewidths=0)


def _bars(axes: Axes, chart: Chart) -> None:
    series = _of_series(chart)
    width = _SHARE if chart.stacked else _SHARE / len(series)
    ends = [0.0] * len(chart.x.values)
    for number, (colour, points) in enumerate(series):
        places = [int(place(chart.x, point.x)) for point in points]
        lengths = [float(point.y or 0) for point in points]
        starts = [ends[at] for at in places] if chart.stacked else 0
        shift = 0.0 if chart.stacked else _shift(number, len(series))
        shifted = [at + shift for at in places]
        if lies(chart):
            axes.barh(shifted, lengths, width, left=starts, color=colour)
        else:
            axes.bar(shifted, lengths, width, bottom=starts, color=colour)
        for at, length in zip(places, lengths, strict=True):
            ends[at] += length
    (axes.axvline if lies(chart) else axes.axhline)(0, color="#666666", linewidth=0.8)


def _boxes(axes: Axes, chart: Chart) -> None:
    names: list[str | None] = [*chart.series] or [None]
    for number, (name, colour) in enumerate(zip(names, PALETTE, strict=False)):
        boxes = [box for box in chart.boxes if box.series == name]
        if not boxes:
            continue
        axes.bxp(
            [
                {
                    **{"whislo": float(box.low), "q1": box.q1, "med": box.median, "q3": box.q3},
                    **{"whishi": float(box.high), "fliers": [float(value) for value in box.outliers]},
                }
                for box in boxes
            ],
            positions=[place(chart.x, box.x) + _shift(number, len(names)) for box in boxes],
            widths=_SHARE / len(names) * 0.9,
            orientation="horizontal" if lies(chart) else "vertical",
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "edgecolor": colour},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            medianprops={"color": "white", "linewidth": 1.6},
            flierprops={"marker": "o", "markersize": 3, "markerfacecolor": "none", "markeredgecolor": colour},
        )


def _shift(number: int, series: int) -> float:
    """Return how far the bars of a series are from the middle of their place."""
    return (number - (series - 1) / 2) * _SHARE / series


def _from_zero(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0), max(high, 0))
