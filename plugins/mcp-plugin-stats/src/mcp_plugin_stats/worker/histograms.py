"""Counts the values of a column of numbers in equal bins, and draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.worker.canvas import canvas, png_of
from mcp_plugin_stats.worker.labels import short
from mcp_plugin_stats.worker.session import Session
from mcp_plugin_stats.worker.sqlparts import finite


@dataclass(frozen=True)
class Bars:
    """A histogram: `counts[n]` values lie between `edges[n]` and `edges[n + 1]`."""

    title: str
    label: str
    edges: list[float]
    counts: list[int]
    note: str


def histogram_png(session: Session, data: Dataset, column: Column, bins: int | None) -> bytes:
    """Return the image. Raises DataError if there is nothing to draw."""
    return _png(_bars(session, data, column, bins))


def _bars(session: Session, data: Dataset, column: Column, bins: int | None) -> Bars:
    every = f"SELECT CAST({finite(column)} AS DOUBLE) AS x FROM {quoted(data.name)}"
    values = f"SELECT x FROM ({every}) WHERE x IS NOT NULL"
    low, high, count = session.row(f"SELECT min(x), max(x), count(*) FROM ({values})")
    if not count:
        raise DataError(f"Column {column.name!r} of {data.name!r} has no finite value to draw.")
    number = bins or math.ceil(math.log2(count)) + 1
    if low == high:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    width = (high - low) / number
    if not math.isfinite(width) or low + width == low:
        raise DataError(f"Column {column.name!r} of {data.name!r} is from {low:g} to {high:g}: that cannot be drawn.")
    place = f"least(CAST(floor((x - {_double(low)}) / {_double(width)}) AS INTEGER), {number - 1})"
    counts = dict(session.select(f"SELECT {place} AS bin, count(*) FROM ({values}) GROUP BY bin", number).rows)
    return Bars(
        title=f"{data.name}: {column.name}",
        label=column.name,
        edges=[low + n * width for n in range(number + 1)],
        counts=[counts.get(n, 0) for n in range(number)],
        note=f"{count} of {data.rows} rows",
    )


def _png(bars: Bars) -> bytes:
    """Return the image, 800 by 500 pixels."""
    from matplotlib.ticker import MaxNLocator

    with canvas() as (figure, axes):
        widths = [right - left for left, right in zip(bars.edges, bars.edges[1:], strict=False)]
        axes.bar(bars.edges[:-1], bars.counts, width=widths, align="edge", color="#4c78a8", edgecolor="white")
        axes.set_title(short(bars.title), parse_math=False)
        axes.set_xlabel(short(bars.label), parse_math=False)
        axes.set_ylabel("rows")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.text(0.99, 0.99, bars.note, transform=axes.transAxes, ha="right", va="top", color="#666666", fontsize=9)
        return png_of(figure)


def _double(number: float) -> str:
    return f"CAST('{number!r}' AS DOUBLE)"
