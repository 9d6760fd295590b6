"""The checks for `mcp-host check`: the databases answer, and their roles cannot do more than read."""

from __future__ import annotations

from mcp_host import PluginContext, ToolError
from mcp_plugin_sql.app import plugin
from mcp_plugin_sql.databases import Databases
from mcp_plugin_sql.settings import Settings


@plugin.check("the database answers")
async def database_answers(context: PluginContext[Settings]) -> str | None:
    """Return why a database does not answer or its role is not accepted, or None."""
    databases = Databases(context.settings, context.host.base_dir, context.log)
    try:
        for name, database in databases.by_name.items():
            try:
                await database.query("SELECT 1", None)
            except ToolError as error:
                return f"{name}: {error}" if name else str(error)
    finally:
        await databases.close()
    return None
