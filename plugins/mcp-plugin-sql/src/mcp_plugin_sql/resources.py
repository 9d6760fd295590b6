"""The resources: the list of tables, their columns and their first rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from mcp.server.mcpserver.resources import ResourceSecurity

from mcp_host import ResourceError, ResourceNotFoundError, ToolError
from mcp_host.tables import Aggregate
from mcp_plugin_sql import catalog
from mcp_plugin_sql.app import Sql, plugin
from mcp_plugin_sql.models import Sample, TableEntry, TableSchema

JSON = "application/json"
SCHEMA = "sql://tables/{table}/schema"
SAMPLE = "sql://tables/{table}/sample{?rows}"
AGGREGATE = "sql://tables/{table}/aggregate{?request}"

ANY_NAME = ResourceSecurity(exempt_params={"table"})
"""A table's name may be `/` or `..`. It is never used as a path."""


@plugin.resource("sql://tables", title="Tables", description="The tables and views of the database.", mime_type=JSON)
async def tables(ctx: Sql) -> list[TableEntry]:
    """Return all tables and views."""
    with _as_resource_error():
        return [_entry(table, ctx.settings.max_rows) for table in await catalog.tables(ctx.state)]


@plugin.resource(
    SCHEMA,
    title="Columns of a table",
    description="Name and type of every column, primary key, foreign keys, indexes.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def table_schema(table: str, ctx: Sql) -> TableSchema:
    """Return the columns, keys and indexes of one table."""
    with _as_resource_error():
        return await catalog.describe(ctx.state, table)


@plugin.resource(
    SAMPLE,
    title="First rows of a table",
    description="Its first rows, 10 or as many as `rows`; fewer if they need more than max_bytes.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def table_sample(table: str, ctx: Sql, rows: int = 10) -> Sample:
    """Return the first rows of one table."""
    most = ctx.settings.max_rows
    if not 1 <= rows <= most:
        raise ResourceError(f"rows is {rows}: it must be from 1 to {most}.")
    with _as_resource_error():
        found, collected = await catalog.sample(ctx.state, table, rows)
        return Sample(table=found.name, columns=collected.columns, rows=collected.rows)


@plugin.resource(
    AGGREGATE,
    title="Aggregates of a table",
    description="Figures from all its rows, for other plugins; the request is that of `mcp_host.tables`.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def table_aggregate(table: str, ctx: Sql, request: str = "") -> Sample:
    """Return the figures of one table that a request names."""
    try:
        wanted = Aggregate.parse(request)
    except ValueError as error:
        raise ResourceError(str(error)) from None
    with _as_resource_error():
        found, collected = await catalog.aggregate(ctx.state, table, wanted)
        return Sample(table=found.name, columns=collected.columns, rows=collected.rows)


@plugin.completion(SCHEMA, "table")
@plugin.completion(AGGREGATE, "table")
@plugin.completion(SAMPLE, "table")
async def complete_table(value: str, ctx: Sql) -> list[str]:
    """Return the tables that begin with the typed text, then those that contain it."""
    return catalog.completed(value, [table.name for table in await catalog.tables(ctx.state)])


def _entry(table: catalog.Table, most: int) -> TableEntry:
    place = f"sql://tables/{quote(table.name, safe='')}"
    return TableEntry(
        name=table.name,
        kind=table.kind,
        schema_uri=f"{place}/schema",
        sample_uri=f"{place}/sample",
        sample_rows=most,
        aggregate_uri=f"{place}/aggregate",
    )


@contextmanager
def _as_resource_error() -> Iterator[None]:
    try:
        yield
    except ToolError as error:
        known = not isinstance(error, catalog.UnknownTableError)
        raise (ResourceError if known else ResourceNotFoundError)(str(error)) from None
