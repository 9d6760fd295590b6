"""The plugin object, and the lifespan that owns the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import HostError, Plugin, PluginContext
from mcp_plugin_fetch.fetcher import Fetcher
from mcp_plugin_fetch.settings import Settings


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Fetcher]:
    """Keep the fetcher while the plugin serves. It opens its client at the first call; the client is closed here."""
    try:
        fetcher = Fetcher(plugin.settings, plugin.name)
    except ValueError as error:
        raise HostError(
            f"the environment's proxy cannot be used: {error}",
            hint=f"correct the variable, or set `proxy_from_environment = false` in [plugins.{plugin.name}.settings]",
        ) from None
    try:
        yield fetcher
    finally:
        await fetcher.close()


plugin = Plugin(settings=Settings, lifespan=lifespan)
