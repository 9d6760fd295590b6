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
TABLES = "sql://tables"
SCHEMA = "sql://tables/{table}/schema"
SAMPLE = "sql://tables/{table}/sample{?rows}"
AGGREGATE = "sql://tables/{table}/aggregate{?request}"
ITS_TABLES = "sql://{database}/tables"
ITS_SCHEMA = "sql://{database}/tables/{table}/schema"
ITS_SAMPLE = "sql://{database}/tables/{table}/sample{?rows}"
ITS_AGGREGATE = "sql://{database}/tables/{table}/aggregate{?request}"

ANY_NAME = ResourceSecurity(exempt_params={"table", "database"})
"""A table's name may be `/` or `..`. It is never used as a path."""


@plugin.resource(TABLES, title="Tables", description="The tables and views of the (first) database.", mime_type=JSON)
async def tables(ctx: Sql) -> list[TableEntry]:
    """Return all tables and views."""
    return await its_tables("", ctx)


@plugin.resource(
    SCHEMA,
    title="Columns of a table",
    description="Name and type of every column, primary key, foreign keys, indexes.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def table_schema(table: str, ctx: Sql) -> TableSchema:
    """Return the columns, keys and indexes of one table."""
    return await its_table_schema("", table, ctx)


@plugin.resource(
    SAMPLE,
    title="First rows of a table",
    description="Its first rows, 10 or as many as `rows`; fewer if they need more than max_bytes.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def table_sample(table: str, ctx: Sql, rows: int = 10) -> Sample:
    """Return the first rows of one table."""
    return await its_table_sample("", table, ctx, rows)


@plugin.resource(
    ITS_TABLES,
    title="Tables of a database",
    description="The tables and views of one of several databases.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def its_tables(database: str, ctx: Sql) -> list[TableEntry]:
    """Return all tables and views of a database."""
    with _as_resource_error():
        found = await catalog.tables(ctx.state.find(database))
        return [_entry(database, table, ctx.settings.max_rows) for table in found]


@plugin.resource(
    ITS_SCHEMA,
    title="Columns of a table of a database",
    description="The same as sql://tables/{table}/schema, for one of several databases.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def its_table_schema(database: str, table: str, ctx: Sql) -> TableSchema:
    """Return the columns, keys and indexes of one table of a database."""
    with _as_resource_error():
        return await catalog.describe(ctx.state.find(database), table)


@plugin.resource(
    ITS_SAMPLE,
    title="First rows of a table of a database",
    description="The same as sql://tables/{table}/sample, for one of several databases.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def its_table_sample(database: str, table: str, ctx: Sql, rows: int = 10) -> Sample:
    """Return the first rows of one table of a database."""
    most = ctx.settings.max_rows
    if not 1 <= rows <= most:
        raise ResourceError(f"rows is {rows}: it must be from 1 to {most}.")
    with _as_resource_error():
        found, collected = await catalog.sample(ctx.state.find(database), table, rows)
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
    return await its_table_aggregate("", table, ctx, request)


@plugin.resource(
    ITS_AGGREGATE,
    title="Aggregates of a table of a database",
    description="The same as sql://tables/{table}/aggregate, for one of several databases.",
    mime_type=JSON,
    security=ANY_NAME,
)
async def its_table_aggregate(database: str, table: str, ctx: Sql, request: str = "") -> Sample:
    """Return the figures of one table of a database that a request names."""
    try:
        wanted = Aggregate.parse(request)
    except ValueError as error:
        raise ResourceError(str(error)) from None
    with _as_resource_error():
        found, collected = await catalog.aggregate(ctx.state.find(database), table, wanted)
        return Sample(table=found.name, columns=collected.columns, rows=collected.rows)


@plugin.completion(SCHEMA, "table")
@plugin.completion(AGGREGATE, "table")
@plugin.completion(SAMPLE, "table")
async def complete_table(value: str, ctx: Sql) -> list[str]:
    """Return the tables that begin with the typed text, then those that contain it."""
    return catalog.completed(value, [table.name for table in await catalog.tables(ctx.state.find())])


@plugin.completion(ITS_TABLES, "database")
@plugin.completion(ITS_SCHEMA, "database")
@plugin.completion(ITS_SAMPLE, "database")
@plugin.completion(ITS_AGGREGATE, "database")
async def complete_database(value: str, ctx: Sql) -> list[str]:
    """Return the databases that begin with the typed text, then those that contain it."""
    return catalog.completed(value, ctx.state.names)


def _entry(database: str, table: catalog.Table, most: int) -> TableEntry:
    inside = f"{quote(database, safe='')}/" if database else ""
    place = f"sql://{inside}tables/{quote(table.name, safe='')}"
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
