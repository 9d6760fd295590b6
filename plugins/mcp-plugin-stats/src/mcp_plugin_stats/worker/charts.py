"""Draws bars as a PNG with matplotlib's object-oriented interface. It has no global state and needs no display."""

from __future__ import annotations

import io
import threading
import warnings
from dataclasses import dataclass

LONGEST_LABEL = 80
"""The most characters of a title or label."""

_drawing = threading.Lock()
"""All figures share matplotlib's font cache, which is not safe for threads."""


@dataclass(frozen=True)
class Bars:
    """A histogram: `counts[n]` values lie between `edges[n]` and `edges[n + 1]`."""

    title: str
    label: str
    edges: list[float]
    counts: list[int]
    note: str


def png(bars: Bars) -> bytes:
    """Return the image, 800 by 500 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with _drawing, warnings.catch_warnings():
        # A character that is missing in the font is drawn as a box. This needs no warning in the log.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        widths = [right - left for left, right in zip(bars.edges, bars.edges[1:], strict=False)]
        axes.bar(bars.edges[:-1], bars.counts, width=widths, align="edge", color="#4c78a8", edgecolor="white")
        axes.set_title(_short(bars.title), parse_math=False)
        axes.set_xlabel(_short(bars.label), parse_math=False)
        axes.set_ylabel("rows")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.text(0.99, 0.99, bars.note, transform=axes.transAxes, ha="right", va="top", color="#666666", fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


def _short(text: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 3] + "..."
