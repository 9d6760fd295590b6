"""What `mcp-host check` asks: whether the database answers."""

from __future__ import annotations

from mcp_host import PluginContext, ToolError
from mcp_plugin_sql.app import plugin
from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings


@plugin.check("the database answers")
async def database_answers(context: PluginContext[Settings]) -> str | None:
    """Why it does not."""
    database = Database(context.settings, context.host.base_dir, context.log)
    try:
        await database.query("SELECT 1", None)
    except ToolError as error:
        return str(error)
    finally:
        await database.close()
    return None
