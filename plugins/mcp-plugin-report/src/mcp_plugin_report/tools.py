"""The tools: list the data for reports, make a report, and delete one."""

from __future__ import annotations

from typing import Annotated, Literal

from mcp.server.apps import client_supports_apps
from mcp.types import CallToolResult, ResourceLink, TextContent
from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_report import making, sources
from mcp_plugin_report.app import Reports, plugin, reports_of
from mcp_plugin_report.models import Deleted, Report, Sources
from mcp_plugin_report.store import UnknownReportError
from mcp_plugin_report.view import VIEW

LINKS_SINCE = "2025-06-18"
"""The first protocol version with links in a result's content."""


@plugin.tool(title="Data to report on", read_only=True, open_world=False)
async def list_sources(ctx: Reports) -> Sources:
    """List the data for generate_report, and the resources that list no data at the moment."""
    return await sources.find_sources(ctx)


@plugin.tool(title="Make a report", read_only=False, destructive=False, idempotent=False, open_world=False, ui=VIEW)
async def generate_report(
    ctx: Reports,
    source: Annotated[str, Field(description="What to report on: an id of list_sources, such as stats/penguins.")],
    format: Annotated[
        Literal["markdown", "html"],
        Field(description="The document that the result links to; both are kept."),
    ] = "markdown",
    title: Annotated[str | None, Field(description="Its title; default: the name of the data.", max_length=200)] = None,
    columns: Annotated[
        list[str] | None, Field(description="The columns to report on, in this order; default: all.")
    ] = None,
    rows: Annotated[
        int | None,
        Field(description="Use only so many of the first rows; default: all, if the source can compute them.", ge=1),
    ] = None,
    over: Annotated[
        str | None, Field(description="The column of dates of the trend; default: the first one, if there is one.")
    ] = None,
    crosstab: Annotated[
        list[str] | None, Field(description="Two columns to count together.", min_length=2, max_length=2)
    ] = None,
) -> Annotated[CallToolResult, Report]:
    """Report on a data set or table: columns, missing values, figures, frequent values, trends and the first rows.

    Clients with MCP Apps show it; others get it as Markdown. It is kept as Markdown and as an HTML page with charts.
    """
    pair = (crosstab[0], crosstab[1]) if crosstab is not None else None
    report = await making.make(ctx, making.ReportRequest(source, title, columns, rows, over, pair))
    from mcp_plugin_report import rendering

    text = rendering.summary(report) if client_supports_apps(ctx) else rendering.markdown(report)
    html = format == "html"
    text_block = TextContent(type="text", text=text)
    link = ResourceLink(
        uri=report.html_uri if html else report.markdown_uri,
        name=f"{report.id}.{'html' if html else 'md'}",
        title=report.title,
        description=f"The report as {'an HTML page' if html else 'Markdown'}.",
        mime_type="text/html" if html else "text/markdown",
    )
    known = (ctx.protocol_version or "") >= LINKS_SINCE
    return CallToolResult(
        content=[text_block, link] if known else [text_block], structured_content=report.model_dump(mode="json")
    )


@plugin.tool(title="Delete a report", read_only=False, destructive=True, idempotent=False, open_world=False)
async def delete_report(
    ctx: Reports, id: Annotated[str, Field(description="The report's id, as in report://reports.")]
) -> Deleted:
    """Delete a kept report permanently."""
    try:
        report = reports_of(ctx).get(id)
    except UnknownReportError as error:
        raise ToolError(str(error)) from None
    reports_of(ctx).remove(id)
    await ctx.notify_resource_updated(making.LIST)
    return Deleted(id=id, title=report.title)
