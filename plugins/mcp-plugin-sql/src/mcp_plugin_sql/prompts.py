"""The prompt for exploring an unknown schema, with completion of a table's name."""

from __future__ import annotations

from typing import Annotated

from mcp import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import Field

from mcp_plugin_sql import catalog
from mcp_plugin_sql.app import Sql, plugin

STEPS = """\
Explore the {title} database and answer a question about it.

1. {start}
2. Follow the foreign keys to the related tables; read the resource sql://tables/NAME/sample of the important ones.
3. Count before you list: SELECT count(*) first, then aggregates, then rows with ORDER BY and LIMIT.
4. Use explain before a query over a large table. Pass values in `parameters`, as :name, not within the text.
5. Report what you found: the figures, the query for each, and what the data do not show.

{question}"""


@plugin.prompt(title="Explore the database")
async def explore_database(
    ctx: Sql,
    question: Annotated[str, Field(description="What you want to know, if anything in particular.")] = "",
    table: Annotated[str, Field(description="The table to begin with, if you know it.")] = "",
) -> str:
    """Explore a schema step by step, with or without a question."""
    start = "Call list_tables, then describe_table for the tables with the most promising names."
    if table:
        try:
            described = await catalog.describe(ctx.state.find(), table)
        except catalog.UnknownTableError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        columns = ", ".join(f"{column.name} ({column.type})" for column in described.columns)
        start = f"Begin with the {described.kind} `{described.table}`. Its columns: {columns}."
    asked = f"The question is: {question}" if question else "Report what the database is about and what is unusual."
    return STEPS.format(title=ctx.state.find().backend.title, start=start, question=asked)


@plugin.completion("explore_database", "table")
async def complete_first_table(value: str, ctx: Sql) -> list[str]:
    """Return the tables whose names contain the typed text."""
    return catalog.completed(value, [table.name for table in await catalog.tables(ctx.state.find())])
