"""The plugin object, and the lifespan that owns the kept reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Context, Plugin, PluginContext
from mcp_plugin_report.settings import Settings
from mcp_plugin_report.store import Store


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Store]:
    """Open the folder of kept reports."""
    yield Store(plugin.data_dir / "reports", plugin.settings.keep, plugin.log)


plugin = Plugin(settings=Settings, lifespan=lifespan)

Reports = Context[Settings, Store]
"""The context of the tools and resources."""
