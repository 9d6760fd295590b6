"""Serves what another server listed: the call goes to that server as it came, and its result comes back as it is.

The other server validates the arguments and words its own errors. What it listed is served unchanged, except for the
prefix of names and the note about the plugin in `_meta`.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import mcp.types as types
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context as SDKContext
from mcp.shared.uri_template import UriTemplate

from mcp_host.api import Prompt, Resource, Tool
from mcp_host.catalog.implementations import PromptBody, ResourceBody, ToolBody
from mcp_host.catalog.results import Contents, Converter, PromptResult, ToolResult
from mcp_host.catalog.served import Watch
from mcp_host.plugins.plugin import LoadedPlugin

Forward = Callable[[Mapping[str, Any], "SDKContext[Any, Any]"], Awaitable[Any]]
"""Asks the other server with the caller's arguments, and returns its result."""


@dataclass(frozen=True)
class ForwardedTool(Tool):
    """A tool of another server."""

    definition: types.Tool = field(kw_only=True)


@dataclass(frozen=True)
class ForwardedResource(Resource):
    """A resource or a template of another server. Its function gets the URI that was asked for as `uri`."""

    definition: types.Resource | types.ResourceTemplate = field(kw_only=True)
    watch: Watch = field(kw_only=True)


@dataclass(frozen=True)
class ForwardedPrompt(Prompt):
    """A prompt of another server."""

    definition: types.Prompt = field(kw_only=True)


FORWARDED = (ForwardedTool, ForwardedResource, ForwardedPrompt)


@dataclass
class ForwardedContents(ReadResourceContents):
    """One part of a resource as the other server sent it: its own URI, and no media type where that named none."""

    uri: str = field(kw_only=True)


def forwarded_tool(plugin: LoadedPlugin, name: str, tool: ForwardedTool) -> ToolBody:
    converter = Converter(f"tool {name}", plugin)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> ToolResult:
        result: ToolResult = await tool.fn(arguments, context)
        return cast("ToolResult", converter.capped(result)[0])

    return ToolBody(run, "", tool.definition.input_schema, tool.definition.output_schema, tool.definition)


def forwarded_resource(
    plugin: LoadedPlugin, template: UriTemplate, resource: ForwardedResource, mime_type: str, meta: dict[str, Any]
) -> ResourceBody:
    converter = Converter(f"resource {resource.uri}", plugin)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> Contents:
        uri = arguments.get("uri", resource.uri)
        result: types.ReadResourceResult | types.InputRequiredResult = await resource.fn({"uri": uri}, context)
        converter.refuse_larger(result)
        return result if isinstance(result, types.InputRequiredResult) else _contents(result.contents)

    return ResourceBody(run, resource.definition.name, "", resource.definition, resource.watch)


def _contents(parts: Sequence[types.TextResourceContents | types.BlobResourceContents]) -> list[ReadResourceContents]:
    """Return the parts as a function's would be, so that middleware and nested reads meet one kind only.

    Raises:
        ValueError: Bytes are not base64.
    """
    return [
        ForwardedContents(
            content=part.text if isinstance(part, types.TextResourceContents) else b64decode(part.blob),
            mime_type=part.mime_type,
            meta=part.meta,
            uri=str(part.uri),
        )
        for part in parts
    ]


def forwarded_prompt(plugin: LoadedPlugin, name: str, prompt: ForwardedPrompt) -> PromptBody:
    converter = Converter(f"prompt {name}", plugin)

    async def run(arguments: Mapping[str, Any], context: SDKContext[Any, Any]) -> PromptResult:
        result: PromptResult = await prompt.fn(arguments, context)
        converter.refuse_larger(result)
        return result

    return PromptBody(run, "", prompt.definition.arguments or (), prompt.definition)
