"""The plugin object, whose tool `execute` is there only when the settings allow it, and the lifespan of its pools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from mcp_host import Context, Plugin, PluginContext, Tool, hookimpl
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings

Sql = Context[Settings, Database]
"""The context of every tool here: `.settings`, and `.state`, the database."""

WRITING = frozenset(("execute",))
"""The tools that change the database."""


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Database]:
    """Hold the pools while the plugin serves. They connect when first asked, and are closed here."""
    database = Database(plugin.settings, plugin.host.base_dir, plugin.log)
    try:
        yield database
    finally:
        await database.close()


class SqlPlugin(Plugin):
    """A plugin with one tool that its settings may leave out."""

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool]:
        """The tools; without `writable`, none that writes."""
        return tuple(
            tool for tool in self._tools if plugin.settings.writable or getattr(tool.fn, "__name__", "") not in WRITING
        )


plugin = SqlPlugin(settings=Settings, lifespan=lifespan)
