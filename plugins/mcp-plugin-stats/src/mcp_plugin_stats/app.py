"""The plugin object, and the lifespan that owns the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp_host import HostError, Plugin, PluginContext
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


plugin = Plugin(settings=Settings, lifespan=lifespan)
