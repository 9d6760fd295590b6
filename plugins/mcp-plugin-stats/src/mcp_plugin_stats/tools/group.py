"""`group_by` aggregates a column for each group of a data set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.engine import Column, Dataset
from mcp_plugin_stats.models import Aggregate, Group, Groups
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, finite
from mcp_plugin_stats.values import FLOATS, NESTED, quoted, rounded


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
    keys = [data.column(name) for name in ([by] if isinstance(by, str) else by)]
    if not keys:
        raise ToolError("`by` is empty: name at least one column.")
    target = _target(data, column, aggregate)
    names = ", ".join(quoted(key.name) for key in keys)
    order = ", ".join(f"{n} NULLS LAST" for n in range(1, len(keys) + 1))
    positions = ", ".join(str(n) for n in range(1, len(keys) + 1))
    sql = (
        f"SELECT {names}, {_expression(target, aggregate)}, count(*) FROM {quoted(data.name)} "
        f"GROUP BY {positions} ORDER BY {order}"
    )
    found = await ctx.state.run(lambda session: session.select(sql, ctx.settings.max_rows))
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
    target = data.column(column, numeric=aggregate not in ("count", "min", "max"))
    if aggregate in ("min", "max") and target.kind in NESTED:
        raise ToolError(f"Column {target.name!r} is {target.type}: {aggregate} needs numbers, texts or dates.")
    return target


def _expression(column: Column | None, aggregate: Aggregate) -> str:
    if column is None:
        return "count(*)"
    if aggregate == "count":
        return f"count({quoted(column.name)})"
    x = finite(column)
    precise = column.kind in FLOATS
    return {
        "sum": f"{'fsum' if precise else 'sum'}({x})",
        "mean": f"{'favg' if precise else 'avg'}({x})",
        "median": f"quantile_cont(CAST({x} AS DOUBLE), 0.5)" if column.numeric else "",
        "min": f"min({x})",
        "max": f"max({x})",
        "variance": f"var_samp({x})",
        "stdev": f"stddev_samp({x})",
    }[aggregate]
