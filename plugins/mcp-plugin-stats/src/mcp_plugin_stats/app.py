"""The plugin object, and the lifespan that owns the DuckDB connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import as_file, files

from mcp_host import Plugin, PluginContext
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.settings import Settings


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Engine]:
    """Hold the engine while the plugin serves. It opens DuckDB when first asked, and closes it here."""
    with as_file(files("mcp_plugin_stats") / "data" / "penguins.csv") as penguins:
        engine = Engine(plugin.settings, plugin.host.base_dir, {"penguins": penguins}, plugin.log)
        try:
            yield engine
        finally:
            await engine.close()


plugin = Plugin(settings=Settings, lifespan=lifespan)
