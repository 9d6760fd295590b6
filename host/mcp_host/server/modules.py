"""Finds the one object of a module that can be served, when no name was given."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_host.api import PROJECT, Plugin
from mcp_host.config.values import split_object
from mcp_host.errors import ErrorCode, HostError
from mcp_host.plugins.hooks import HOOKS
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.upstream.inmemory import low_level_server


def the_object(module: ModuleType, plugin: LoadedPlugin) -> object:
    """Return the one plugin or server among the variables of a module. If it has hooks, or nothing, return itself.

    Raises:
        HostError: It has several, or only a function that may make one.
    """
    if any(_is_hook(name, value) for name, value in vars(module).items()):
        return module
    found: dict[int, tuple[str, object]] = {}
    for name, value in vars(module).items():
        if not name.startswith("_") and _can_be_served(value):
            found.setdefault(id(value), (name, value))
    if len(found) == 1:
        return next(iter(found.values()))[1]
    place = split_object(plugin.record.value or module.__name__)[0]
    if found:
        names = [name for name, _ in found.values()]
        raise HostError(
            f"{place} has several plugins or servers: {', '.join(names)}",
            where=plugin.where,
            hint=f"name one of them: {place}:{names[0]}",
            code=ErrorCode.UNKNOWN_NAME,
        )
    makers = [name for name, value in vars(module).items() if _is_maker(value, module)]
    if not makers:
        return module
    raise HostError(
        f"{place} has no plugin and no server, but a function that may make one: {makers[0]}",
        where=plugin.where,
        hint=f"name the function: {place}:{makers[0]}",
    )


def _is_hook(name: str, value: object) -> bool:
    """Return whether a function of a module is a hook, or is meant to be one."""
    if not callable(value) or isinstance(value, type):
        return False
    return name.startswith("mcp_") or inspect.getattr_static(value, f"{PROJECT}_impl", None) is not None


def _can_be_served(value: object) -> bool:
    if isinstance(value, type | ModuleType):
        return False
    return (
        isinstance(value, Plugin | MCPServer)
        or low_level_server(value) is not None
        or any(hasattr(inspect.getattr_static(type(value), hook, None), f"{PROJECT}_impl") for hook in HOOKS)
    )


def _is_maker(value: Any, module: ModuleType) -> bool:
    """Return whether a function of the module looks like one that makes a server."""
    return (
        inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
        and any(word in value.__name__.lower() for word in ("server", "plugin", "app", "create", "make", "build"))
    )
