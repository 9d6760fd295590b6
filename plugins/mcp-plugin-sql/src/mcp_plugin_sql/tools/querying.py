"""`query` and `explain` run read-only SQL. The database itself prevents writing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.models import Plan, QueryResult
from mcp_plugin_sql.tools.parameters import ParametersParam, SqlParam


@plugin.tool(title="Query", read_only=True, open_world=False)
async def query(
    sql: SqlParam,
    ctx: Sql,
    parameters: ParametersParam = None,
    max_rows: Annotated[int | None, Field(ge=1, description="Return fewer rows than the configured maximum.")] = None,
) -> QueryResult:
    """Run one SQL statement in a read-only transaction. Long results are cut: aggregate, or use ORDER BY and LIMIT."""
    found = await ctx.state.query(sql, parameters, max_rows)
    return QueryResult(
        columns=found.columns,
        rows=found.rows,
        row_count=len(found.rows),
        truncated=bool(found.cap),
        unseen_rows=None if found.more else found.unseen,
        note=found.note if found.columns else "The statement returns no rows. Its effects end with this call.",
    )


@plugin.tool(title="Explain a query", read_only=True, open_world=False)
async def explain(sql: SqlParam, ctx: Sql, parameters: ParametersParam = None) -> Plan:
    """Show how the database would run a query, with the indexes it uses, without running it."""
    found = await ctx.state.explain(sql, parameters)
    lines = [_line(found.columns, row) for row in found.rows]
    return Plan(plan=[*lines, found.note] if found.note else lines)


def _line(columns: list[str], row: list[object]) -> str:
    """Return a line of the plan: SQLite has a column `detail`, PostgreSQL only one column, MySQL a table."""
    if columns[-1:] == ["detail"]:
        return str(row[-1])
    if len(row) == 1:
        return str(row[0])
    return ", ".join(f"{name}: {value}" for name, value in zip(columns, row, strict=True) if value is not None)
