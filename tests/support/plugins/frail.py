"""Cannot start: its lifespan fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Plugin, PluginContext


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[None]:
    raise ConnectionError("the database is down")
    yield


plugin = Plugin(lifespan=lifespan)


@plugin.tool
def query() -> str:
    """Never served."""
    return ""
