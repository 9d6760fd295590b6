"""`histogram` draws the distribution of a column as an image."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from mcp.server.mcpserver import Image
from pydantic import Field

from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.tools.parameters import ColumnParam, DatasetParam, Stats, column_of
from mcp_plugin_stats.worker.histograms import histogram_png

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
    target = column_of(data, column, numeric=True)
    drawn = await ctx.state.run(partial(histogram_png, data=data, column=target, bins=bins))
    return Image(data=drawn, format="png")
