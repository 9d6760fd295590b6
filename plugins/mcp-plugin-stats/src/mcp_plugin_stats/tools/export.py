"""`export_query` writes the result of a query to a file. It is served only with the setting `export_folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.models import Exported
from mcp_plugin_stats.tools.parameters import Stats


@plugin.tool(title="Export a query", read_only=False, destructive=False, idempotent=False, open_world=False)
async def export_query(
    sql: Annotated[str, Field(description="One SELECT, as for query_dataset.")],
    file: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][\w-]*\.(csv|parquet)$", description="A new file, such as result.csv.")
    ],
    ctx: Stats,
) -> Exported:
    """Write all rows of a query to a new CSV or Parquet file in the export folder. No file is replaced."""
    folder = ctx.state.base_dir / Path(ctx.settings.export_folder or "").expanduser()
    if not folder.is_dir():
        raise ToolError("The export folder does not exist: the operator must create it.")
    rows = await ctx.state.export(sql, folder / file)
    return Exported(file=file, rows=rows)
