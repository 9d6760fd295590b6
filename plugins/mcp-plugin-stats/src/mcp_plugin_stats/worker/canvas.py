"""Makes images with matplotlib's object-oriented interface. It has no global state and needs no display."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_drawing = threading.Lock()
"""All figures share matplotlib's font cache, which is not safe for threads."""


@contextmanager
def canvas(height: float = 5.0) -> Iterator[tuple[Figure, Axes]]:
    """Provide an empty drawing, 800 pixels wide and 100 times `height` high. Only one thread draws."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _drawing, warnings.catch_warnings():
        # A character that is missing in the font is drawn as a box. This needs no warning in the log.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(8, height), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield figure, axes


def png_of(figure: Figure) -> bytes:
    """Return the drawing as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
