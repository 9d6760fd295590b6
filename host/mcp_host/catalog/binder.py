"""Makes the served items of one plugin from its contributions: filtered, named, and checked for the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import mcp.types as types
from mcp.server.apps import APP_MIME_TYPE
from mcp.server.mcpserver.resources import DEFAULT_RESOURCE_SECURITY
from mcp.shared.uri_template import UriTemplate
from pydantic import BaseModel

from mcp_host.api import Prompt, Resource, SchemaTool, Tool
from mcp_host.catalog.apps import UI_SCHEME, with_ui
from mcp_host.catalog.completions import completers_of
from mcp_host.catalog.facts import annotations_of, author_name, scopes_of, timeout_of
from mcp_host.catalog.filters import guarded, hints_match, kept, warn_about_timeouts
from mcp_host.catalog.forwarded import (
    FORWARDED,
    ForwardedPrompt,
    ForwardedResource,
    ForwardedTool,
    forwarded_prompt,
    forwarded_resource,
    forwarded_tool,
)
from mcp_host.catalog.implementations import PromptBody, ResourceBody, ToolBody
from mcp_host.catalog.proof import object_schema, proven
from mcp_host.catalog.python_function import prepared_tool, python_prompt, python_resource, python_tool
from mcp_host.catalog.schema_tool import schema_tool
from mcp_host.catalog.served import (
    Parts,
    PreparedTool,
    ServedPrompt,
    ServedResource,
    ServedTemplate,
    ServedTool,
)
from mcp_host.catalog.uris import has_scheme
from mcp_host.errors import ErrorCode, HostError, wrapped
from mcp_host.plugins.kinds import PROMPT, RESOURCE, TEMPLATE, TOOL, Kind
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.streams import stdout_to_stderr

PROVENANCE = "mcp-host/plugin"
"""The `_meta` key that names the plugin, distribution and version of a tool, resource or prompt."""

TOOLS: Mapping[type, Callable[[LoadedPlugin, str, Any], ToolBody]] = {
    Tool: python_tool,
    ForwardedTool: forwarded_tool,
    PreparedTool: prepared_tool,
    SchemaTool: schema_tool,
}
"""The function that makes a tool, by the class of the contribution. A further implementation is a line here."""
RESOURCES: Mapping[type, Callable[[LoadedPlugin, UriTemplate, Any, str, dict[str, Any]], ResourceBody]] = {
    Resource: python_resource,
    ForwardedResource: forwarded_resource,
}
PROMPTS: Mapping[type, Callable[[LoadedPlugin, str, Any], PromptBody]] = {
    Prompt: python_prompt,
    ForwardedPrompt: forwarded_prompt,
}

_MakeT = TypeVar("_MakeT")
_WireT = TypeVar("_WireT", bound=BaseModel)


def bind(plugin: LoadedPlugin) -> Parts:
    """Bind everything that a plugin contributed.

    Raises:
        HostError: An item cannot be served. The error names the plugin and the item.
    """
    try:
        with stdout_to_stderr():
            return _Binder(plugin).bind()
    except HostError:
        raise
    except BaseException as error:
        raise wrapped(error, "its contributions cannot be read", where=plugin.where) from error


def _maker(table: Mapping[type, _MakeT], contribution: object) -> _MakeT:
    """Return the entry of the contribution's class, or of its nearest base class."""
    return next(table[kind] for kind in type(contribution).__mro__ if kind in table)


