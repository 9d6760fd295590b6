"""The same tools as two plugins of the host and on one bare `MCPServer`. As a script, it serves the bare one."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

from mcp_host import Plugin


class Gate:
    """Tools that hang until they are released."""

    def __init__(self) -> None:
        self._inside = 0
        self._threads = threading.Event()
        self._tasks: set[asyncio.Event] = set()

    async def hang(self) -> str:
        """Hang on the event loop until released."""
        event = asyncio.Event()
        self._tasks.add(event)
        self._inside += 1
        try:
            await event.wait()
        finally:
            self._inside -= 1
            self._tasks.discard(event)
        return "released"

    def hang_thread(self) -> str:
        """Hang in a thread until released."""
        event = self._threads
        self._inside += 1
        try:
            event.wait()
        finally:
            self._inside -= 1
        return "released"

    async def held(self) -> int:
        """Return how many calls hang."""
        return self._inside

    async def release(self) -> str:
        """Release all calls that hang."""
        self._threads.set()
        self._threads = threading.Event()
        for event in self._tasks:
            event.set()
        return "released"


gate = Gate()


def add(a: int, b: int) -> int:
    """Add in a thread."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add on the event loop."""
    return a + b


HANGING: list[Callable[..., Any]] = [gate.hang, gate.hang_thread]
QUICK: list[Callable[..., Any]] = [add, add_async, gate.held, gate.release]

hanging = Plugin()
quick = Plugin()
bare = MCPServer("bare", log_level="ERROR")
for _fn in HANGING:
    hanging.tool(_fn)
    bare.tool()(_fn)
for _fn in QUICK:
    quick.tool(_fn)
    bare.tool()(_fn)
for _number in range(50 - len(HANGING) - len(QUICK)):
    quick.tool(f"add_{_number}")(add)
    bare.tool(f"add_{_number}")(add)

if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        bare.run("stdio")
    else:
        # The same as `bare.run("streamable-http")` without mcp-host, which installs httptools.
        uvicorn.run(bare.streamable_http_app(), port=int(sys.argv[2]), log_level="error", http="h11")
