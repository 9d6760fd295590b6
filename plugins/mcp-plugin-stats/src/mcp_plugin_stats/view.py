"""The MCP App (SEP-1865) that shows a chart in clients with MCP Apps. Its page gets the result from the client."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from mcp_plugin_stats.app import plugin

VIEW = "ui://stats/chart.html"


@plugin.resource(
    VIEW,
    title="Chart view",
    description="The page in which clients with MCP Apps show the result of chart.",
    meta={"ui": {"prefersBorder": True}},
)
def view() -> str:
    """Return the page without data. Its own policy allows only its one style and script, and it can load nothing."""
    page, style, script = (_file(name) for name in ("chart.html", "chart.css", "chart.js"))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    return page.replace("POLICY", policy).replace("STYLE", style).replace("SCRIPT", script)


def _file(name: str) -> str:
    return (files("mcp_plugin_stats") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
