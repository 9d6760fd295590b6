"""The plugin object, and the lifespan that owns the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Plugin, PluginContext
from mcp_plugin_fetch.fetcher import Fetcher
from mcp_plugin_fetch.settings import Settings


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Fetcher]:
    """Keep the fetcher while the plugin serves. It opens its client at the first call; the client is closed here."""
    fetcher = Fetcher(plugin.settings, plugin.name)
    try:
        yield fetcher
    finally:
        await fetcher.close()


plugin = Plugin(settings=Settings, lifespan=lifespan)
