"""`query` and `explain` run read-only SQL. The database itself prevents writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_sql import catalog
from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.database import Database, UnknownRelationError
from mcp_plugin_sql.models import Plan, QueryResult
from mcp_plugin_sql.tools.parameters import DatabaseParam, ParametersParam, SqlParam


@plugin.tool(title="Query", read_only=True, open_world=False)
async def query(
    sql: SqlParam,
    ctx: Sql,
    parameters: ParametersParam = None,
    max_rows: Annotated[int | None, Field(ge=1, description="Return fewer rows than the configured maximum.")] = None,
    database: DatabaseParam = "",
) -> QueryResult:
    """Run one SQL statement in a read-only transaction. Long results are cut: aggregate, or use ORDER BY and LIMIT."""
    asked = ctx.state.find(database)
    async with hints(asked):
        found = await asked.query(sql, parameters, max_rows)
    return QueryResult(
        columns=found.columns,
        rows=found.rows,
        row_count=len(found.rows),
        truncated=bool(found.cap),
        unseen_rows=None if found.more else found.unseen,
        note=found.note if found.columns else "The statement returns no rows. Its effects end with this call.",
    )


@plugin.tool(title="Explain a query", read_only=True, open_world=False)
async def explain(
    sql: SqlParam,
    ctx: Sql,
    parameters: ParametersParam = None,
    analyze: Annotated[bool, Field(description="Run the query, and show real times and numbers of rows.")] = False,
    database: DatabaseParam = "",
) -> Plan:
    """Show how the database would run a query, with the indexes it uses. Without `analyze` it is not run."""
    asked = ctx.state.find(database)
    if analyze and not asked.backend.analyzing:
        raise ToolError(f"{asked.backend.title} has no statement that shows a plan with real figures: omit `analyze`.")
    async with hints(asked):
        found = await asked.explain(sql, parameters, analyze=analyze)
    lines = [line for row in found.rows for line in _line(found.columns, row).splitlines()]
    return Plan(plan=[*lines, found.note] if found.note else lines)


@asynccontextmanager
async def hints(database: Database) -> AsyncIterator[None]:
    """Add to the error about an unknown table which one was probably meant."""
    try:
        yield
    except UnknownRelationError as error:
        meant = catalog.near(error.table, [table.name for table in await catalog.tables(database)])
        raise ToolError(f"{error} Did you mean {meant}?" if meant else str(error)) from None


def _line(columns: list[str], row: list[object]) -> str:
    """Return a line of the plan: SQLite has a column `detail`, PostgreSQL only one column, MySQL a table."""
    if columns[-1:] == ["detail"]:
        return str(row[-1])
    if len(row) == 1:
        return str(row[0])
    return ", ".join(f"{name}: {value}" for name, value in zip(columns, row, strict=True) if value is not None)
