"""Draws a report as a PDF and its charts as one PNG, with matplotlib."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mcp_plugin_report.models import ColumnReport, Crosstab, Report
from mcp_plugin_report.texts import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_PNG: Final = 12
"""How many charts a PNG shows."""

_PAGE: Final = (8.27, 11.69)
"""A4, in inches."""

_ROWS, _CHARTS = 38, 8
_COLOUR: Final = "#2a6f97"

Card = tuple[str, "Callable[[Axes], None]"]
"""A chart: its title, and what draws it."""


class DrawingUnavailableError(Exception):
    """matplotlib is not installed."""


def pdf(report: Report) -> bytes:
    """Return the report as a PDF. Raises DrawingUnavailableError."""
    with _drawing():
        from matplotlib.backends.backend_pdf import PdfPages

        out = io.BytesIO()
        details = {"Title": report.title, "CreationDate": report.created, "Creator": "mcp-plugin-report"}
        with PdfPages(out, metadata=details) as pages:
            for page in _pages(report):
                pages.savefig(page)
        return out.getvalue()


def png(report: Report) -> bytes:
    """Return the first charts of the report as one picture. Raises DrawingUnavailableError."""
    with _drawing():
        cards = _cards(report)[:MOST_IN_PNG]
        out = io.BytesIO()
        figure = _grid(cards, (10.0, 0.6 + 2.6 * max((len(cards) + 1) // 2, 1)), max((len(cards) + 1) // 2, 1))
        figure.suptitle(report.title)
        figure.savefig(out, format="png", dpi=100)
        return out.getvalue()


@contextmanager
def _drawing() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError:
        raise DrawingUnavailableError('it needs matplotlib: pip install "mcp-plugin-report[charts]"') from None
    # A text of the data may have a dollar sign, or a character that the font does not have.
    with mpl.rc_context({"text.parse_math": False, "font.size": 8}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _pages(report: Report) -> Iterator[Figure]:
    total = report.total if report.total is not None else "not known"
    about = f"Made from {report.basis} of {report.source} (rows in all: {total}). {report.description}"
    left_out = f"Left out: {', '.join(report.left_out)}." if report.left_out else ""
    names = ["column", "type", "values", "missing", "different"]
    rows = [
        [each.name, each.type or each.kind, str(each.count), str(each.missing), str(each.distinct)]
        for each in report.columns
    ]
    yield from _tables(report.title, f"{about} {left_out}", names, rows)
    names = ["column", "least", "lower quartile", "median", "mean", "upper quartile", "greatest", "deviation"]
    figures = [row for each in report.columns if (row := _figures(each))]
    if figures:
        yield from _tables("Figures", "", names, figures)
    cards = _cards(report)
    for start in range(0, len(cards), _CHARTS):
        yield _grid(cards[start : start + _CHARTS], _PAGE, _CHARTS // 2)
    if report.crosstab is not None:
        yield from _crosstab(report.crosstab)


def _figures(column: ColumnReport) -> list[str] | None:
    found = column.figures
    if found is None:
        return None
    values = (found.min, found.q1, found.median, found.mean, found.q3, found.max, found.stdev)
    return [column.name, *("" if value is None else number(value) for value in values)]


def _crosstab(table: Crosstab) -> Iterator[Figure]:
    rows = [[name, *map(str, counts)] for name, counts in zip(table.rows, table.counts, strict=True)]
    note = f"{table.others} rows have other values." if table.others else ""
    yield from _tables(f"{table.row} by {table.column}", note, [table.row, *table.columns], rows)


def _tables(title: str, about: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Figure]:
    from matplotlib.figure import Figure

    for start in range(0, max(len(rows), 1), _ROWS):
        figure = Figure(figsize=_PAGE)
        figure.text(0.06, 0.96, textwrap.shorten(title, 70, placeholder="..."), fontsize=14, va="top")
        lines = textwrap.wrap(about, 110)[:6] if start == 0 else []
        figure.text(0.06, 0.93, "\n".join(lines), va="top")
        axes = figure.add_axes((0.06, 0.05, 0.88, 0.8))
        axes.axis("off")
        cells = [[textwrap.shorten(cell, 28, placeholder="...") for cell in row] for row in rows[start : start + _ROWS]]
        if cells:
            header = [textwrap.shorten(name, 18, placeholder="...") for name in names]
            table = axes.table(cellText=cells, colLabels=header, loc="upper left", edges="horizontal")
            table.auto_set_font_size(False)
        yield figure


def _grid(cards: Sequence[Card], size: tuple[float, float], rows: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    for number_, (title, draw) in enumerate(cards, 1):
        axes = figure.add_subplot(rows, 2, number_)
        axes.set_title(textwrap.shorten(title, 50, placeholder="..."), fontsize=9)
        draw(axes)
    return figure


def _cards(report: Report) -> list[Card]:
    cards: list[Card] = [(each.name, _bars(each)) for each in report.columns if each.chart is not None]
    trend = report.trend
    if trend is not None and trend.points:
        periods = [point.period for point in trend.points]
        series: list[tuple[str, list[float | int | None]]] = [("rows", [point.rows for point in trend.points])]
        for index, name in enumerate(trend.numbers):
            series.append((f"mean of {name}", [point.means[index] for point in trend.points]))
        cards += [(f"{name} by {trend.period}", _line(periods, values)) for name, values in series]
    return cards


def _bars(column: ColumnReport) -> Callable[[Axes], None]:
    chart = column.chart
    assert chart is not None
    labels, counts = [bar.label for bar in chart.bars], [bar.count for bar in chart.bars]

    def draw(axes: Axes) -> None:
        positions = range(len(counts))
        if chart.shape == "bars":
            axes.barh(positions, counts, color=_COLOUR)
            axes.set_yticks(positions, [textwrap.shorten(label, 24, placeholder="...") for label in labels])
            axes.invert_yaxis()
        else:
            axes.bar(positions, counts, width=0.95, color=_COLOUR)
            axes.set_xticks([-0.5, len(counts) - 0.5], [chart.first, chart.last])

    return draw


def _line(periods: Sequence[str], values: Sequence[float | int | None]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.plot(range(len(values)), [float("nan") if each is None else each for each in values], color=_COLOUR)
        axes.set_xticks([0, len(periods) - 1], [periods[0], periods[-1]])

    return draw
