"""The tools, one file per question: importing this package puts them on the plugin."""

from mcp_plugin_stats.tools import correlate, describe, group, histogram, numbers, query

__all__ = ["correlate", "describe", "group", "histogram", "numbers", "query"]
