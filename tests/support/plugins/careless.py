"""Changes the process wherever its code runs: at import, in its hooks, in its lifespan."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import PluginContext, Tool, hookimpl

os.chdir("/")
sys.stdout = None
signal.signal(signal.SIGTERM, signal.SIG_IGN)


@hookimpl
def mcp_tools() -> list[Tool]:
    os.chdir("/")
    os.close(1)
    return []


@hookimpl
@asynccontextmanager
async def mcp_lifespan(plugin: PluginContext) -> AsyncIterator[object]:
    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    os.chdir("/")
    sys.stderr.close()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    exiting = asyncio.create_task(leave())
    staying = asyncio.create_task(asyncio.Event().wait(), name="staying")
    yield exiting, staying
    os.chdir("/")
    raise SystemExit(4)


plugin = sys.modules[__name__]
