"""Reports for mcp-host: Markdown and self-contained HTML with charts, made from the data of other plugins.

`settings` what may be configured · `app` the plugin and its lifespan · `tools`, `resources`, `view` what is served ·
`models` the report and the tools' results · `sources` the data, read through other plugins' resources · `making` one
report from beginning to end · `columns`, `bars`, `texts` plain functions · `rendering` the documents · `store` the kept
reports.
"""

from mcp_plugin_report import resources, tools, view
from mcp_plugin_report.app import plugin
from mcp_plugin_report.settings import Settings

__all__ = ["Settings", "plugin", "resources", "tools", "view"]
