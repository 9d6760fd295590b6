"""The MCP App (SEP-1865) that shows a report in clients with MCP Apps. Its page gets the result from the client."""

from __future__ import annotations

from mcp_plugin_report.app import plugin

VIEW = "ui://report/view.html"


@plugin.resource(
    VIEW,
    title="Report view",
    description="The page in which clients with MCP Apps show the result of generate_report.",
    meta={"ui": {"prefersBorder": True}},
)
def view() -> str:
    """Return the page without data."""
    from mcp_plugin_report import rendering

    return rendering.view()
