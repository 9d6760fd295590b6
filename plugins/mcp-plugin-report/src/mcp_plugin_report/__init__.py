"""Reports for mcp-host: Markdown and self-contained HTML with charts, made from the data of other plugins.

`settings` has the settings · `app` the plugin and its lifespan · `tools`, `resources` and `view` are what is served ·
`models` has the report and the tools' results · `sources` reads the data from other plugins' resources · `making` makes
one report · `columns`, `bars` and `texts` are plain functions · `rendering` makes the documents · `store` has the kept
reports.
"""

from mcp_plugin_report import resources, tools, view
from mcp_plugin_report.app import plugin
from mcp_plugin_report.settings import Settings

__all__ = ["Settings", "plugin", "resources", "tools", "view"]
