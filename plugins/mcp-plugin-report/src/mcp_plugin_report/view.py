"""The MCP App (SEP-1865) that shows a report where the client can: one page, which gets the result from the client."""

from __future__ import annotations

from mcp_plugin_report.app import plugin

VIEW = "ui://report/view.html"


@plugin.resource(
    VIEW,
    title="A report, shown",
    description="The page in which clients with MCP Apps show what generate_report returns.",
    meta={"ui": {"prefersBorder": True}},
)
def view() -> str:
    """The page, without any data."""
    from mcp_plugin_report import rendering

    return rendering.view()
