"""Statistics for mcp-host: figures, read-only SQL and charts over data sets in CSV, Parquet and JSON files.

`settings` has the settings · `app` the plugin and its lifespan · `tools/`, `resources`, `prompts` and `checks` are what
is served · `models` has their results · `engine` and `shipped` have the data sets · `sandbox`, `admission`, `session`
and `stopping` limit what DuckDB may do · `arithmetic`, `values` and `charts` are plain functions.
"""

from mcp_plugin_stats import checks, prompts, resources, tools
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.settings import DatasetFile, Settings

__all__ = ["DatasetFile", "Settings", "checks", "plugin", "prompts", "resources", "tools"]
