"""Everything the host serves at one moment, decided before it is served: names, owners, conflicts, listings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import mcp.types as types
from starlette.routing import BaseRoute

from mcp_host.api import Middleware
from mcp_host.catalog.binder import bind
from mcp_host.catalog.filters import deny_line
from mcp_host.catalog.served import (
    Completer,
    Parts,
    Served,
    ServedPrompt,
    ServedResource,
    ServedTemplate,
    ServedTool,
)
from mcp_host.catalog.uris import overlap
from mcp_host.errors import ErrorCode, HostError, text_of
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import Contributed

_ServedT = TypeVar("_ServedT", bound=Served)

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What a tool may be called (SEP-986)."""

NAME_BUDGET = 60
"""Characters of a tool name past which known clients cut, refuse or hide it once they add their own prefix."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """An immutable generation of what is served. Mappings are in served order: the TOML's, then the plugin's own."""

    generation: int = 0
    plugins: tuple[LoadedPlugin, ...] = ()
    tools: Mapping[str, ServedTool] = field(default_factory=dict)
    resources: Mapping[str, ServedResource] = field(default_factory=dict)
    templates: Mapping[str, ServedTemplate] = field(default_factory=dict)
    prompts: Mapping[str, ServedPrompt] = field(default_factory=dict)
    completers: Mapping[tuple[str, str], Completer] = field(default_factory=dict)
    middleware: tuple[tuple[LoadedPlugin, Middleware], ...] = ()
    routes: tuple[BaseRoute, ...] = ()
    parts: Mapping[LoadedPlugin, Parts] = field(default_factory=dict)

    @property
    def has_completion(self) -> bool:
        return bool(self.completers) or any(parts.server_completion for parts in self.parts.values())

    @property
    def has_ui(self) -> bool:
        """Whether a tool has an MCP App to render its results."""
        return any(tool.ui is not None for tool in self.tools.values())

    def resource_at(self, uri: str) -> ServedResource | ServedTemplate | None:
        """Return the resource or the template that answers for the URI."""
        return self.resources.get(uri) or next(
            (template for template in self.templates.values() if template.template.match(uri) is not None), None
        )

    @property
    def tool_list(self) -> list[types.Tool]:
        return [tool.wire for tool in self.tools.values()]

    @property
    def resource_list(self) -> list[types.Resource]:
        return [resource.wire for resource in self.resources.values()]

    @property
    def template_list(self) -> list[types.ResourceTemplate]:
        return [template.wire for template in self.templates.values()]

    @property
    def prompt_list(self) -> list[types.Prompt]:
        return [prompt.wire for prompt in self.prompts.values()]


def build_catalog(
    plugins: Sequence[LoadedPlugin],
    *,
    previous: Catalog | None = None,
    endpoint: str = "/mcp",
) -> Catalog:
    """Bind every plugin that is still alive, in order, and refuse the ones that clash with an earlier one.

    A plugin that cannot be bound or that clashes fails whole: its record says why, and it serves nothing.
    Plugins of the `previous` generation are not bound again.
    `endpoint` is the HTTP path that no plugin's route may take.
    """
    bound = previous.parts if previous is not None else {}
    builder = _Builder(endpoint)
    for plugin in plugins:
        if not plugin.alive:
            continue
        try:
            parts = bound.get(plugin) or bind(plugin)
            builder.add(plugin, parts)
        except HostError as error:
            plugin.fail(error)
        except BaseException as error:
            # A route is an object of the plugin's own, whose attributes may raise anything.
            plugin.fail(HostError(f"its contributions cannot be read: {text_of(error)}", where=plugin.where))
    return Catalog(
        generation=previous.generation + 1 if previous is not None else 1,
        plugins=tuple(plugins),
        tools=builder.tools,
        resources=builder.resources,
        templates=builder.templates,
        prompts=builder.prompts,
        completers=builder.completers,
        middleware=tuple(builder.middleware),
        routes=tuple(builder.routes),
        parts=builder.parts,
    )


class _Builder:
    """The catalog in the making. `add` changes nothing unless the whole plugin fits."""

    def __init__(self, endpoint: str) -> None:
        self._paths: dict[str, LoadedPlugin | None] = {endpoint: None}
        self.routes: list[BaseRoute] = []
        self.tools: dict[str, ServedTool] = {}
        self.resources: dict[str, ServedResource] = {}
        self.templates: dict[str, ServedTemplate] = {}
        self.prompts: dict[str, ServedPrompt] = {}
        self.completers: dict[tuple[str, str], Completer] = {}
        self.middleware: list[tuple[LoadedPlugin, Middleware]] = []
        self.parts: dict[LoadedPlugin, Parts] = {}

    def add(self, plugin: LoadedPlugin, parts: Parts) -> None:
        tools = self._named("tool", parts.tools, self.tools, parts)
        prompts = self._named("prompt", parts.prompts, self.prompts, parts)
        resources = self._unique(parts.resources, self.resources)
        templates = self._unique(parts.templates, self.templates)
        self._refuse_overlaps(parts)
        paths = self._route_paths(plugin)

        self.tools |= tools
        self.prompts |= prompts
        self.resources |= resources
        self.templates |= templates
        self.completers |= parts.completers
        self._paths |= paths
        self.routes.extend(plugin.contributions.routes)
        self.middleware.extend((plugin, middleware) for middleware in parts.middleware)
        self.parts[plugin] = parts
        plugin.record = replace(
            plugin.record,
            contributed=Contributed(
                tools=tuple(tools), resources=tuple(resources), templates=tuple(templates), prompts=tuple(prompts)
            ),
        )

    def _named(
        self, kind: Literal["tool", "prompt"], items: Sequence[_ServedT], taken: Mapping[str, Served], parts: Parts
    ) -> dict[str, _ServedT]:
        added: dict[str, _ServedT] = {}
        for item in items:
            plugin = item.plugin
            deny = deny_line(plugin, "tools" if kind == "tool" else "prompts", item.name)
            if not NAME.fullmatch(item.name):
                raise HostError(
                    f"{kind} name {item.name!r} is not made of 1 to 128 of A-Z a-z 0-9 . _ -",
                    where=plugin.where,
                    hint=deny,
                )
            if item.name in added:
                raise _conflict(f"{kind} {item.name!r}", item, added[item.name], deny)
            if item.name in taken:
                prefix = self._free_prefix(plugin, parts)
                hint = f'{plugin.table} prefix = "{prefix}"' if prefix else deny
                raise _conflict(f"{kind} {item.name!r}", item, taken[item.name], hint)
            if kind == "tool" and len(item.name) > NAME_BUDGET:
                plugin.warn(
                    f"tool name {item.name!r} has {len(item.name)} characters; "
                    f"some clients refuse more than {NAME_BUDGET}",
                    hint=f'{plugin.table} prefix = "..."   (a shorter one)',
                )
            added[item.name] = item
        return added

    def _free_prefix(self, plugin: LoadedPlugin, parts: Parts) -> str | None:
        """Return a prefix under which every name of the plugin is free and allowed, or None when none comes to mind."""
        given = plugin.section.prefix
        base = re.sub(r"[^A-Za-z0-9_-]", "_", plugin.name)
        for prefix in (f"{base}_", *(f"{base}_{number}_" for number in range(2, 10))):
            renamed = [
                (prefix + item.name.removeprefix(given), taken)
                for items, taken in ((parts.tools, self.tools), (parts.prompts, self.prompts))
                for item in items
            ]
            if all(name not in taken and NAME.fullmatch(name) for name, taken in renamed):
                return prefix
        return None

    def _unique(self, items: Sequence[_ServedT], taken: Mapping[str, Served]) -> dict[str, _ServedT]:
        added: dict[str, _ServedT] = {}
        for item in items:
            other = added.get(item.name) or taken.get(item.name)
            if other is not None:
                hint = deny_line(item.plugin, "resources", item.name)
                raise _conflict(f"resource {item.name!r}", item, other, hint)
            added[item.name] = item
        return added

    def _route_paths(self, plugin: LoadedPlugin) -> dict[str, LoadedPlugin | None]:
        """Refuse routes at a path that is taken. A plugin may have several at one path, for different methods."""
        paths: dict[str, LoadedPlugin | None] = {}
        for route in plugin.contributions.routes:
            path = getattr(route, "path", None)
            if path is None:
                continue
            if path in self._paths:
                other = self._paths[path]
                owner = f"plugin {other.name!r} ({other.record.source})" if other else "the MCP endpoint"
                raise HostError(
                    f"route {path!r} of plugin {plugin.name!r} ({plugin.record.source}) is taken by {owner}",
                    where=plugin.where,
                    hint=f"{plugin.table} enabled = false"
                    if other
                    else '[transport] path = "..."   (another endpoint)',
                )
            paths[path] = plugin
        return paths

    def _refuse_overlaps(self, parts: Parts) -> None:
        """Refuse templates of two plugins that could claim one URI: which of them is read must not depend on order."""
        pairs: list[tuple[Served, Served]] = [
            (mine, other) for mine in parts.templates for other in (*self.templates.values(), *self.resources.values())
        ]
        pairs += [(mine, other) for mine in parts.resources for other in self.templates.values()]
        for mine, other in pairs:
            if overlap(mine.name, other.name):
                hint = deny_line(mine.plugin, "resources", mine.name)
                raise _conflict(f"resource {mine.name!r}", mine, other, hint, verb=f"overlaps {other.name!r}")


def _conflict(what: str, mine: Served, other: Served, hint: str, *, verb: str = "is contributed twice") -> HostError:
    plugin = mine.plugin
    if other.plugin is plugin:
        what = f"{what} {verb} by plugin {plugin.name!r} ({plugin.record.source}) itself"
    else:
        what = (
            f"{what} of plugin {plugin.name!r} ({plugin.record.source}) {verb}: "
            f"plugin {other.plugin.name!r} ({other.plugin.record.source}) has it already"
        )
    return HostError(what, where=plugin.where, hint=hint, code=ErrorCode.NAME_CONFLICT)
