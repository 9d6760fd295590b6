"""The resources: the list of kept reports, and each report as figures, HTML and Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mcp_host import ResourceError, ResourceNotFoundError
from mcp_plugin_report.app import Reports, plugin, reports_of
from mcp_plugin_report.making import LIST
from mcp_plugin_report.models import KeptReport, Report
from mcp_plugin_report.store import UnknownReportError

JSON = "application/json"
FIGURES, HTML, MARKDOWN = f"{LIST}/{{id}}", f"{LIST}/{{id}}/html", f"{LIST}/{{id}}/markdown"
PDF, PNG = f"{LIST}/{{id}}/pdf", f"{LIST}/{{id}}/png"


@plugin.resource(LIST, title="Kept reports", description="The kept reports, the newest first.", mime_type=JSON)
def reports(ctx: Reports) -> list[KeptReport]:
    """Return the kept reports."""
    return [
        KeptReport(**report.model_dump(include=set(KeptReport.model_fields)), uri=FIGURES.format(id=report.id))
        for report in reports_of(ctx).reports()
    ]


@plugin.resource(
    FIGURES, title="Figures of a report", description="A kept report's figures and counts as JSON.", mime_type=JSON
)
def report_figures(id: str, ctx: Reports) -> Report:
    """Return a kept report as data."""
    return _kept(ctx, id)


@plugin.resource(
    HTML,
    title="Report as a page",
    description="A kept report as one HTML page with charts. The page loads nothing from elsewhere.",
    mime_type="text/html",
)
def report_html(id: str, ctx: Reports) -> str:
    """Return a kept report as HTML."""
    from mcp_plugin_report import rendering

    return rendering.html(_kept(ctx, id))


@plugin.resource(
    MARKDOWN, title="Report as Markdown", description="A kept report as Markdown.", mime_type="text/markdown"
)
def report_markdown(id: str, ctx: Reports) -> str:
    """Return a kept report as Markdown."""
    from mcp_plugin_report import rendering

    return rendering.markdown(_kept(ctx, id))


@plugin.resource(PDF, title="Report as PDF", description="A kept report as PDF.", mime_type="application/pdf")
def report_pdf(id: str, ctx: Reports) -> bytes:
    """Return a kept report as PDF."""
    from mcp_plugin_report import drawing

    with _as_resource_error():
        return drawing.pdf(_kept(ctx, id))


@plugin.resource(PNG, title="Charts of a report", description="A kept report's charts as PNG.", mime_type="image/png")
def report_png(id: str, ctx: Reports) -> bytes:
    """Return the charts of a kept report as one picture."""
    from mcp_plugin_report import drawing

    with _as_resource_error():
        return drawing.png(_kept(ctx, id))


@contextmanager
def _as_resource_error() -> Iterator[None]:
    from mcp_plugin_report.drawing import DrawingUnavailableError

    try:
        yield
    except DrawingUnavailableError as error:
        raise ResourceError(f"The report cannot be drawn: {error}.") from None


@plugin.completion(FIGURES, "id")
@plugin.completion(PDF, "id")
@plugin.completion(PNG, "id")
@plugin.completion(HTML, "id")
@plugin.completion(MARKDOWN, "id")
def complete_id(value: str, ctx: Reports) -> list[str]:
    """Return the ids that contain the typed text, the newest first."""
    return [report_id for report_id in reports_of(ctx).ids() if value.lower() in report_id]


def _kept(ctx: Reports, report_id: str) -> Report:
    try:
        return reports_of(ctx).get(report_id)
    except UnknownReportError as error:
        raise ResourceNotFoundError(str(error)) from None
