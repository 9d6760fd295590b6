"""The plugin object, and the lifespan that owns the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp_host import HostError, Plugin, PluginContext, SchemaTool, Tool, hookimpl
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.settings import Settings
from mcp_plugin_stats.shipped import shipped_files


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Engine]:
    """Keep the engine while the plugin serves. It starts the worker at the first query; the worker is ended here."""
    for name, file in plugin.settings.datasets.items():
        if plugin.host.owns(plugin.host.base_dir / Path(file.path).expanduser()):
            raise HostError(
                f"the data set {name} is a file of mcp-host itself: {file.path}",
                hint=f"copy it to another folder, and name the copy in settings.datasets.{name}",
            )
    with shipped_files() as shipped:
        engine = Engine(plugin.settings, plugin.host.base_dir, shipped, plugin.log, plugin.host.owns)
        try:
            yield engine
        finally:
            await engine.close()


class StatsPlugin(Plugin):
    """The plugin. It has `export_query` only with the setting `export_folder`."""

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool | SchemaTool]:
        """Return the tools that the settings allow."""
        tools = super().mcp_tools(plugin)
        writes = plugin.settings.export_folder is not None
        return [tool for tool in tools if writes or getattr(tool, "read_only", False)]


plugin = StatsPlugin(settings=Settings, lifespan=lifespan)
