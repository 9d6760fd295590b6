"""One of two servers under one app."""

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(read_only=True)
def api_endpoint(data: str) -> str:
    """Process data."""
    return f"API processed: {data}"
