"""The tools, one file for each. Importing this package adds them to the plugin."""

from mcp_plugin_stats.tools import chart, correlate, describe, export, group, histogram, numbers, query

__all__ = ["chart", "correlate", "describe", "export", "group", "histogram", "numbers", "query"]
