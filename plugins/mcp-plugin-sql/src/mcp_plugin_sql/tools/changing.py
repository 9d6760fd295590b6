"""`execute` runs SQL that changes the database. It is served only with the setting `writable = true`."""

from __future__ import annotations

from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.models import ExecuteResult
from mcp_plugin_sql.tools.parameters import DatabaseParam, ParametersParam, SqlParam
from mcp_plugin_sql.tools.querying import hints


@plugin.tool(title="Change the database", read_only=False, destructive=True, open_world=False)
async def execute(
    sql: SqlParam, ctx: Sql, parameters: ParametersParam = None, database: DatabaseParam = ""
) -> ExecuteResult:
    """Run one SQL statement that changes the database, and commit it. If it fails or is stopped, nothing changes."""
    asked = ctx.state.find(database)
    async with hints(asked):
        returned, changed = await asked.execute(sql, parameters)
    return ExecuteResult(rows_affected=changed, columns=returned.columns, rows=returned.rows, note=returned.note)
