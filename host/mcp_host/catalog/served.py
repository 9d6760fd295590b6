"""What can be served of a plugin, each part with what it takes to serve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp.types as types
from mcp.server.mcpserver.resources import ResourceSecurity
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.shared.uri_template import UriTemplate

from mcp_host.api import Completion, Middleware, Tool
from mcp_host.plugins.plugin import LoadedPlugin


@dataclass(frozen=True)
class PreparedTool(Tool):
    """A tool that already has its SDK form: one of an adopted `MCPServer`, kept exactly as its author made it."""

    sdk: SDKTool | None = None


@dataclass(frozen=True)
class ServerCompletion(Completion):
    """An adopted `MCPServer`'s one completion handler, which answers for all its prompts and templates."""


@dataclass(frozen=True)
class Bound:
    """A callable with the metadata its arguments are validated by. `run(**arguments)` awaits it."""

    run: Callable[..., Any]
    metadata: FuncMetadata
    context_parameter: str | None


@dataclass(frozen=True, kw_only=True)
class Served:
    """What everything served has: its served name or URI, its plugin, its deadline in seconds, its scopes."""

    name: str
    plugin: LoadedPlugin
    timeout: float | None
    scopes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class ServedTool(Served):
    sdk: SDKTool
    wire: types.Tool

    @property
    def ui(self) -> str | None:
        """The URI of the MCP App that renders its results."""
        ui = (self.wire.meta or {}).get("ui")
        return ui.get("resourceUri") if isinstance(ui, Mapping) else None


@dataclass(frozen=True, kw_only=True)
class ServedResource(Served):
    """A resource at a fixed URI (`name` is the URI)."""

    bound: Bound
    wire: types.Resource
    mime_type: str


@dataclass(frozen=True, kw_only=True)
class ServedTemplate(Served):
    """A resource template (`name` is the template)."""

    bound: Bound
    wire: types.ResourceTemplate
    mime_type: str
    template: UriTemplate
    security: ResourceSecurity


@dataclass(frozen=True, kw_only=True)
class ServedPrompt(Served):
    bound: Bound
    wire: types.Prompt

    @property
    def required(self) -> frozenset[str]:
        return frozenset(argument.name for argument in self.wire.arguments or () if argument.required)


@dataclass(frozen=True)
class Completer:
    """A completer and how it likes to be called."""

    plugin: LoadedPlugin
    run: Callable[..., Any]
    arguments_parameter: str | None
    value_parameter: str
    context_parameter: str | None


@dataclass(frozen=True)
class Parts:
    """All that one plugin can serve, filtered and renamed as its table says."""

    tools: tuple[ServedTool, ...] = ()
    resources: tuple[ServedResource, ...] = ()
    templates: tuple[ServedTemplate, ...] = ()
    prompts: tuple[ServedPrompt, ...] = ()
    completers: Mapping[tuple[str, str], Completer] = field(default_factory=dict)
    server_completion: Completion | None = None
    middleware: tuple[Middleware, ...] = ()