class _Binder:
    def __init__(self, plugin: LoadedPlugin) -> None:
        self._plugin = plugin
        self._meta = {
            PROVENANCE: {
                "name": plugin.name,
                "distribution": plugin.record.distribution,
                "version": plugin.record.version,
            }
        }

    def bind(self) -> Parts:
        """Filter first, and bind the rest, so that an item that cannot be bound can be denied."""
        plugin, given = self._plugin, self._plugin.contributions
        prefix = plugin.section.prefix
        read = self._built(RESOURCE, [(resource.uri, resource) for resource in given.resources], self._resource)
        fixed = [item for item in read if isinstance(item, ServedResource)]
        templates = [item for item in read if isinstance(item, ServedTemplate)]
        named_tools = [(prefix + author_name(tool), tool) for tool in given.tools]
        tools = [tool for tool in self._built(TOOL, named_tools, partial(self._tool, read)) if tool is not None]
        prompts = self._built(
            PROMPT, [(prefix + author_name(prompt), prompt) for prompt in given.prompts], self._prompt
        )
        warn_about_timeouts(plugin, [name for name, _ in named_tools])
        completers, any_completer = completers_of(plugin, given.completions, [*prompts, *read])
        return Parts(
            items={
                TOOL: tuple(tools),
                RESOURCE: tuple(fixed),
                TEMPLATE: tuple(templates),
                PROMPT: tuple(prompts),
            },
            completers=completers,
            any_completer=any_completer,
        )

    def _built(
        self,
        kind: Kind,
        named: Sequence[tuple[str, Any]],
        build: Callable[[str, Any], Any],
    ) -> list[Any]:
        plugin = self._plugin
        built = []
        for name, part in kept(plugin, kind.filter, getattr(plugin.section, kind.filter), named):
            try:
                built.append(guarded(plugin, kind.name, kind.filter, name, part, build))
            except HostError as error:
                if not isinstance(part, FORWARDED):
                    raise
                # Nobody here can correct another server.
                plugin.warn(f"it is left out: {error.what}", hint=error.hint, code=ErrorCode.LEFT_OUT)
        return built

    # Items

    def _tool(self, resources: Sequence[ServedResource | ServedTemplate], name: str, tool: Any) -> ServedTool | None:
        plugin = self._plugin
        if not hints_match(plugin, tool):
            return None
        if tool.name is None and author_name(tool) == "<lambda>":
            raise HostError("a lambda has no name", hint="give it one: Tool(fn, name=...)")
        body = _maker(TOOLS, tool)(plugin, name, tool)
        warn = partial(self._warn, f"tool {name!r}")
        wire = self._renamed(body.definition, name) or types.Tool(
            name=name,
            title=tool.title,
            description=tool.description or body.doc,
            input_schema=object_schema(body.input_schema, warn),
            output_schema=body.output_schema,
            annotations=annotations_of(tool),
            icons=list(tool.icons) if tool.icons else None,
            _meta=with_ui(plugin, tool, {**(tool.meta or {}), **self._meta}, resources),
        )
        return ServedTool(
            wire=proven(TOOL, wire, warn),
            timeout=timeout_of(plugin, tool.timeout, plugin.section.tools.timeouts, name),
            **self._common(name, tool, body),
        )

    def _resource(self, uri: str, resource: Resource) -> ServedResource | ServedTemplate:
        plugin = self._plugin
        if not has_scheme(uri):
            raise HostError("its URI has no scheme", hint="write it as scheme://path")
        is_fixed = isinstance(resource, ForwardedResource) and isinstance(resource.definition, types.Resource)
        template = UriTemplate.parse("" if is_fixed else uri)
        mime_type = resource.mime_type or (APP_MIME_TYPE if uri.startswith(UI_SCHEME) else "text/plain")
        meta = {**(resource.meta or {}), **self._meta}
        body = _maker(RESOURCES, resource)(plugin, template, resource, mime_type, meta)
        fields: dict[str, Any] = {
            "name": resource.name or (uri if body.name == "<lambda>" else body.name),
            "title": resource.title,
            "description": resource.description or body.doc or None,
            "mime_type": mime_type,
            "icons": list(resource.icons) if resource.icons else None,
            "annotations": resource.annotations,
            "_meta": meta,
        }
        common: dict[str, Any] = {
            "timeout": timeout_of(plugin, resource.timeout),
            "mime_type": mime_type,
            "watch": body.watch,
            **self._common(uri, resource, body),
        }
        warn = partial(self._warn, f"resource {uri!r}")
        definition: Any = self._renamed(body.definition)
        if is_fixed or (definition is None and not template.variable_names):
            return ServedResource(
                wire=proven(RESOURCE, definition or types.Resource(uri=uri, **fields), warn), **common
            )
        return ServedTemplate(
            wire=proven(TEMPLATE, definition or types.ResourceTemplate(uri_template=uri, **fields), warn),
            template=template,
            security=resource.security or (DEFAULT_RESOURCE_SECURITY if definition is None else None),
            **common,
        )

    def _prompt(self, name: str, prompt: Prompt) -> ServedPrompt:
        body = _maker(PROMPTS, prompt)(self._plugin, name, prompt)
        wire = self._renamed(body.definition, name) or types.Prompt(
            name=name,
            title=prompt.title,
            description=prompt.description or body.doc or None,
            arguments=list(body.arguments),
            icons=list(prompt.icons) if prompt.icons else None,
            _meta=dict(self._meta),
        )
        return ServedPrompt(
            wire=proven(PROMPT, wire, partial(self._warn, f"prompt {name!r}")),
            timeout=timeout_of(self._plugin, prompt.timeout),
            **self._common(name, prompt, body),
        )

    def _renamed(self, definition: _WireT | None, name: str | None = None) -> _WireT | None:
        """Return what another server listed, with its name here and the note about the plugin."""
        if definition is None:
            return None
        meta = {**(getattr(definition, "meta", None) or {}), **self._meta}
        return definition.model_copy(update={"meta": meta} if name is None else {"meta": meta, "name": name})

    def _common(self, name: str, part: Any, body: ToolBody | ResourceBody | PromptBody) -> dict[str, Any]:
        return {
            "name": name,
            "plugin": self._plugin,
            "scopes": scopes_of(part),
            "run": body.run,
            "forwarded": body.definition is not None,
        }

    def _warn(self, item: str, what: str) -> None:
        self._plugin.warn(f"{item}: {what}")
