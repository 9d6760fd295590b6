"""Binds one plugin's contributions to what can be served: schemas, wire forms, async calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mcp.types as types
from mcp.server.apps import APP_MIME_TYPE
from mcp.server.mcpserver.resources import DEFAULT_RESOURCE_SECURITY
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.server.mcpserver.utilities.context_injection import find_context_parameter
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.shared.uri_template import UriTemplate

from mcp_host.api import Prompt, Resource, Tool
from mcp_host.catalog.apps import UI_SCHEME, with_ui
from mcp_host.catalog.completions import completers_of
from mcp_host.catalog.facts import annotations_of, author_name, scopes_of, timeout_of
from mcp_host.catalog.filters import hints_match, kept, warn_about_timeouts
from mcp_host.catalog.functions import Function, as_async, inspect_function
from mcp_host.catalog.guarding import guarded
from mcp_host.catalog.served import (
    Bound,
    Parts,
    PreparedTool,
    ServedPrompt,
    ServedResource,
    ServedTemplate,
    ServedTool,
)
from mcp_host.catalog.uris import has_scheme
from mcp_host.errors import HostError, text_of
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.streams import stdout_to_stderr

PROVENANCE = "mcp-host/plugin"
"""The `_meta` key that says which plugin, distribution and version a tool, resource or prompt comes from."""


def bind(plugin: LoadedPlugin) -> Parts:
    """Bind everything a plugin contributed.

    Raises:
        HostError: Something contributed cannot be served; it names the plugin, the part and the hint.
    """
    try:
        with stdout_to_stderr():
            return _Binder(plugin).bind()
    except HostError:
        raise
    except BaseException as error:
        raise HostError(f"its contributions cannot be read: {text_of(error)}", where=plugin.where) from error


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
        """Filter first, by name and hint, and bind what is left: a part that cannot be bound can be denied."""
        given = self._plugin.contributions
        section = self._plugin.section
        prefix = section.prefix
        tools = kept(self._plugin, "tools", section.tools, [(prefix + author_name(tool), tool) for tool in given.tools])
        prompts = kept(
            self._plugin,
            "prompts",
            section.prompts,
            [(prefix + author_name(prompt), prompt) for prompt in given.prompts],
        )
        all_resources = kept(
            self._plugin, "resources", section.resources, [(resource.uri, resource) for resource in given.resources]
        )
        warn_about_timeouts(self._plugin, [prefix + author_name(tool) for tool in given.tools])
        served = [guarded(self._plugin, "resource", uri, resource, self._resource) for uri, resource in all_resources]
        bind_tool = partial(self._tool, served)
        parts = Parts(
            tools=tuple(
                guarded(self._plugin, "tool", name, tool, bind_tool)
                for name, tool in tools
                if hints_match(self._plugin, tool)
            ),
            resources=tuple(item for item in served if isinstance(item, ServedResource)),
            templates=tuple(item for item in served if isinstance(item, ServedTemplate)),
            prompts=tuple(guarded(self._plugin, "prompt", name, prompt, self._prompt) for name, prompt in prompts),
            middleware=given.middleware,
        )
        completers, server_completion = completers_of(self._plugin, given.completions, parts)
        return replace(parts, completers=completers, server_completion=server_completion)

    # Parts

    def _tool(self, resources: Sequence[ServedResource | ServedTemplate], name: str, tool: Tool) -> ServedTool:
        plugin = self._plugin
        if isinstance(tool, PreparedTool) and tool.sdk is not None:
            # The SDK has read the signature already, and accepts some that inspect_function refuses.
            function = Function(tool.sdk.fn, tool.sdk.name, "", inspect.Signature(), tool.sdk.is_async)
            run = as_async(function, plugin.bulkhead)
            sdk = tool.sdk.model_copy(
                update={
                    "name": name,
                    "fn": run,
                    "is_async": True,
                    "meta": self._meta_of(tool, tool.sdk.meta, resources),
                }
            )
        else:
            function = inspect_function(tool.fn)
            sdk = SDKTool.from_function(
                as_async(function, plugin.bulkhead),
                name=name,
                title=tool.title,
                description=tool.description,
                annotations=annotations_of(tool),
                icons=list(tool.icons) if tool.icons else None,
                meta=self._meta_of(tool, tool.meta, resources),
                structured_output=tool.structured_output,
            )
            if tool.input_schema is not None:
                sdk = sdk.model_copy(update={"parameters": dict(tool.input_schema)})
        return ServedTool(
            name=name,
            plugin=plugin,
            timeout=timeout_of(self._plugin, tool.timeout, plugin.section.tools.timeouts, name),
            scopes=scopes_of(tool),
            sdk=sdk,
            wire=types.Tool(
                name=name,
                title=sdk.title,
                description=sdk.description,
                input_schema=sdk.parameters,
                output_schema=sdk.output_schema,
                annotations=sdk.annotations,
                icons=sdk.icons,
                _meta=sdk.meta,
            ),
        )

    def _meta_of(
        self, tool: Tool, given: Mapping[str, Any] | None, resources: Sequence[ServedResource | ServedTemplate]
    ) -> dict[str, Any]:
        return with_ui(self._plugin, tool, {**(given or {}), **self._meta}, resources)

    def _resource(self, uri: str, resource: Resource) -> ServedResource | ServedTemplate:
        if not has_scheme(uri):
            raise HostError("its URI has no scheme", hint="write it as scheme://path")
        template = UriTemplate.parse(uri)
        bound, name, doc = self._bound(resource.fn)
        parameters = set(inspect.signature(bound.run).parameters) - {bound.context_parameter}
        variables = set(template.variable_names)
        if parameters != variables:
            raise HostError(
                f"its URI has the variables {_names(variables)} and its function the parameters {_names(parameters)}",
                hint="give them the same names",
            )
        signature = inspect.signature(bound.run)
        for variable in template.query_variable_names:
            if signature.parameters[variable].default is inspect.Parameter.empty:
                raise HostError(
                    f"the query variable {variable!r} has no default, and a client may leave it out",
                    hint=f"write {variable}=... in the function's signature",
                )
        mime_type = resource.mime_type or (APP_MIME_TYPE if uri.startswith(UI_SCHEME) else "text/plain")
        common: dict[str, Any] = {
            "name": resource.name or (uri if name == "<lambda>" else name),
            "title": resource.title,
            "description": resource.description or doc or None,
            "mime_type": mime_type,
            "icons": list(resource.icons) if resource.icons else None,
            "annotations": resource.annotations,
            "_meta": {**(resource.meta or {}), **self._meta},
        }
        served: dict[str, Any] = {
            "name": uri,
            "plugin": self._plugin,
            "timeout": timeout_of(self._plugin, resource.timeout),
            "scopes": scopes_of(resource),
            "bound": bound,
            "mime_type": mime_type,
        }
        if not variables:
            return ServedResource(wire=types.Resource(uri=uri, **common), **served)
        return ServedTemplate(
            wire=types.ResourceTemplate(uri_template=uri, **common),
            template=template,
            security=resource.security or DEFAULT_RESOURCE_SECURITY,
            **served,
        )

    def _prompt(self, name: str, prompt: Prompt) -> ServedPrompt:
        bound, _, doc = self._bound(prompt.fn)
        schema = bound.metadata.arg_model.model_json_schema(by_alias=True)
        return ServedPrompt(
            name=name,
            plugin=self._plugin,
            timeout=timeout_of(self._plugin, prompt.timeout),
            scopes=scopes_of(prompt),
            bound=bound,
            wire=types.Prompt(
                name=name,
                title=prompt.title,
                description=prompt.description or doc or None,
                arguments=[
                    types.PromptArgument(
                        name=argument,
                        description=described.get("description"),
                        required=argument in schema.get("required", ()),
                    )
                    for argument, described in schema.get("properties", {}).items()
                ],
                icons=list(prompt.icons) if prompt.icons else None,
                _meta=dict(self._meta),
            ),
        )

    def _bound(self, fn: Callable[..., Any]) -> tuple[Bound, str, str]:
        function = inspect_function(fn)
        run = as_async(function, self._plugin.bulkhead)
        context_parameter = find_context_parameter(run)
        skip = [context_parameter] if context_parameter else []
        return (
            Bound(run, func_metadata(run, skip_names=skip, structured_output=False), context_parameter),
            function.name,
            function.doc,
        )


def _names(names: set[str] | set[str | None]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"
