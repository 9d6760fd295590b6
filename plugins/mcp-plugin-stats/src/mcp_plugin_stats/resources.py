"""The resources: the list of data sets, their columns and their first rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mcp_host import ResourceError, ResourceNotFoundError, ToolError
from mcp_host.tables import Aggregate
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.models import ColumnType, DatasetEntry, DatasetSchema, Sample
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.tools.parameters import Stats
from mcp_plugin_stats.worker.session import select

JSON = "application/json"


@plugin.resource(
    "stats://datasets", title="Data sets", description="The data sets that can be queried.", mime_type=JSON
)
def datasets(ctx: Stats) -> list[DatasetEntry]:
    """Return the data sets. This does not load them."""
    return [_entry(ctx.state, name) for name in ctx.state.names]


@plugin.resource(
    "stats://datasets/{name}/schema",
    title="Columns of a data set",
    description="Its number of rows, and the name and type of every column.",
    mime_type=JSON,
)
async def dataset_schema(name: str, ctx: Stats) -> DatasetSchema:
    """Return the columns of one data set."""
    with _as_resource_error(ctx.state, name):
        data = await ctx.state.dataset(name)
        columns = [ColumnType(name=column.name, type=column.type) for column in data.columns]
        return DatasetSchema(dataset=data.name, rows=data.rows, warnings=list(data.warnings), columns=columns)


@plugin.resource(
    "stats://datasets/{name}/sample{?rows}",
    title="First rows of a data set",
    description="Its first rows, 10 or as many as `rows`.",
    mime_type=JSON,
)
async def dataset_sample(name: str, ctx: Stats, rows: int = 10) -> Sample:
    """Return the first rows of one data set."""
    most = ctx.settings.max_rows
    if not 1 <= rows <= most:
        raise ResourceError(f"rows is {rows}: it must be from 1 to {most}.")
    with _as_resource_error(ctx.state, name):
        data = await ctx.state.dataset(name)
        sql, size = f"FROM {quoted(data.name)}", ctx.settings.max_result_bytes
        found = await ctx.state.run(partial(select, sql=sql, limit=rows, most_bytes=size))
        return Sample(dataset=data.name, columns=[column.name for column in data.columns], rows=found.rows)


@plugin.resource(
    "stats://datasets/{name}/aggregate{?request}",
    title="Aggregates of a data set",
    description="Figures from all its rows, for other plugins; the request is that of `mcp_host.tables`.",
    mime_type=JSON,
)
async def dataset_aggregate(name: str, ctx: Stats, request: str = "") -> Sample:
    """Return the figures of one data set that a request names."""
    with _as_resource_error(ctx.state, name):
        data = await ctx.state.dataset(name)
        columns = [column.name for column in data.columns]
        try:
            wanted = Aggregate.parse(request)
            sql = wanted.sql(quoted(data.name), columns, quoted)
        except ValueError as error:
            raise ResourceError(str(error)) from None
        size = ctx.settings.max_result_bytes
        found = await ctx.state.run(partial(select, sql=sql, limit=wanted.limit, most_bytes=size))
        return Sample(dataset=data.name, columns=[column for column, _ in found.columns], rows=found.rows)


@plugin.completion("stats://datasets/{name}/schema", "name")
@plugin.completion("stats://datasets/{name}/aggregate{?request}", "name")
@plugin.completion("stats://datasets/{name}/sample{?rows}", "name")
def complete_name(value: str, ctx: Stats) -> list[str]:
    """Return the data sets that begin with the typed text, then those that contain it."""
    return completed(value, ctx.state.names)


def completed(value: str, names: list[str]) -> list[str]:
    """Return the names that contain `value`. Names that begin with it come first."""
    typed = value.lower()
    found = [name for name in names if typed in name.lower()]
    return sorted(found, key=lambda name: not name.lower().startswith(typed))


def _entry(engine: Engine, name: str) -> DatasetEntry:
    file, shown, loaded = engine.about(name)
    return DatasetEntry(
        name=name,
        description=file.description,
        format=file.read_as,
        source=shown,
        schema_uri=f"stats://datasets/{name}/schema",
        sample_uri=f"stats://datasets/{name}/sample",
        sample_rows=engine.settings.max_rows,
        aggregate_uri=f"stats://datasets/{name}/aggregate",
        warnings=list(loaded.warnings) if loaded is not None else [],
    )


@contextmanager
def _as_resource_error(engine: Engine, name: str) -> Iterator[None]:
    try:
        yield
    except ToolError as error:
        known = name.lower() in (known.lower() for known in engine.names)
        raise (ResourceError if known else ResourceNotFoundError)(str(error)) from None
