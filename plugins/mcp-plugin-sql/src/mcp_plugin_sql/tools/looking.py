"""`list_tables` and `describe_table` show the schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_plugin_sql import catalog
from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.models import TableName, Tables, TableSchema
from mcp_plugin_sql.tools.parameters import TableParam

MOST = 500
"""How many tables are listed at once."""


@plugin.tool(title="List tables", read_only=True, idempotent=True, open_world=False)
async def list_tables(
    ctx: Sql,
    containing: Annotated[str, Field(description="List only tables whose name contains this; default: all.")] = "",
) -> Tables:
    """List the tables and views of the database."""
    names = [table for table in await catalog.tables(ctx.state) if containing.lower() in table.name.lower()]
    return Tables(
        tables=[TableName(name=table.name, kind=table.kind) for table in names[:MOST]], truncated=len(names) > MOST
    )


@plugin.tool(title="Describe a table", read_only=True, idempotent=True, open_world=False)
async def describe_table(table: TableParam, ctx: Sql) -> TableSchema:
    """Describe a table: its columns and their types, primary key, foreign keys and indexes."""
    return await catalog.describe(ctx.state, table)
