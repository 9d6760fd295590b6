"""mcp-host: one MCP server from many installed plugins. These names are all that a plugin author needs.

Importing this package is cheap: the MCP SDK is imported only when one of its own classes, or `Context`, is asked for.
"""

from typing import TYPE_CHECKING, Any

from mcp_host._version import __version__
from mcp_host.api import (
    Call,
    Check,
    Command,
    Completion,
    HostFacts,
    Plugin,
    PluginContext,
    Prompt,
    Resource,
    SchemaTool,
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
    "Check",
    "Command",
    "Completion",
    "Context",
    "HostError",
    "HostFacts",
    "Plugin",
    "PluginContext",
    "Prompt",
    "ReadResourceContents",
    "Resource",
    "ResourceError",
    "ResourceNotFoundError",
    "SchemaTool",
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
