"""The plugins of the soaked host besides mcp-plugin-stats.

`shaky` fails in every way, `rude` cancels what others do, and `probe` counts.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

from mcp_host import Context, Plugin, ToolError

shaky = Plugin()
rude = Plugin()
probe = Plugin()


@shaky.tool
def crash() -> str:
    """Crash in a thread."""
    raise RuntimeError("by accident")


@shaky.tool
async def leave() -> str:
    """Try to end the process."""
    sys.exit(3)


@shaky.tool
def refuse() -> str:
    """Fail on purpose."""
    raise ToolError("not today")


@shaky.tool(timeout=0.2)
async def hang() -> str:
    """Hang on the loop until the deadline."""
    await asyncio.Event().wait()
    return ""


@shaky.tool(timeout=0.1)
def outlast() -> str:
    """Run in a thread longer than the deadline."""
    time.sleep(0.3)
    return ""


@shaky.tool(structured_output=False)
def flood() -> str:
    """Return more than the limit."""
    return "x" * 100_000


@shaky.tool
async def exit_task() -> str:
    """Start a task that tries to end the process."""

    async def leave() -> None:
        sys.exit(3)

    task = asyncio.create_task(leave())
    await asyncio.wait([task])
    task.exception()
    return "left"


@shaky.tool
def wander() -> str:
    """Change the folder of the process."""
    os.chdir("/")
    return "wandered"


@shaky.tool(timeout=0.1)
async def swallow() -> str:
    """Go on for a while after the cancellation, longer than the host waits."""
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)
    return "swallowed"


@rude.tool
async def cancel_all() -> str:
    """Cancel the tasks of everyone. Those of its own plugin are cancelled, so this is its only tool."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    return "cancelled"


@shaky.tool
async def stop_loop() -> str:
    """Stop the event loop."""
    asyncio.get_running_loop().stop()
    return "stopped"


@shaky.tool
def silence() -> str:
    """Silence the log of everyone."""
    logging.disable(logging.CRITICAL)
    logging.getLogger().setLevel(100)
    logging.getLogger().handlers.clear()
    return "silent"


@shaky.tool
def alter() -> str:
    """Change what all plugins share."""
    os.umask(0)
    socket.setdefaulttimeout(0.001)
    warnings.simplefilter("error")
    os.environ["SHAKY"] = "altered"
    return "altered"


@shaky.resource("shaky://crash")
def crashing() -> str:
    raise RuntimeError("by accident")


@probe.tool
async def hold(ctx: Context[Any]) -> str:
    """Report progress once, then wait for ever: the callers leave."""
    await ctx.report_progress(0, message="holding")
    await asyncio.Event().wait()
    return ""


@probe.tool
async def census(ctx: Context[Any]) -> dict[str, int]:
    """Count everything that a leak would increase."""
    gc.collect()
    server: Any = ctx.mcp_server
    manager = server._lowlevel_server._session_manager
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "sessions": 0 if manager is None else len(manager._server_instances),
        "listeners": len(server.bus._listeners),
        "notified": server.bus.session_count,
        "objects": len(gc.get_objects()),
    }
