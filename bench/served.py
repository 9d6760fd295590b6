"""The same tools twice: as two plugins of the host, and on one bare `MCPServer`; started, it serves the latter."""

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
    """Tools that hang until they are let go."""

    def __init__(self) -> None:
        self._inside = 0
        self._threads = threading.Event()
        self._tasks: set[asyncio.Event] = set()

    async def hang(self) -> str:
        """Hang on the event loop until let go."""
        event = asyncio.Event()
        self._tasks.add(event)
        self._inside += 1
        try:
            await event.wait()
        finally:
            self._inside -= 1
            self._tasks.discard(event)
        return "let go"

    def hang_thread(self) -> str:
        """Hang in a thread until let go."""
        event = self._threads
        self._inside += 1
        try:
            event.wait()
        finally:
            self._inside -= 1
        return "let go"

    async def held(self) -> int:
        """How many hang."""
        return self._inside

    async def let_go(self) -> str:
        """End all that hang."""
        self._threads.set()
        self._threads = threading.Event()
        for event in self._tasks:
            event.set()
        return "let go"


gate = Gate()


def add(a: int, b: int) -> int:
    """Add in a thread."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add on the event loop."""
    return a + b


HARMFUL: list[Callable[..., Any]] = [gate.hang, gate.hang_thread]
QUICK: list[Callable[..., Any]] = [add, add_async, gate.held, gate.let_go]

harmful = Plugin()
quick = Plugin()
bare = MCPServer("bare", log_level="ERROR")
for _fn in HARMFUL:
    harmful.tool(_fn)
    bare.tool()(_fn)
for _fn in QUICK:
    quick.tool(_fn)
    bare.tool()(_fn)
for _number in range(50 - len(HARMFUL) - len(QUICK)):
    quick.tool(f"add_{_number}")(add)
    bare.tool(f"add_{_number}")(add)

if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        bare.run("stdio")
    else:
        # As `bare.run("streamable-http")` does it where nothing but the SDK is installed: the host brings httptools.
        uvicorn.run(bare.streamable_http_app(), port=int(sys.argv[2]), log_level="error", http="h11")
