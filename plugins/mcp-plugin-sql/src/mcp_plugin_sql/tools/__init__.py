"""The tools. Importing this package adds them to the plugin."""

from mcp_plugin_sql.tools import changing, looking, querying

__all__ = ["changing", "looking", "querying"]
