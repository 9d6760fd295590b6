"""The same tools twice: as two plugins of the host, and on one bare `MCPServer`; started, it serves the latter."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_host import Plugin

inside = 0
_release = threading.Event()
_waiting: set[asyncio.Event] = set()


async def hang() -> str:
    """Hang on the event loop until let go."""
    global inside
    event = asyncio.Event()
    _waiting.add(event)
    inside += 1
    try:
        await event.wait()
    finally:
        inside -= 1
        _waiting.discard(event)
    return "let go"


def hang_thread() -> str:
    """Hang in a thread until let go."""
    global inside
    released = _release
    inside += 1
    try:
        released.wait()
    finally:
        inside -= 1
    return "let go"


async def held() -> int:
    """How many hang."""
    return inside


async def let_go() -> str:
    """End all that hang."""
    global _release
    _release.set()
    _release = threading.Event()
    for event in _waiting:
        event.set()
    return "let go"


def add(a: int, b: int) -> int:
    """Add in a thread."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add on the event loop."""
    return a + b


HARMFUL: list[Callable[..., Any]] = [hang, hang_thread]
QUICK: list[Callable[..., Any]] = [add, add_async, held, let_go]

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
        bare.run("streamable-http", port=int(sys.argv[2]))
