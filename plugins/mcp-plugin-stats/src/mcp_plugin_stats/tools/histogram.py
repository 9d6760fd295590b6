"""`histogram` draws the distribution of a column as an image."""

from __future__ import annotations

import math
from typing import Annotated

import anyio.to_thread
from mcp.server.mcpserver import Image
from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.charts import Bars, png
from mcp_plugin_stats.engine import Column, Dataset
from mcp_plugin_stats.session import Session
from mcp_plugin_stats.tools.parameters import ColumnParam, DatasetParam, Stats, finite
from mcp_plugin_stats.values import quoted

MOST = 200
"""The most bins of one histogram."""


@plugin.tool(title="Draw a histogram", read_only=True, idempotent=True, open_world=False)
async def histogram(
    dataset: DatasetParam,
    column: ColumnParam,
    ctx: Stats,
    bins: Annotated[int | None, Field(ge=1, le=MOST, description="Number of bars; default: by Sturges' rule.")] = None,
) -> Image:
    """Draw a histogram of a column of numbers, as a PNG image."""
    data = await ctx.state.dataset(dataset)
    target = data.column(column, numeric=True)
    bars = await ctx.state.run(lambda session: _bars(session, data, target, bins))
    return Image(data=await anyio.to_thread.run_sync(png, bars), format="png")


def _bars(session: Session, data: Dataset, column: Column, bins: int | None) -> Bars:
    every = f"SELECT CAST({finite(column)} AS DOUBLE) AS x FROM {quoted(data.name)}"
    values = f"SELECT x FROM ({every}) WHERE x IS NOT NULL"
    low, high, count = session.row(f"SELECT min(x), max(x), count(*) FROM ({values})")
    if not count:
        raise ToolError(f"Column {column.name!r} of {data.name!r} has no finite value to draw.")
    number = bins or math.ceil(math.log2(count)) + 1
    if low == high:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    width = (high - low) / number
    if not math.isfinite(width) or low + width == low:
        raise ToolError(f"Column {column.name!r} of {data.name!r} is from {low:g} to {high:g}: that cannot be drawn.")
    place = f"least(CAST(floor((x - {_double(low)}) / {_double(width)}) AS INTEGER), {number - 1})"
    counts = dict(session.select(f"SELECT {place} AS bin, count(*) FROM ({values}) GROUP BY bin", number).rows)
    return Bars(
        title=f"{data.name}: {column.name}",
        label=column.name,
        edges=[low + n * width for n in range(number + 1)],
        counts=[counts.get(n, 0) for n in range(number)],
        note=f"{count} of {data.rows} rows",
    )


def _double(number: float) -> str:
    return f"CAST('{number!r}' AS DOUBLE)"
