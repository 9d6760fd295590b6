"""mcp-host: one MCP server from many installed plugins. These names are all that a plugin author needs.

Importing this package is cheap: the MCP SDK is imported only when one of its own classes, or `Context`, is asked for.
"""

from typing import TYPE_CHECKING, Any

from mcp_host._version import __version__
from mcp_host.api import (
    Call,
    CallNext,
    Check,
    Command,
    Completion,
    Event,
    HostFacts,
    HttpRoute,
    Middleware,
    Observer,
    Plugin,
    PluginChanged,
    PluginContext,
    Prompt,
    Reloaded,
    RequestEnded,
    Resource,
    SchemaTool,
    SessionClosed,
    SessionOpened,
    Tool,
    hookimpl,
)
from mcp_host.errors import HostError

if TYPE_CHECKING:
    from mcp.server.lowlevel.helper_types import ReadResourceContents
    from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError

    from mcp_host.context import Context

__all__ = [
    "Call",
    "CallNext",
    "Check",
    "Command",
    "Completion",
    "Context",
    "Event",
    "HostError",
    "HostFacts",
    "HttpRoute",
    "Middleware",
    "Observer",
    "Plugin",
    "PluginChanged",
    "PluginContext",
    "Prompt",
    "ReadResourceContents",
    "Reloaded",
    "RequestEnded",
    "Resource",
    "ResourceError",
    "ResourceNotFoundError",
    "SchemaTool",
    "SessionClosed",
    "SessionOpened",
    "Tool",
    "ToolError",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name == "Context":
        from mcp_host.context import Context

        return Context
    if name == "ReadResourceContents":
        from mcp.server.lowlevel.helper_types import ReadResourceContents

        return ReadResourceContents
    if name in ("ToolError", "ResourceError", "ResourceNotFoundError"):
        from mcp.server.mcpserver import exceptions

        return getattr(exceptions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
