"""Asks its own process to end while it starts, and never starts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Plugin, PluginContext


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[None]:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()
    yield


plugin = Plugin(lifespan=lifespan)
