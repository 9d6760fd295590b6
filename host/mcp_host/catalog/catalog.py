"""Everything that the host serves at one moment. Names, owners and conflicts are decided before it is served."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from starlette.routing import Mount

from mcp_host.api import HttpRoute, Middleware, Observer
from mcp_host.catalog.binder import bind
from mcp_host.catalog.filters import deny_line
from mcp_host.catalog.routes import can_take, shown
from mcp_host.catalog.served import Complete, Parts, Served, ServedPrompt, ServedResource, ServedTemplate, ServedTool
from mcp_host.catalog.uris import overlap
from mcp_host.errors import ErrorCode, HostError, did_you_mean, wrapped
from mcp_host.plugins.kinds import KINDS, PROMPT, RESOURCE, TEMPLATE, TOOL, Kind
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import Contributed

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""The valid names of tools and prompts (SEP-986)."""

NAME_BUDGET = 60
"""The most characters of a tool's name that all known clients accept, after they add their own prefix."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """One immutable generation. Mappings are in served order: first by plugin, as in the TOML, then as contributed.

    `middleware` has what runs around the calls of each plugin, outermost first, with the plugin that it comes from.
    `failures` has the plugins that serve nothing, with the reason.
    """

    generation: int = 0
    plugins: tuple[LoadedPlugin, ...] = ()
    items: Mapping[Kind, Mapping[str, Served]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    completers: Mapping[tuple[str, str], Complete] = field(default_factory=dict)
    middleware: Mapping[LoadedPlugin, Sequence[tuple[LoadedPlugin, Middleware]]] = field(default_factory=dict)
    observers: tuple[tuple[LoadedPlugin, Observer], ...] = ()
    routes: tuple[HttpRoute, ...] = ()
    parts: Mapping[LoadedPlugin, Parts] = field(default_factory=dict)
    names: Mapping[LoadedPlugin, Contributed] = field(default_factory=dict)
    failures: Mapping[LoadedPlugin, HostError] = field(default_factory=dict)

    @property
    def tools(self) -> Mapping[str, ServedTool]:
        return cast("Mapping[str, ServedTool]", self.items[TOOL])

    @property
    def resources(self) -> Mapping[str, ServedResource]:
        return cast("Mapping[str, ServedResource]", self.items[RESOURCE])

    @property
    def templates(self) -> Mapping[str, ServedTemplate]:
        return cast("Mapping[str, ServedTemplate]", self.items[TEMPLATE])

    @property
    def prompts(self) -> Mapping[str, ServedPrompt]:
        return cast("Mapping[str, ServedPrompt]", self.items[PROMPT])

    @property
    def has_completion(self) -> bool:
        return bool(self.completers) or any(parts.any_completer for parts in self.parts.values())

    @property
    def has_ui(self) -> bool:
        """Whether a tool has an MCP App that renders its results."""
        return any(tool.ui is not None for tool in self.tools.values())

    def resource_at(self, uri: str) -> ServedResource | ServedTemplate | None:
        """Return the resource or the template that serves the URI, or None."""
        found = self._match(uri)
        return found[0] if found is not None else None

    def find_resource(self, uri: str) -> tuple[ServedResource | ServedTemplate, Mapping[str, Any]]:
        """Return what serves the URI, and the values of its variables. Fixed URIs come before templates.

        Raises:
            ResourceNotFoundError: Nothing serves it.
        """
        found = self._match(uri)
        if found is None:
            raise ResourceNotFoundError(f"Unknown resource: {uri}{did_you_mean(uri, self.resources)}")
        return found

    def _match(self, uri: str) -> tuple[ServedResource | ServedTemplate, Mapping[str, Any]] | None:
        fixed = self.resources.get(uri)
        if fixed is not None:
            return fixed, {}
        for template in self.templates.values():
            values = template.template.match(uri)
            if values is None:
                continue
            if template.security is None:
                return template, {"uri": uri}
            if template.security.validate(values) is not None:
                # Values that one template refuses must not reach a later template.
                break
            return template, values
        return None

    def completer_of(self, served: Served, argument: str) -> Complete | None:
        """Return the completer for one argument of a prompt or a template, or None."""
        return self.completers.get((served.name, argument)) or self.parts[served.plugin].any_completer

    def contributed(self, plugin: LoadedPlugin) -> Contributed:
        """Return the names of a plugin's served items, functions and routes."""
        return self.names.get(plugin, Contributed())

    def listed(self, kind: Kind) -> list[Any]:
        """Return the wire forms of one kind, in served order."""
        return [served.wire for served in self.items[kind].values()]

    def page(self, kind: Kind, first: str | None, most: int) -> tuple[list[Any], str | None]:
        """Return a page of the wire forms of one kind, and the name or URI with which the next page begins.

        `first` begins the page; None means the first one. Pages have `most` items, so only each such item begins one.

        Raises:
            MCPError: -32602, because no page begins with `first` (spec: Pagination).
        """
        names = list(self.items[kind])
        at = 0 if first is None else names.index(first) if first in self.items[kind] else -1
        if at < 0 or at % most:
            raise MCPError(INVALID_PARAMS, f"The list of {kind.plural} has changed: list it again from its beginning")
        after = at + most
        items = [self.items[kind][name].wire for name in names[at:after]]
        return items, names[after] if after < len(names) else None


