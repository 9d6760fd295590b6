"""The tools. Importing this package adds them to the plugin."""

from mcp_plugin_sql.tools import changing, exporting, looking, querying

__all__ = ["changing", "exporting", "looking", "querying"]
