"""Makes the documents of a report: HTML, Markdown, a summary for a model, and the page of the MCP App."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mcp_plugin_report import texts
from mcp_plugin_report.models import Chart, ColumnReport, Report, Trend

_TEMPLATES = "templates"


def html(report: Report) -> str:
    """Return one HTML page that loads nothing and runs nothing. It follows the reader's light or dark theme."""
    return (
        _environment(True).get_template("report.html").render(report=report, style=_file("style.css"), policy=_policy())
    )


def markdown(report: Report) -> str:
    """Return CommonMark with tables."""
    return _environment(False).get_template("report.md").render(report=report)


def view() -> str:
    """Return the page of the MCP App. Its own policy allows only its one script, and it can load nothing."""
    script = _file("view.js")
    return (
        _environment(True)
        .get_template("view.html")
        .render(style=_file("style.css"), script=script, policy=_policy(script))
    )


def summary(report: Report) -> str:
    """Return a summary for a model whose user sees the report: a line for the report and one for each column."""
    lines = [f"{report.title}: the user sees this report, made from {report.basis} of {report.source}. Columns:"]
    lines += [f"- {column.name}: {_summary_of(column)}" for column in report.columns]
    if report.left_out:
        lines.append(f"Left out: {', '.join(report.left_out)}.")
    return "\n".join(lines)


def _summary_of(column: ColumnReport) -> str:
    parts: list[str] = [column.kind]
    if column.figures is not None:
        figures = column.figures
        parts.append(f"{texts.number(figures.min)} to {texts.number(figures.max)}, mean {texts.number(figures.mean)}")
    elif column.first is not None:
        parts.append(f"{column.first} to {column.last}")
    elif column.chart is not None:
        parts.append(f"{column.distinct} different, most often {column.chart.bars[0].label!r}")
    if column.missing:
        parts.append(f"{column.missing} missing")
    return ", ".join(parts)


def _policy(script: Markup | None = None) -> str:
    """Return a Content-Security-Policy (CSP Level 3, 2.3.1) that allows only the page's own style and script."""
    sources = [("style-src", _file("style.css"))] + ([("script-src", script)] if script is not None else [])
    return "; ".join(
        ["default-src 'none'", *(f"{directive} '{_hash(text)}'" for directive, text in sources), "base-uri 'none'"]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _file(name: str) -> Markup:
    """Return one of the plugin's own files as markup that is not escaped."""
    return Markup((files("mcp_plugin_report") / _TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def _environment(page: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("mcp_plugin_report", _TEMPLATES),
        autoescape=page,
        finalize=None if page else _finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = texts.number if page else lambda value: Markup(texts.number(value))
    environment.filters["code"] = _code
    environment.filters["drawn"] = _drawn
    environment.filters["lines"] = _lines
    return environment


def _finalized(value: Any) -> Any:
    """Escape what a Markdown template writes, unless it is markup."""
    return value if isinstance(value, Markup | int | float) else texts.markdown(str(value))


def _code(text: str) -> str | Markup:
    """Return the text as a code span of Markdown, if no character in it has a special meaning there."""
    return text if not text or {"`", "|", "\\"} & {*text} else Markup(f"`{text}`")


WIDTH, HEIGHT = 320.0, 110.0
"""The size of a chart with upright columns, in units of its viewBox."""


def _drawn(chart: Chart) -> list[dict[str, Any]]:
    """Return the bars with their positions: x, y, width and height in the viewBox for `columns`, % for `bars`."""
    most = max(bar.count for bar in chart.bars)
    if chart.shape == "bars":
        return [
            {"label": bar.label, "count": bar.count, "width": round(100 * bar.count / most, 2)} for bar in chart.bars
        ]
    step = WIDTH / len(chart.bars)
    gap = min(2.0, step / 4)
    return [
        {
            "label": bar.label,
            "count": bar.count,
            "x": round(index * step + gap / 2, 2),
            "y": round(HEIGHT * (1 - bar.count / most), 2),
            "width": round(step - gap, 2),
            "height": round(HEIGHT * bar.count / most, 2),
        }
        for index, bar in enumerate(chart.bars)
    ]


def _lines(trend: Trend) -> list[dict[str, Any]]:
    """Return the lines of a trend: one for the rows, and one for the means of each column of numbers."""
    series: list[tuple[str, list[float | int | None]]] = [("rows", [point.rows for point in trend.points])]
    series += [
        (f"mean of {name}", [point.means[number] for point in trend.points])
        for number, name in enumerate(trend.numbers)
    ]
    lines = []
    for name, values in series:
        there = [value for value in values if value is not None]
        if len(there) < 2:
            continue
        low, high = min(there), max(there)
        points = [
            f"{WIDTH * number / (len(values) - 1):.1f},{HEIGHT * (1 - (value - low) / ((high - low) or 1)):.1f}"
            for number, value in enumerate(values)
            if value is not None
        ]
        lines.append({"name": name, "least": low, "greatest": high, "points": " ".join(points)})
    return lines
