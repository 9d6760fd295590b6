"""The plugin object, which serves the tools that write only if the settings allow it, and the lifespan of its pools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from mcp_host import Context, HostError, Plugin, PluginContext, SchemaTool, Tool, hookimpl
from mcp_plugin_sql.databases import Databases
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.target import file_of, parse_url

Sql = Context[Settings, Databases]
"""The context of every tool here. Its state is the databases."""


def refuse_own_file(plugin: PluginContext[Settings]) -> None:
    """Refuse a database that is a file of mcp-host itself, for example another plugin's.

    Raises:
        HostError: It is one.
    """
    for own in plugin.settings.each().values():
        parsed = parse_url(own.url)
        if parsed.kind == "sqlite" and plugin.host.owns(file_of(parsed, plugin.host.base_dir)):
            raise HostError(
                f"the database is a file of mcp-host itself: {parsed.database}",
                hint="name a database in another folder in settings.url",
            )


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Databases]:
    """Keep the pools while the plugin serves. A server's role is checked first."""
    refuse_own_file(plugin)
    databases = Databases(plugin.settings, plugin.host.base_dir, plugin.log)
    try:
        await databases.check_roles()
        yield databases
    finally:
        await databases.close()


class SqlPlugin(Plugin):
    """A plugin whose settings may leave out a tool."""

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool | SchemaTool]:
        """The tools. Without `writable` and `export_folder`, those that write are left out."""
        settings = plugin.settings
        left_out = set() if settings.writable else {"execute"}
        left_out |= set() if settings.export_folder is not None else {"export"}
        return tuple(
            tool
            for tool in super().mcp_tools(plugin)
            if getattr(getattr(tool, "fn", None), "__name__", "") not in left_out
        )


plugin = SqlPlugin(settings=Settings, lifespan=lifespan)
