"""The tools: importing this package puts them on the plugin."""

from mcp_plugin_sql.tools import changing, looking, querying

__all__ = ["changing", "looking", "querying"]
