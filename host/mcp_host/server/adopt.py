"""Makes a plugin from an existing `MCPServer` object without changing its code."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, cast

import mcp.types as types
from mcp.server.apps import Apps
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resources import FunctionResource
from mcp.types import CompleteRequestParams, CompleteResult
from starlette.routing import BaseRoute

from mcp_host.api import Completion, PluginContext, Prompt, Resource, hookimpl
from mcp_host.catalog.served import PreparedTool, ServerCompletion
from mcp_host.config import CONNECTED
from mcp_host.plugins.loader import Adopted, Surroundings
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.server.factories import made_by
from mcp_host.server.growing import followed
from mcp_host.server.modules import the_object

_OWN_MIDDLEWARE = 2
"""How many middlewares every `MCPServer` starts with: OpenTelemetry and the request-state boundary."""


def adopt(found: object, plugin: LoadedPlugin, around: Surroundings) -> Adopted | None:
    """Return a plugin object for a server, or None for an object that is a plugin already.

    The server is an `MCPServer`, whose parts become the plugin's, or one that the host connects to: a low-level
    `Server` of the SDK, an object built on one, a program, or a URL. A function is called first, with the settings of
    the table as keyword arguments. A module without hooks stands for the one plugin or server in it.

    Raises:
        HostError: A function does not take the settings, or something that the table names does not exist.
    """
    if plugin.section.source in CONNECTED:
        from mcp_host.upstream.plugin import connected

        return connected(plugin, around)
    if inspect.ismodule(found):
        found, module = the_object(found, plugin), found
        if found is not module:
            return _adopted(found, plugin, around) or Adopted(found)
        return None
    if not inspect.isfunction(found):
        return _adopted(found, plugin, around)
    made, secrets = made_by(found, plugin, around)
    adopted = _adopted(made, plugin, around) or Adopted(made)
    return replace(adopted, takes_settings=True, secrets=adopted.secrets | secrets)


def _adopted(found: object, plugin: LoadedPlugin, around: Surroundings) -> Adopted | None:
    if not isinstance(found, MCPServer):
        from mcp_host.upstream.inmemory import low_level_server

        if low_level_server(found) is None:
            return None
        from mcp_host.upstream.plugin import in_process

        return in_process(plugin, around, found)
    left_out = [
        what
        for what, there in (
            ("extensions", any(type(extension) is not Apps for extension in found._extensions)),
            ("middleware", len(found.middleware) > _OWN_MIDDLEWARE),
            ("auth settings", found.settings.auth is not None),
        )
        if there
    ]
    notes = [f"the {', '.join(left_out)} of the adopted server are not taken over"] if left_out else []
    notes += [
        f"{key} has no effect: the host does not connect to an MCPServer, but serves its parts"
        for key in ("start", "era", "ask", "instructions")
        if key in plugin.section.model_fields_set
    ]
    return Adopted(AdoptedServer(found), tuple(notes))


class AdoptedServer:
    """An `MCPServer` as a plugin: its tools, resources, templates, prompts, completion, routes and lifespan.

    The host has its own transports, middleware, extensions and auth settings, so the server's are not used. The tools
    and resources of its extensions are served; MCP Apps needs nothing else.
    """

    def __init__(self, server: MCPServer[Any]) -> None:
        self._server = server

    @hookimpl
    def mcp_tools(self) -> Iterable[PreparedTool]:
        return [
            PreparedTool(
                fn=tool.fn,
                name=tool.name,
                title=tool.title,
                description=tool.description,
                annotations=tool.annotations,
                icons=tool.icons,
                meta=tool.meta,
                sdk=tool,
            )
            for tool in self._server._tool_manager.list_tools()
        ]

    @hookimpl
    def mcp_resources(self) -> Iterable[Resource]:
        for resource in self._server._resource_manager.list_resources():
            fn = resource.fn if isinstance(resource, FunctionResource) else resource.read
            yield Resource(
                uri=str(resource.uri),
                fn=fn,
                name=resource.name,
                title=resource.title,
                description=resource.description,
                mime_type=resource.mime_type,
                icons=resource.icons,
                annotations=resource.annotations,
                meta=resource.meta,
            )
        for template in self._server._resource_manager.list_templates():
            yield Resource(
                uri=template.uri_template,
                fn=template.fn,
                name=template.name,
                title=template.title,
                description=template.description,
                mime_type=template.mime_type,
                icons=template.icons,
                annotations=template.annotations,
                meta=template.meta,
                security=template.security,
            )

    @hookimpl
    def mcp_prompts(self) -> Iterable[Prompt]:
        for prompt in self._server._prompt_manager.list_prompts():
            yield Prompt(
                fn=prompt.fn, name=prompt.name, title=prompt.title, description=prompt.description, icons=prompt.icons
            )

    @hookimpl
    def mcp_completions(self) -> Iterable[Completion]:
        entry = self._server._lowlevel_server.get_request_handler("completion/complete")
        if entry is None:
            return
        handler = entry.handler

        async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
            params = CompleteRequestParams(ref=ref, argument=argument, context=context)
            # MCPServer's own handler uses only the params.
            result = await handler(cast("Any", None), params)
            return CompleteResult.model_validate(result).completion

        yield ServerCompletion(ref="*", argument="*", fn=cast("Any", complete))

    @hookimpl
    def mcp_routes(self) -> Iterable[BaseRoute]:
        return tuple(self._server._custom_starlette_routes)

    @hookimpl
    def mcp_lifespan(self, plugin: PluginContext[Any]) -> AbstractAsyncContextManager[Any]:
        return self._living(plugin)

    @asynccontextmanager
    async def _living(self, plugin: PluginContext[Any]) -> AsyncIterator[Any]:
        lifespan = self._server.settings.lifespan
        own = lifespan(self._server) if lifespan is not None else nullcontext()
        async with followed(self._server, plugin), own as state:
            yield state


@contextmanager
def root_logger_untouched() -> Iterator[None]:
    """Keep the `MCPServer` constructor from configuring the root logger of a process that mcp-host does not own."""
    root = logging.getLogger()
    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