def build_catalog(
    plugins: Sequence[LoadedPlugin],
    *,
    generation: int = 1,
    bound: Mapping[LoadedPlugin, Parts] | None = None,
    endpoint: str = "/mcp",
) -> Catalog:
    """Bind every plugin that has not failed, in order. A plugin that conflicts with an earlier one is refused.

    A plugin that cannot be bound or is refused serves nothing, and is in the catalog's `failures`. No plugin's problem
    is recorded here. Plugins in `bound` are not bound again. `endpoint` is the HTTP path that no route may have.
    """
    known = bound or {}
    failures: dict[LoadedPlugin, HostError] = {}
    builder = _Builder(endpoint)
    for plugin in plugins:
        if not plugin.alive:
            continue
        try:
            builder.add(plugin, known.get(plugin) or bind(plugin))
        except HostError as error:
            failures[plugin] = error
        except BaseException as error:
            # A route is an object of the plugin, and its attributes may raise anything.
            failures[plugin] = wrapped(error, "its contributions cannot be read", where=plugin.where)
    return Catalog(
        generation=generation,
        plugins=tuple(plugins),
        items=builder.items,
        completers=builder.completers,
        middleware={plugin: builder.middleware_around(plugin) for plugin in builder.parts},
        observers=tuple((plugin, observer) for plugin in builder.parts for observer in plugin.contributions.observers),
        routes=tuple(builder.routes),
        parts=builder.parts,
        names=builder.contributed,
        failures=failures,
    )


