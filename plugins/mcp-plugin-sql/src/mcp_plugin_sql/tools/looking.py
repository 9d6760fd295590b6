"""`list_tables`, `describe_table` and `describe_schema` show what the database has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_plugin_sql import catalog, outline
from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.models import TableName, Tables, TableSchema
from mcp_plugin_sql.tools.parameters import DatabaseParam, TableParam

MOST = 500
"""How many tables are listed at once."""


@plugin.tool(title="List tables", read_only=True, idempotent=True, open_world=False)
async def list_tables(
    ctx: Sql,
    containing: Annotated[str, Field(description="List only tables whose name contains this; default: all.")] = "",
    database: DatabaseParam = "",
) -> Tables:
    """List the tables and views of a database, and the names of the databases if there are several."""
    found = await catalog.tables(ctx.state.find(database))
    names = [table for table in found if containing.lower() in table.name.lower()]
    return Tables(
        tables=[TableName(name=table.name, kind=table.kind) for table in names[:MOST]],
        truncated=len(names) > MOST,
        databases=ctx.state.names,
    )


@plugin.tool(title="Describe a table", read_only=True, idempotent=True, open_world=False)
async def describe_table(table: TableParam, ctx: Sql, database: DatabaseParam = "") -> TableSchema:
    """Describe a table: its columns and their types, primary key, foreign keys and indexes."""
    return await catalog.describe(ctx.state.find(database), table)


@plugin.tool(title="Describe all tables", read_only=True, idempotent=True, open_world=False)
async def describe_schema(
    ctx: Sql,
    max_tokens: Annotated[int, Field(ge=100, le=50_000, description="Most tokens of the text.")] = 2_000,
    containing: Annotated[str, Field(description="Describe only tables whose name contains this; default: all.")] = "",
    database: DatabaseParam = "",
) -> str:
    """Describe all tables in one compact text: columns, types, keys. With many tables it has less about each."""
    return await outline.text(ctx.state.find(database), containing, max_tokens)
