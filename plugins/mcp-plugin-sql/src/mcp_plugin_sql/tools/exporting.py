"""`export` writes the result of a query as a CSV file. It is served only with the setting `export_folder`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.csvfile import csv_file
from mcp_plugin_sql.models import Exported
from mcp_plugin_sql.tools.parameters import DatabaseParam, ParametersParam, SqlParam
from mcp_plugin_sql.tools.querying import hints


@plugin.tool(title="Export a query", read_only=False, destructive=False, idempotent=True, open_world=False)
async def export(
    sql: SqlParam,
    file: Annotated[str, Field(description="Name of the new file, ending in .csv, without a folder.")],
    ctx: Sql,
    parameters: ParametersParam = None,
    overwrite: Annotated[bool, Field(description="Replace the file if there is one.")] = False,
    database: DatabaseParam = "",
) -> Exported:
    """Write all rows of a read-only query into a CSV file in the folder for exports. No value is cut."""
    asked = ctx.state.find(database)
    folder = ctx.plugin.host.base_dir / (ctx.settings.export_folder or "")
    async with hints(asked):
        with csv_file(
            folder, file, ctx.settings.max_export_rows, overwrite=overwrite, owns=ctx.plugin.host.owns
        ) as into:
            await asked.read(sql, parameters, into, whole=True)
    return Exported(file=file, columns=into.columns, rows=into.rows, bytes=into.bytes, note=into.note)