class _Builder:
    """Collects the parts of a catalog. `add` adds all items of a plugin, or none if one does not fit."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.routes: list[HttpRoute] = []
        self.items: dict[Kind, dict[str, Served]] = {kind: {} for kind in KINDS}
        self.completers: dict[tuple[str, str], Complete] = {}
        self.parts: dict[LoadedPlugin, Parts] = {}
        self.contributed: dict[LoadedPlugin, Contributed] = {}

    def add(self, plugin: LoadedPlugin, parts: Parts) -> None:
        added = {kind: self._added(kind, items, parts) for kind, items in parts.items.items()}
        self._refuse_overlaps(added)
        self._refuse_taken_paths(plugin)
        given = plugin.contributions
        contributed = Contributed(
            **{kind.plural: tuple(items) for kind, items in added.items()},
            middleware=tuple(map(_name_of, given.middleware)),
            observers=tuple(map(_name_of, given.observers)),
            routes=tuple(shown(each.route) for each in given.routes),
        )

        for kind, items in added.items():
            self.items[kind] |= items
        self.completers |= parts.completers
        self.routes.extend(given.routes)
        self.parts[plugin] = parts
        self.contributed[plugin] = contributed
        if contributed.middleware and plugin.section.middleware == "own" and not any(added.values()):
            plugin.warn(
                "its middleware never runs: it runs only around the plugin's own calls, and the plugin serves nothing",
                hint=f'{plugin.table} middleware = "all"   (it then sees the arguments and results of every plugin)',
            )

    def middleware_around(self, owner: LoadedPlugin) -> Sequence[tuple[LoadedPlugin, Middleware]]:
        """Return the middleware around the calls of a plugin. The first plugin in the TOML is outermost."""
        return tuple(
            (plugin, middleware)
            for plugin in self.parts
            if plugin is owner or plugin.section.middleware == "all"
            for middleware in plugin.contributions.middleware
        )

    def _added(self, kind: Kind, items: Sequence[Served], parts: Parts) -> dict[str, Served]:
        added: dict[str, Served] = {}
        taken = self.items[kind]
        for item in items:
            plugin = item.plugin
            deny = deny_line(plugin, kind.filter, item.name)
            if item.forwarded and not kind.named and item.name in taken:
                what = f"it is left out: {_conflict(kind.name, item, taken[item.name], deny).what}"
                plugin.warn(what, hint=deny, code=ErrorCode.LEFT_OUT)
                continue
            # In messages, a template is called a resource, too.
            what = f"{kind.name if kind.named else RESOURCE.name} {item.name!r}"
            if kind.named and not NAME.fullmatch(item.name):
                raise HostError(
                    f"{kind.name} name {item.name!r} is not made of 1 to 128 of A-Z a-z 0-9 . _ -",
                    where=plugin.where,
                    hint=deny,
                )
            if item.name in added:
                raise _conflict(what, item, added[item.name], deny)
            if item.name in taken:
                prefix = self._free_prefix(plugin, parts) if kind.named else None
                hint = f'{plugin.table} prefix = "{prefix}"' if prefix else deny
                raise _conflict(what, item, taken[item.name], hint)
            if kind is TOOL and len(item.name) > NAME_BUDGET:
                plugin.warn(
                    f"tool name {item.name!r} has {len(item.name)} characters; "
                    f"some clients refuse more than {NAME_BUDGET}",
                    hint=f'{plugin.table} prefix = "..."   (a shorter one)',
                )
            added[item.name] = item
        return added

    def _free_prefix(self, plugin: LoadedPlugin, parts: Parts) -> str | None:
        """Return a prefix with which every name of the plugin is free and valid, or None."""
        given = plugin.section.prefix
        base = re.sub(r"[^A-Za-z0-9_-]", "_", plugin.name)
        for prefix in (f"{base}_", *(f"{base}_{number}_" for number in range(2, 10))):
            renamed = [
                (prefix + item.name.removeprefix(given), self.items[kind])
                for kind, items in parts.items.items()
                if kind.named
                for item in items
            ]
            if all(name not in taken and NAME.fullmatch(name) for name, taken in renamed):
                return prefix
        return None

    def _refuse_taken_paths(self, plugin: LoadedPlugin) -> None:
        """Refuse a route that can match a path of another plugin, or is at the endpoint.

        A plugin may have several routes at one path, for different methods. A pattern never takes the endpoint.
        """
        for mine in plugin.contributions.routes:
            path = shown(mine.route)
            route = f"route {path!r} of plugin {plugin.name!r} ({plugin.record.source})"
            if path.rstrip("/") == self._endpoint.rstrip("/") and not isinstance(mine.route, Mount):
                raise HostError(
                    f"{route} is taken by the MCP endpoint",
                    where=plugin.where,
                    hint='[transport] path = "..."   (another endpoint)',
                )
            for other in self.parts:
                theirs = next(
                    (each.route for each in other.contributions.routes if can_take(mine.route, each.route)), None
                )
                if theirs is not None:
                    taken = "is taken by" if shown(theirs) == path else f"can match what {shown(theirs)!r} matches, of"
                    raise HostError(
                        f"{route} {taken} plugin {other.name!r} ({other.record.source})",
                        where=plugin.where,
                        hint=f"{plugin.table} enabled = false",
                    )

    def _refuse_overlaps(self, added: Mapping[Kind, dict[str, Served]]) -> None:
        """Refuse a URI or template that may match a URI of another plugin. The order must not decide what is read."""
        mine_by, theirs = {kind: list(added.get(kind, {}).values()) for kind in KINDS}, self.items
        others = (*theirs[TEMPLATE].values(), *theirs[RESOURCE].values())
        pairs = [(TEMPLATE, mine, other) for mine in mine_by[TEMPLATE] for other in others]
        pairs += [(RESOURCE, mine, other) for mine in mine_by[RESOURCE] for other in theirs[TEMPLATE].values()]
        for kind, mine, other in pairs:
            if mine.name in added[kind] and overlap(mine.name, other.name):
                hint = deny_line(mine.plugin, "resources", mine.name)
                error = _conflict(f"resource {mine.name!r}", mine, other, hint, verb=f"overlaps {other.name!r}")
                if not mine.forwarded:
                    raise error
                mine.plugin.warn(f"it is left out: {error.what}", hint=hint, code=ErrorCode.LEFT_OUT)
                del added[kind][mine.name]


def _name_of(function: object) -> str:
    """Return the name of a function, or the name of another callable's class."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


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
