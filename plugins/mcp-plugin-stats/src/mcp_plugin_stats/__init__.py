"""Statistics for mcp-host: figures, read-only SQL and charts over data sets in files of many formats.

`settings` has the settings · `app` the plugin and its lifespan · `tools/`, `resources`, `prompts`, `view` (with
`page/`) and `checks` are what is served · `models` has their results · `engine` has the data sets and asks `worker/`, a
process of its own with limited memory, in which DuckDB runs · `sources` and `reading/` find and read the files ·
`shipped` has the penguins.

Importing a module of this package does not import the plugin, so that the worker starts without the MCP SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_plugin_stats.app import plugin
    from mcp_plugin_stats.settings import DatasetFile, Settings

__all__ = ["DatasetFile", "Settings", "plugin"]


def __getattr__(name: str) -> Any:
    if name == "plugin":
        from mcp_plugin_stats import checks, prompts, resources, tools, view  # noqa: F401
        from mcp_plugin_stats.app import plugin

        return plugin
    if name in __all__:
        from mcp_plugin_stats import settings

        return getattr(settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
