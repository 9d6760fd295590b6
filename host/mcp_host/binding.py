"""Binds one plugin's contributions to what can be served: schemas, wire forms, async calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import mcp.types as types
from mcp.server.mcpserver.exceptions import InvalidSignature
from mcp.server.mcpserver.resources import DEFAULT_RESOURCE_SECURITY, ResourceSecurity
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.server.mcpserver.utilities.context_injection import find_context_parameter
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate
from pydantic import PydanticUserError

from mcp_host.api import Completion, Middleware, Prompt, Resource, Tool
from mcp_host.errors import HostError, did_you_mean
from mcp_host.functions import Function, as_async, inspect_function
from mcp_host.loader import LoadedPlugin
from mcp_host.uris import has_scheme

PROVENANCE = "mcp-host/plugin"
"""The `_meta` key that says which plugin, distribution and version a tool, resource or prompt comes from."""

_BAD_SIGNATURE = (InvalidSignature, InvalidUriTemplate, PydanticUserError, TypeError, ValueError, NameError)


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


def bind(plugin: LoadedPlugin, *, default_timeout: float | None) -> Parts:
    """Bind everything a plugin contributed.

    Raises:
        HostError: Something contributed cannot be served; it names the plugin, the part and the mend.
    """
    return _Binder(plugin, default_timeout).bind()


class _Binder:
    def __init__(self, plugin: LoadedPlugin, default_timeout: float | None) -> None:
        self._plugin = plugin
        self._default_timeout = default_timeout
        self._meta = {
            PROVENANCE: {
                "name": plugin.name,
                "distribution": plugin.record.distribution,
                "version": plugin.record.version,
            }
        }

    def bind(self) -> Parts:
        given = self._plugin.contributions
        section = self._plugin.section
        prompts = [self._guard("prompt", prompt, self._prompt, prompt) for prompt in given.prompts]
        resources: list[ServedResource] = []
        templates: list[ServedTemplate] = []
        for resource in given.resources:
            served = self._guard("resource", resource, self._resource, resource)
            if isinstance(served, ServedTemplate):
                templates.append(served)
            else:
                resources.append(served)
        tools = [self._guard("tool", tool, self._tool, tool) for tool in given.tools]
        prefix = section.prefix
        kept = Parts(
            tools=tuple(tool for tool in tools if self._hints_match(tool)),
            resources=tuple(resources),
            templates=tuple(templates),
            prompts=tuple(prompts),
            middleware=given.middleware,
        )
        kept = self._filtered(kept, prefix)
        completers, server_completion = self._completers(given.completions, kept)
        return replace(kept, completers=completers, server_completion=server_completion)

    # Parts

    def _tool(self, tool: Tool) -> ServedTool:
        plugin = self._plugin
        if isinstance(tool, PreparedTool) and tool.sdk is not None:
            name = plugin.section.prefix + tool.sdk.name
            # The SDK has read the signature already, and accepts some that inspect_function refuses.
            function = Function(tool.sdk.fn, tool.sdk.name, "", inspect.Signature(), tool.sdk.is_async)
            run = as_async(function, plugin.threads)
            sdk = tool.sdk.model_copy(
                update={"name": name, "fn": run, "is_async": True, "meta": {**(tool.sdk.meta or {}), **self._meta}}
            )
        else:
            function = inspect_function(tool.fn)
            name = plugin.section.prefix + (tool.name or function.name)
            sdk = SDKTool.from_function(
                as_async(function, plugin.threads),
                name=name,
                title=tool.title,
                description=tool.description,
                annotations=_annotations(tool),
                icons=list(tool.icons) if tool.icons else None,
                meta={**(tool.meta or {}), **self._meta},
                structured_output=tool.structured_output,
            )
            if tool.input_schema is not None:
                sdk = sdk.model_copy(update={"parameters": dict(tool.input_schema)})
        return ServedTool(
            name=name,
            plugin=plugin,
            timeout=self._timeout(tool.timeout, plugin.section.tools.timeouts, name),
            scopes=frozenset(tool.scopes),
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

    def _resource(self, resource: Resource) -> ServedResource | ServedTemplate:
        if not has_scheme(resource.uri):
            raise HostError(f"{resource.uri!r} has no scheme", mend="write it as scheme://path")
        template = UriTemplate.parse(resource.uri)
        bound, name, doc = self._bound(resource.fn)
        parameters = set(inspect.signature(bound.run).parameters) - {bound.context_parameter}
        variables = set(template.variable_names)
        if parameters != variables:
            raise HostError(
                f"its URI has the variables {_names(variables)} and its function the parameters {_names(parameters)}",
                mend="give them the same names",
            )
        signature = inspect.signature(bound.run)
        for variable in template.query_variable_names:
            if signature.parameters[variable].default is inspect.Parameter.empty:
                raise HostError(
                    f"the query variable {variable!r} has no default, and a client may leave it out",
                    mend=f"write {variable}=... in the function's signature",
                )
        mime_type = resource.mime_type or "text/plain"
        common: dict[str, Any] = {
            "name": resource.name or name,
            "title": resource.title,
            "description": resource.description or doc or None,
            "mime_type": mime_type,
            "icons": list(resource.icons) if resource.icons else None,
            "annotations": resource.annotations,
            "_meta": {**(resource.meta or {}), **self._meta},
        }
        served: dict[str, Any] = {
            "name": resource.uri,
            "plugin": self._plugin,
            "timeout": self._timeout(resource.timeout),
            "scopes": frozenset(resource.scopes),
            "bound": bound,
            "mime_type": mime_type,
        }
        if not variables:
            return ServedResource(wire=types.Resource(uri=resource.uri, **common), **served)
        return ServedTemplate(
            wire=types.ResourceTemplate(uri_template=resource.uri, **common),
            template=template,
            security=resource.security or DEFAULT_RESOURCE_SECURITY,
            **served,
        )

    def _prompt(self, prompt: Prompt) -> ServedPrompt:
        bound, name, doc = self._bound(prompt.fn)
        schema = bound.metadata.arg_model.model_json_schema(by_alias=True)
        served_name = self._plugin.section.prefix + (prompt.name or name)
        return ServedPrompt(
            name=served_name,
            plugin=self._plugin,
            timeout=self._timeout(prompt.timeout),
            scopes=frozenset(prompt.scopes),
            bound=bound,
            wire=types.Prompt(
                name=served_name,
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
        run = as_async(function, self._plugin.threads)
        context_parameter = find_context_parameter(run)
        skip = [context_parameter] if context_parameter else []
        return (
            Bound(run, func_metadata(run, skip_names=skip, structured_output=False), context_parameter),
            function.name,
            function.doc,
        )

    def _completers(
        self, completions: Sequence[Completion], kept: Parts
    ) -> tuple[Mapping[tuple[str, str], Completer], Completion | None]:
        """Tie each completion to what it completes; one whose prompt or template was filtered out goes with it."""
        prefix = self._plugin.section.prefix
        every = {prompt.name or inspect_function(prompt.fn).name for prompt in self._plugin.contributions.prompts}
        every |= {resource.uri for resource in self._plugin.contributions.resources}
        arguments = {prompt.name: {a.name for a in prompt.wire.arguments or ()} for prompt in kept.prompts}
        arguments |= {template.name: set(template.template.variable_names) for template in kept.templates}
        completers: dict[tuple[str, str], Completer] = {}
        server_completion: Completion | None = None
        for completion in completions:
            if isinstance(completion, ServerCompletion):
                server_completion = completion
                continue
            if completion.ref not in every:
                raise HostError(
                    f"completion of {completion.ref!r}: the plugin has no such prompt or template"
                    f"{did_you_mean(completion.ref, every)}",
                    where=self._plugin.where,
                )
            ref = completion.ref if has_scheme(completion.ref) else prefix + completion.ref
            if ref not in arguments:
                continue
            if completion.argument not in arguments[ref]:
                raise HostError(
                    f"completion of {completion.ref!r}: it has no argument {completion.argument!r}"
                    f"{did_you_mean(completion.argument, arguments[ref])}",
                    where=self._plugin.where,
                )
            completers[ref, completion.argument] = self._guard("completion", completion, self._completer, completion)
        return completers, server_completion

    def _completer(self, completion: Completion) -> Completer:
        function = inspect_function(completion.fn)
        run = as_async(function, self._plugin.threads)
        context_parameter = find_context_parameter(run)
        names = [name for name in function.signature.parameters if name != context_parameter]
        if not 1 <= len(names) <= 2:
            raise HostError("a completer takes the value typed so far, and may take the other arguments and a Context")
        value, *rest = names
        return Completer(self._plugin, run, rest[0] if rest else None, value, context_parameter)

    # Filters

    def _filtered(self, parts: Parts, prefix: str) -> Parts:
        section = self._plugin.section
        return replace(
            parts,
            tools=self._matching("tools", section.tools, parts.tools, prefix),
            resources=self._matching("resources", section.resources, parts.resources, "", also=parts.templates),
            templates=self._matching("resources", section.resources, parts.templates, "", also=parts.resources),
            prompts=self._matching("prompts", section.prompts, parts.prompts, prefix),
        )

    def _matching(self, key: str, name_filter: Any, items: Sequence[Any], prefix: str, also: Sequence[Any] = ()) -> Any:
        """Keep what `allow` names and `deny` does not; globs match the name as served or as the author wrote it."""

        def matches(item: Served, pattern: str) -> bool:
            return (
                item.name == pattern
                or fnmatchcase(item.name, pattern)
                or fnmatchcase(item.name.removeprefix(prefix), pattern)
            )

        for list_name, patterns in (("allow", name_filter.allow or ()), ("deny", name_filter.deny)):
            for pattern in patterns:
                if not any(matches(item, pattern) for item in (*items, *also)):
                    names = [item.name for item in items]
                    self._plugin.warn(f"{key}.{list_name}: {pattern!r} matches nothing{did_you_mean(pattern, names)}")
        return tuple(
            item
            for item in items
            if (name_filter.allow is None or any(matches(item, pattern) for pattern in name_filter.allow))
            and not any(matches(item, pattern) for pattern in name_filter.deny)
        )

    def _hints_match(self, tool: ServedTool) -> bool:
        wanted = self._plugin.section.tools
        hints = tool.sdk.annotations or types.ToolAnnotations()
        pairs = (
            (wanted.read_only, hints.read_only_hint),
            (wanted.destructive, hints.destructive_hint),
            (wanted.idempotent, hints.idempotent_hint),
            (wanted.open_world, hints.open_world_hint),
        )
        # A hint the author left out says nothing: it is not taken for what the user asks for.
        return all(want is None or hint == want for want, hint in pairs)

    # Helpers

    def _guard(self, kind: str, part: Any, build: Callable[[Any], Any], argument: Any) -> Any:
        """Run one binding step; what goes wrong is put down to the part by its name."""
        label = getattr(part, "name", None) or getattr(part, "uri", None) or getattr(part, "ref", None)
        label = label or getattr(part.fn, "__name__", type(part.fn).__name__)
        try:
            return build(argument)
        except HostError as error:
            raise HostError(f"{kind} {label!r}: {error.what}", where=self._plugin.where, mend=error.mend) from error
        except _BAD_SIGNATURE as error:
            text = str(error).splitlines()[0]
            raise HostError(f"{kind} {label!r}: {text}", where=self._plugin.where) from error

    def _timeout(self, own: float | None, by_name: Mapping[str, float] | None = None, name: str = "") -> float | None:
        """The most specific deadline: the TOML's for this tool, the TOML's for the plugin, the author's, the host's."""
        section = self._plugin.section
        if by_name:
            for key in (name, name.removeprefix(section.prefix)):
                if key in by_name:
                    return by_name[key]
        for timeout in (section.timeout, own):
            if timeout is not None:
                return timeout
        return self._default_timeout


def _annotations(tool: Tool) -> types.ToolAnnotations | None:
    hints = {
        "read_only_hint": tool.read_only,
        "destructive_hint": tool.destructive,
        "idempotent_hint": tool.idempotent,
        "open_world_hint": tool.open_world,
    }
    given = {name: value for name, value in hints.items() if value is not None}
    if not given:
        return tool.annotations
    return (tool.annotations or types.ToolAnnotations()).model_copy(update=given)


def _names(names: set[str] | set[str | None]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"
