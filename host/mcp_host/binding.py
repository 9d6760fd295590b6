"""Binds one plugin's contributions to what can be served: schemas, wire forms, async calls."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal, TypeVar

import mcp.types as types
from mcp.server.apps import APP_MIME_TYPE
from mcp.server.mcpserver.resources import DEFAULT_RESOURCE_SECURITY, ResourceSecurity
from mcp.server.mcpserver.tools import Tool as SDKTool
from mcp.server.mcpserver.utilities.context_injection import find_context_parameter
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.shared.uri_template import UriTemplate
from pydantic import ValidationError

from mcp_host.api import Completion, Middleware, Prompt, Resource, Tool
from mcp_host.config import NameFilter
from mcp_host.errors import HostError, did_you_mean, text_of
from mcp_host.functions import Function, as_async, function_name, inspect_function
from mcp_host.loader import LoadedPlugin
from mcp_host.stdout import stdout_to_stderr
from mcp_host.uris import has_scheme

PROVENANCE = "mcp-host/plugin"
"""The `_meta` key that says which plugin, distribution and version a tool, resource or prompt comes from."""

UI_SCHEME = "ui://"

FilterKey = Literal["tools", "resources", "prompts"]

_FILTERS: Mapping[str, FilterKey] = {"tool": "tools", "resource": "resources", "prompt": "prompts"}
_PartT = TypeVar("_PartT")


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


def bind(plugin: LoadedPlugin) -> Parts:
    """Bind everything a plugin contributed.

    Raises:
        HostError: Something contributed cannot be served; it names the plugin, the part and the mend.
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
        tools = self._kept("tools", section.tools, [(prefix + _author_name(tool), tool) for tool in given.tools])
        prompts = self._kept(
            "prompts", section.prompts, [(prefix + _author_name(prompt), prompt) for prompt in given.prompts]
        )
        all_resources = self._kept(
            "resources", section.resources, [(resource.uri, resource) for resource in given.resources]
        )
        self._warn_about_timeouts([prefix + _author_name(tool) for tool in given.tools])
        served = [self._guard("resource", uri, resource, self._resource) for uri, resource in all_resources]
        bind_tool = partial(self._tool, served)
        kept = Parts(
            tools=tuple(self._guard("tool", name, tool, bind_tool) for name, tool in tools if self._hints_match(tool)),
            resources=tuple(item for item in served if isinstance(item, ServedResource)),
            templates=tuple(item for item in served if isinstance(item, ServedTemplate)),
            prompts=tuple(self._guard("prompt", name, prompt, self._prompt) for name, prompt in prompts),
            middleware=given.middleware,
        )
        completers, server_completion = self._completers(given.completions, kept)
        return replace(kept, completers=completers, server_completion=server_completion)

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
                    "meta": self._tool_meta(tool, tool.sdk.meta, resources),
                }
            )
        else:
            function = inspect_function(tool.fn)
            sdk = SDKTool.from_function(
                as_async(function, plugin.bulkhead),
                name=name,
                title=tool.title,
                description=tool.description,
                annotations=_annotations(tool),
                icons=list(tool.icons) if tool.icons else None,
                meta=self._tool_meta(tool, tool.meta, resources),
                structured_output=tool.structured_output,
            )
            if tool.input_schema is not None:
                sdk = sdk.model_copy(update={"parameters": dict(tool.input_schema)})
        return ServedTool(
            name=name,
            plugin=plugin,
            timeout=self._timeout(tool.timeout, plugin.section.tools.timeouts, name),
            scopes=_scopes(tool),
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

    def _tool_meta(
        self, tool: Tool, given: Mapping[str, Any] | None, resources: Sequence[ServedResource | ServedTemplate]
    ) -> dict[str, Any]:
        """The tool's `_meta`. Its UI is in there as SEP-1865 has it, unless the user left the UI's resource out."""
        meta = {**(given or {}), **self._meta}
        ui = meta.pop("ui", {})
        if tool.ui is not None:
            self._refuse_bad_ui(tool.ui, resources)
            ui = {**ui, "resourceUri": tool.ui}
        uri = ui.get("resourceUri") if isinstance(ui, Mapping) else None
        contributed = any(_answers(resource.uri, uri) for resource in self._plugin.contributions.resources)
        if contributed and not any(_answers(resource.name, uri) for resource in resources):
            ui = {key: value for key, value in ui.items() if key != "resourceUri"}
        return {**meta, "ui": ui} if ui else meta

    def _refuse_bad_ui(self, uri: str, resources: Sequence[ServedResource | ServedTemplate]) -> None:
        if not uri.startswith(UI_SCHEME):
            raise HostError(f"its ui {uri!r} is not at {UI_SCHEME}", mend=f'write ui="{UI_SCHEME}..."')
        every = [resource.uri for resource in self._plugin.contributions.resources]
        if not any(_answers(known, uri) for known in every):
            apps = [known for known in every if known.startswith(UI_SCHEME)]
            raise HostError(
                f"its ui {uri!r} is no resource of the plugin{did_you_mean(uri, apps)}",
                mend=f'contribute the page: @plugin.resource("{uri}") above a function that returns its HTML',
            )
        page = next((resource for resource in resources if _answers(resource.name, uri)), None)
        if page is not None and page.mime_type != APP_MIME_TYPE:
            raise HostError(
                f"its ui {uri!r} is served as {page.mime_type!r}, and clients render only {APP_MIME_TYPE!r}",
                mend=f"leave mime_type out of the resource at {uri}",
            )

    def _resource(self, uri: str, resource: Resource) -> ServedResource | ServedTemplate:
        if not has_scheme(uri):
            raise HostError("its URI has no scheme", mend="write it as scheme://path")
        template = UriTemplate.parse(uri)
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
            "timeout": self._timeout(resource.timeout),
            "scopes": _scopes(resource),
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
            timeout=self._timeout(prompt.timeout),
            scopes=_scopes(prompt),
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

    def _completers(
        self, completions: Sequence[Completion], kept: Parts
    ) -> tuple[Mapping[tuple[str, str], Completer], Completion | None]:
        """Tie each completion to what it completes; one whose prompt or template was filtered out goes with it."""
        prefix = self._plugin.section.prefix
        uris = {resource.uri for resource in self._plugin.contributions.resources}
        every = uris | {_author_name(prompt) for prompt in self._plugin.contributions.prompts}
        arguments = {prompt.name: {a.name for a in prompt.wire.arguments or ()} for prompt in kept.prompts}
        arguments |= {template.name: set(template.template.variable_names) for template in kept.templates}
        arguments |= {resource.name: set() for resource in kept.resources}
        completers: dict[tuple[str, str], Completer] = {}
        server_completion: Completion | None = None
        for completion in completions:
            if isinstance(completion, ServerCompletion):
                server_completion = completion
                continue
            what = f"completion of {completion.ref!r}"
            if completion.ref not in every:
                raise HostError(
                    f"{what}: the plugin has no such prompt or template{did_you_mean(completion.ref, every)}",
                    where=self._plugin.where,
                )
            ref = completion.ref if completion.ref in uris else prefix + completion.ref
            if ref not in arguments:
                continue
            if completion.argument not in arguments[ref]:
                raise HostError(
                    f"{what}: it has no argument {completion.argument!r}"
                    f"{did_you_mean(completion.argument, arguments[ref])}",
                    where=self._plugin.where,
                )
            if (ref, completion.argument) in completers:
                raise HostError(f"{what}: {completion.argument!r} has two completers", where=self._plugin.where)
            completers[ref, completion.argument] = self._guard(
                "completion", completion.ref, completion, self._completer
            )
        return completers, server_completion

    def _completer(self, _: str, completion: Completion) -> Completer:
        function = inspect_function(completion.fn)
        run = as_async(function, self._plugin.bulkhead)
        context_parameter = find_context_parameter(run)
        names = [name for name in function.signature.parameters if name != context_parameter]
        # Beyond the value, a parameter with a default is the author's own business, unless it is `arguments`.
        value, *rest = [
            name
            for index, name in enumerate(names)
            if index == 0
            or name == "arguments"
            or function.signature.parameters[name].default is inspect.Parameter.empty
        ] or [""]
        if not value or len(rest) > 1:
            raise HostError("a completer takes the value typed so far, and may take the other arguments and a Context")
        return Completer(self._plugin, run, rest[0] if rest else None, value, context_parameter)

    # Filters

    def _kept(
        self, key: FilterKey, name_filter: NameFilter, parts: Sequence[tuple[str, _PartT]]
    ) -> list[tuple[str, _PartT]]:
        """Keep what `allow` names and `deny` does not; globs match the name as served or as the author wrote it."""
        prefix = "" if key == "resources" else self._plugin.section.prefix

        def matches(name: str, pattern: str) -> bool:
            return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(name.removeprefix(prefix), pattern)

        for list_name, patterns in (("allow", name_filter.allow or ()), ("deny", name_filter.deny)):
            for pattern in patterns:
                if not any(matches(name, pattern) for name, _ in parts):
                    self._warn_about(f"{key}.{list_name}", pattern, [name for name, _ in parts])
        return [
            (name, part)
            for name, part in parts
            if (name_filter.allow is None or any(matches(name, pattern) for pattern in name_filter.allow))
            and not any(matches(name, pattern) for pattern in name_filter.deny)
        ]

    def _warn_about_timeouts(self, names: Sequence[str]) -> None:
        prefix = self._plugin.section.prefix
        for key in self._plugin.section.tools.timeouts:
            if key not in names and prefix + key not in names:
                self._warn_about("tools.timeouts", key, names)

    def _warn_about(self, key: str, pattern: str, names: Sequence[str]) -> None:
        self._plugin.warn(f"{key}: {pattern!r} matches nothing{did_you_mean(pattern, names)}")

    def _hints_match(self, tool: Tool) -> bool:
        wanted = self._plugin.section.tools
        prepared = tool.sdk if isinstance(tool, PreparedTool) else None
        hints = (prepared.annotations if prepared else _annotations(tool)) or types.ToolAnnotations()
        pairs = (
            (wanted.read_only, hints.read_only_hint),
            (wanted.destructive, hints.destructive_hint),
            (wanted.idempotent, hints.idempotent_hint),
            (wanted.open_world, hints.open_world_hint),
        )
        # A hint the author left out says nothing: it is not taken for what the user asks for.
        return all(want is None or hint == want for want, hint in pairs)

    # Helpers

    def _guard(self, kind: str, name: str, part: _PartT, build: Callable[[str, _PartT], Any]) -> Any:
        """Run one binding step; what goes wrong is put down to the part by its name."""
        deny = deny_line(self._plugin, _FILTERS[kind], name) if kind in _FILTERS else ""
        try:
            return build(name, part)
        except HostError as error:
            what, mend = error.what, error.mend
            raise HostError(f"{kind} {name!r}: {what}", where=self._plugin.where, mend=mend or deny) from error
        except BaseException as error:
            # Annotations are evaluated and schemas asked for here, which may run any code of the plugin's.
            raise HostError(f"{kind} {name!r}: {_explained(error)}", where=self._plugin.where, mend=deny) from error

    def _timeout(self, own: float | None, by_name: Mapping[str, float] | None = None, name: str = "") -> float | None:
        """The most specific deadline: the TOML's for this tool, the TOML's for the plugin, the author's, the host's."""
        section = self._plugin.section
        given: object = own  # what an author wrote, whatever the annotation says
        if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or not given > 0):
            raise HostError(f"its timeout is {own!r}, not a number of seconds above 0")
        if by_name:
            for key in (name, name.removeprefix(section.prefix)):
                if key in by_name:
                    return by_name[key]
        for timeout in (section.timeout, own):
            if timeout is not None:
                return timeout
        return self._plugin.default_timeout


def deny_line(plugin: LoadedPlugin, key: FilterKey, name: str) -> str:
    """Return the table and the line for it that leave out one part of a plugin, besides those left out already."""
    names = dict.fromkeys((*getattr(plugin.section, key).deny, name))
    listed = ", ".join(json.dumps(denied, ensure_ascii=False).replace("\x7f", "\\u007f") for denied in names)
    return f"{plugin.table} {key}.deny = [{listed}]"


def _answers(served: str, uri: object) -> bool:
    """Whether the resource or template contributed at `served` is what a client gets at `uri`."""
    if not isinstance(uri, str):
        return False
    return served == uri or ("{" in served and UriTemplate.parse(served).match(uri) is not None)


def _author_name(part: Tool | Prompt) -> str:
    return part.name or function_name(part.fn)


def _scopes(part: Tool | Resource | Prompt) -> frozenset[str]:
    if isinstance(part.scopes, str):
        raise HostError(f"its scopes are the text {part.scopes!r}", mend=f'write a list: scopes=["{part.scopes}"]')
    return frozenset(part.scopes)


def _explained(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in details)
    return text_of(error)


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
