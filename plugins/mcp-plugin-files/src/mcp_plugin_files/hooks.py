"""The hooks. The contributions depend on the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from mcp_host import Check, Completion, PluginContext, Resource, Tool, hookimpl
from mcp_plugin_files.checks import folders_are_there
from mcp_plugin_files.resources import completions, resources_of
from mcp_plugin_files.roots import Roots
from mcp_plugin_files.served import Files
from mcp_plugin_files.settings import Settings
from mcp_plugin_files.tools import tools_of
from mcp_plugin_files.watching import Watcher


@hookimpl
def mcp_settings() -> type[Settings]:
    return Settings


@hookimpl
def mcp_tools(plugin: PluginContext[Settings]) -> Iterable[Tool]:
    return tuple(tools_of(plugin.settings))


@hookimpl
def mcp_resources(plugin: PluginContext[Settings]) -> Iterable[Resource]:
    return tuple(resources_of(plugin.settings))


@hookimpl
def mcp_completions(plugin: PluginContext[Settings]) -> Iterable[Completion]:
    return completions() if plugin.settings.folders else ()


@hookimpl
def mcp_checks() -> Iterable[Check]:
    return (Check(folders_are_there, "the folders are there"),)


@hookimpl
@asynccontextmanager
async def mcp_lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Files]:
    """Keep the plugin's state, and watch the roots while the plugin serves."""
    host = plugin.host
    roots = Roots(plugin.settings, host.base_dir, lambda: (host.own_paths, host.code_paths))
    files = Files.of(plugin.settings, roots)
    async with anyio.create_task_group() as tasks:
        if plugin.settings.watch and plugin.settings.folders:
            await tasks.start(Watcher(files, plugin.notify_resource_updated, plugin.log).run)
        yield files
        tasks.cancel_scope.cancel()
