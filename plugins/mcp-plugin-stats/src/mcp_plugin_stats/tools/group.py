"""`group_by` aggregates a column for each group of a data set."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.models import Aggregate, Group, Groups
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, column_of
from mcp_plugin_stats.values import NESTED, rounded
from mcp_plugin_stats.worker.grouping import grouped
from mcp_plugin_stats.worker.session import select


@plugin.tool(title="Aggregate by group", read_only=True, idempotent=True, open_world=False)
async def group_by(
    dataset: DatasetParam,
    by: Annotated[str | list[str], Field(description="The column or columns to group by.")],
    ctx: Stats,
    column: Annotated[
        str | None, Field(description="The column to aggregate; may be left out for count, which then counts rows.")
    ] = None,
    aggregate: Annotated[
        Aggregate,
        Field(
            description="What to calculate per group. count counts the rows that have a value; min and max also accept "
            "texts and dates; the others need numbers; variance and stdev are of a sample."
        ),
    ] = "count",
) -> Groups:
    """Aggregate a column per group, such as the mean body mass per species. Groups come in the order of their keys."""
    data = await ctx.state.dataset(dataset)
    keys = [column_of(data, name) for name in ([by] if isinstance(by, str) else by)]
    if not keys:
        raise ToolError("`by` is empty: name at least one column.")
    target = _target(data, column, aggregate)
    sql = grouped(data, keys, target, aggregate)
    limits = ctx.settings.max_rows, ctx.settings.max_result_bytes
    found = await ctx.state.run(partial(select, sql=sql, limit=limits[0], most_bytes=limits[1]))
    digits = ctx.settings.digits
    groups = [
        Group(key=key, value=rounded(value, digits) if isinstance(value, float) else value, rows=rows)
        for *key, value, rows in found.rows
    ]
    return Groups(
        dataset=data.name,
        by=[key.name for key in keys],
        column=target.name if target else None,
        aggregate=aggregate,
        groups=groups,
        truncated=found.truncated,
    )


def _target(data: Dataset, column: str | None, aggregate: Aggregate) -> Column | None:
    if column is None:
        if aggregate != "count":
            numbers = ", ".join(data.numbers) or "none"
            raise ToolError(f"{aggregate} needs `column`. Columns of numbers in {data.name!r}: {numbers}.")
        return None
    target = column_of(data, column, numeric=aggregate not in ("count", "min", "max"))
    if aggregate in ("min", "max") and target.kind in NESTED:
        raise ToolError(f"Column {target.name!r} is {target.type}: {aggregate} needs numbers, texts or dates.")
    return target
