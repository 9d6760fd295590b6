"""`calculate_statistics` calculates one statistic of numbers that the caller sends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.arithmetic import calculate
from mcp_plugin_stats.models import Operation, Statistics
from mcp_plugin_stats.tools.parameters import Stats


@plugin.tool(title="Calculate statistics", read_only=True, idempotent=True, open_world=False)
def calculate_statistics(
    numbers: Annotated[list[int | float], Field(description="The numbers; finite, integers stay exact.")],
    operation: Annotated[
        Operation,
        Field(
            description="variance and stdev are of a sample (divided by n - 1) and need two numbers; quantiles "
            "returns the interpolated quartiles; count of an empty list is 0, all others need numbers."
        ),
    ],
    ctx: Stats,
) -> Statistics:
    """Calculate one statistic of a list of numbers: count, sum, mean, median, min, max, variance, stdev, quantiles."""
    most = ctx.settings.max_numbers
    if len(numbers) > most:
        raise ToolError(
            f"There are {len(numbers)} numbers: at most {most} are allowed. Send a sample or put them in a file."
        )
    return calculate(numbers, operation, ctx.settings.digits)
