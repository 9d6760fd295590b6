"""The tools, one file for each. Importing this package adds them to the plugin."""

from mcp_plugin_stats.tools import correlate, describe, export, group, histogram, numbers, query

__all__ = ["correlate", "describe", "export", "group", "histogram", "numbers", "query"]
