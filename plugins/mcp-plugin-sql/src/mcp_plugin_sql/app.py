"""The plugin object, which serves the tool `execute` only if the settings allow it, and the lifespan of its pools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from mcp_host import Context, HostError, Plugin, PluginContext, SchemaTool, Tool, hookimpl
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.target import file_of, parse_url

Sql = Context[Settings, Database]
"""The context of every tool here. Its state is the database."""

WRITING = frozenset(("execute",))
"""The tools that change the database."""


def refuse_own_file(plugin: PluginContext[Settings]) -> None:
    """Refuse a database that is a file of mcp-host itself, for example another plugin's.

    Raises:
        HostError: It is one.
    """
    parsed = parse_url(plugin.settings.url)
    if parsed.kind == "sqlite" and plugin.host.owns(file_of(parsed, plugin.host.base_dir)):
        raise HostError(
            f"the database is a file of mcp-host itself: {parsed.database}",
            hint="name a database in another folder in settings.url",
        )


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Database]:
    """Keep the pools while the plugin serves. They connect at the first call, and are closed here."""
    refuse_own_file(plugin)
    database = Database(plugin.settings, plugin.host.base_dir, plugin.log)
    try:
        yield database
    finally:
        await database.close()


class SqlPlugin(Plugin):
    """A plugin whose settings may leave out a tool."""

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool | SchemaTool]:
        """The tools. Without `writable`, tools that write are left out."""
        return tuple(
            tool
            for tool in super().mcp_tools(plugin)
            if plugin.settings.writable or getattr(getattr(tool, "fn", None), "__name__", "") not in WRITING
        )


plugin = SqlPlugin(settings=Settings, lifespan=lifespan)
