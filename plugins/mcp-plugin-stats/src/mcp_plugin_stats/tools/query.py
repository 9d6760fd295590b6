"""`query_dataset` runs read-only SQL over the data sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.models import ColumnType, QueryResult
from mcp_plugin_stats.tools.parameters import Stats


@plugin.tool(title="Query with SQL", read_only=True, idempotent=True, open_world=False)
async def query_dataset(
    sql: Annotated[
        str,
        Field(
            description="One SELECT in DuckDB's SQL. Data sets are tables: SELECT island, avg(body_mass_g) FROM "
            "penguins GROUP BY island. Joins, WITH, window functions, DESCRIBE, SUMMARIZE work; no files, no writing."
        ),
    ],
    ctx: Stats,
) -> QueryResult:
    """Run one read-only SQL query over the data sets. Long results are cut: aggregate, or add LIMIT and ORDER BY."""
    found, warnings = await ctx.state.query(sql)
    return QueryResult(
        columns=[ColumnType(name=name, type=kind) for name, kind in found.columns],
        rows=found.rows,
        row_count=len(found.rows),
        truncated=found.truncated,
        warnings=warnings,
    )
