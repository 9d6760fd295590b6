"""The transport to a server object of this process: the SDK's low-level `Server`, or an object that is built on one."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from mcp.server import Server
from mcp.shared.dispatcher import Dispatcher
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.memory import create_client_server_memory_streams


def low_level_server(found: object) -> Server[Any] | None:
    """Return the SDK's server that an object is or has (a standalone `fastmcp.FastMCP` has one), else None."""
    # Statically, because a module or an object may run code of its own for a name that it does not have.
    server = found if isinstance(found, Server) else inspect.getattr_static(found, "_mcp_server", None)
    return server if isinstance(server, Server) else None


@asynccontextmanager
async def object_dispatcher(found: object) -> AsyncIterator[Dispatcher[Any]]:
    """Run a server object for the block, and yield what sends requests to it."""
    server = low_level_server(found)
    assert server is not None
    lifespan = getattr(found, "_lifespan_manager", None)
    async with AsyncExitStack() as stack:
        client, (read, write) = await stack.enter_async_context(create_client_server_memory_streams())
        if lifespan is not None:
            await stack.enter_async_context(lifespan())
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, read, write, server.create_initialization_options())
            try:
                yield JSONRPCDispatcher(*client)
            finally:
                group.cancel_scope.cancel()
