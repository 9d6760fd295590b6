"""Statistics for mcp-host: figures, read-only SQL and charts over data sets in CSV, Parquet and JSON files.

`settings` what may be configured · `app` the plugin and its lifespan · `tools/`, `resources`, `prompts`, `checks` what
is served · `models` their results · `engine`, `shipped` the data sets · `sandbox`, `admission`, `session`, `stopping`
how DuckDB is kept in bounds · `arithmetic`, `values`, `charts` plain functions.
"""

from mcp_plugin_stats import checks, prompts, resources, tools
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.settings import DatasetFile, Settings

__all__ = ["DatasetFile", "Settings", "checks", "plugin", "prompts", "resources", "tools"]
