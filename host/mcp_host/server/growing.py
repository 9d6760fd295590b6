"""Follows what an `MCPServer` adds and removes while it serves as a plugin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_host.api import PluginContext


class _Watched(dict[str, Any]):
    """One of a server's collections. `changed` is called after each change, in whatever thread makes it.

    A collection is watched because a server's own functions, its decorators and its managers all lead there.
    """

    changed: Callable[[], object]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.changed()

    def pop(self, *args: Any) -> Any:
        value = super().pop(*args)
        self.changed()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        self.changed()
        return item

    def clear(self) -> None:
        super().clear()
        self.changed()

    def update(self, *args: Any, **more: Any) -> None:
        super().update(*args, **more)
        self.changed()

    def setdefault(self, key: str, default: Any = None) -> Any:
        value = super().setdefault(key, default)
        self.changed()
        return value


def _places(server: MCPServer[Any]) -> list[tuple[Any, str]]:
    """Return where a server keeps its tools, resources, templates and prompts."""
    resources = server._resource_manager
    return [
        (server._tool_manager, "_tools"),
        (resources, "_resources"),
        (resources, "_templates"),
        (server._prompt_manager, "_prompts"),
    ]


@asynccontextmanager
async def followed(server: MCPServer[Any], plugin: PluginContext[Any]) -> AsyncIterator[None]:
    """During the block, serve what the server has after each change. Changes that come together are one."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def note() -> None:
        # A thread of the server may outlive the loop.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    watched = []
    for manager, name in _places(server):
        collection = _Watched(getattr(manager, name))
        collection.changed = note
        setattr(manager, name, collection)
        watched.append((manager, name, collection))
    following = asyncio.create_task(_follow(changed, plugin), name=f"changes of plugin {plugin.name}")
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])
        for manager, name, collection in watched:
            # A newer generation of the plugin may have the same server, and watch it.
            if getattr(manager, name) is collection:
                setattr(manager, name, dict(collection))


async def _follow(changed: asyncio.Event, plugin: PluginContext[Any]) -> None:
    while True:
        await changed.wait()
        changed.clear()
        await plugin.refresh()
