"""The served items: objects that run themselves, each with its wire form, owner, deadline and scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import mcp.types as types
from mcp.server.mcpserver.resources import ResourceSecurity
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.shared.uri_template import UriTemplate

from mcp_host.api import Completion, Tool
from mcp_host.plugins.kinds import PROMPT, RESOURCE, TEMPLATE, TOOL, Kind
from mcp_host.plugins.plugin import LoadedPlugin

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context as SDKContext

Run = Callable[[Mapping[str, Any], "SDKContext[Any, Any]"], Awaitable[Any]]
"""Runs one item with the caller's arguments and its plugin's Context, and returns what the protocol sends.

It checks the arguments (`BadArgumentsError`) and runs the plugin's code in the plugin's compartment. The module that
made it decides how: with a Python function, for example, or with a JSON Schema and a handler.
"""


Watch = Callable[[str, str], Callable[[], None]]
"""Has another server report changes of a resource to clients, until the function that it returns is called.

The arguments are the URI and the clients' protocol version.
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """The base of all items. `timeout` is in seconds. A caller's token must have all `scopes`.

    `run(arguments, context)` returns the result of its kind: a `CallToolResult`, a list of `ReadResourceContents` or a
    `GetPromptResult`, or an `InputRequiredResult` of each.
    """

    kind: ClassVar[Kind]
    name: str
    plugin: LoadedPlugin
    timeout: float | None
    scopes: frozenset[str]
    run: Run
    wire: Any
    forwarded: bool = False
    """Whether another server listed it. Such a resource is left out where it clashes with another plugin's."""


@dataclass(frozen=True, kw_only=True)
class ServedTool(Served):
    """A tool."""

    kind = TOOL
    wire: types.Tool

    @property
    def ui(self) -> str | None:
        """The URI of the MCP App that renders its results."""
        ui = (self.wire.meta or {}).get("ui")
        return ui.get("resourceUri") if isinstance(ui, Mapping) else None


@dataclass(frozen=True, kw_only=True)
class ServedResource(Served):
    """A resource at a fixed URI (`name` is the URI)."""

    kind = RESOURCE
    wire: types.Resource
    mime_type: str
    watch: Watch | None = None


@dataclass(frozen=True, kw_only=True)
class ServedTemplate(Served):
    """A resource template (`name` is the template).

    One without `security` is another server's: it gets the URI, and judges the values of the variables itself.
    """

    kind = TEMPLATE
    wire: types.ResourceTemplate
    mime_type: str
    template: UriTemplate
    security: ResourceSecurity | None
    watch: Watch | None = None


@dataclass(frozen=True, kw_only=True)
class ServedPrompt(Served):
    """A prompt."""

    kind = PROMPT
    wire: types.Prompt


@dataclass(frozen=True)
class Question:
    """A client's request for completion: an argument of `ref`, its value so far, and the arguments chosen before."""

    ref: types.PromptReference | types.ResourceTemplateReference
    argument: str
    value: str
    chosen: Mapping[str, str]


Complete = Callable[[Question, "SDKContext[Any, Any]"], Awaitable[types.Completion]]
"""Answers one question, in the compartment of its plugin."""


@dataclass(frozen=True)
class PreparedTool(Tool):
    """A tool of an adopted `MCPServer`, which already has its SDK form."""

    sdk: SDKTool = field(kw_only=True)


@dataclass(frozen=True)
class ServerCompletion(Completion):
    """The completion handler of an adopted `MCPServer`. It answers for all prompts and templates of the server."""


@dataclass(frozen=True)
class Parts:
    """Everything that one plugin can serve, filtered and renamed by its table in the TOML.

    `completers` are by served name and argument. `any_completer` answers for the other arguments.
    """

    items: Mapping[Kind, tuple[Served, ...]] = field(default_factory=dict)
    completers: Mapping[tuple[str, str], Complete] = field(default_factory=dict)
    any_completer: Complete | None = None
