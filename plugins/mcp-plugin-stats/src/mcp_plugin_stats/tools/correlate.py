"""`correlate` correlates the columns of a data set."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Annotated

from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.models import Correlation, Correlations, Method
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, column_of
from mcp_plugin_stats.values import rounded
from mcp_plugin_stats.worker.correlating import pair

MOST = 20
"""The most columns in one call: 190 pairs."""


@plugin.tool(title="Correlate columns", read_only=True, idempotent=True, open_world=False)
async def correlate(
    dataset: DatasetParam,
    ctx: Stats,
    columns: Annotated[
        list[str] | None, Field(description=f"Two to {MOST} columns of numbers; default: all of them.")
    ] = None,
    method: Annotated[
        Method, Field(description="pearson for linear relations, spearman for monotonic ones (ranks, ties averaged).")
    ] = "pearson",
) -> Correlations:
    """Correlate every pair of the columns, strongest first; rows in which either value is missing are left out."""
    data = await ctx.state.dataset(dataset)
    chosen = _chosen(data, columns)
    pairs = []
    for a, b in combinations(chosen, 2):
        value, rows = await ctx.state.run(partial(pair, data=data, a=a, b=b, method=method))
        pairs.append(Correlation(a=a.name, b=b.name, correlation=rounded(value, ctx.settings.digits), rows=rows))
    pairs.sort(key=lambda pair: -1.0 if pair.correlation is None else abs(pair.correlation), reverse=True)
    return Correlations(dataset=data.name, method=method, pairs=pairs)


def _chosen(data: Dataset, names: list[str] | None) -> list[Column]:
    named = [column_of(data, name, numeric=True) for name in (data.numbers if names is None else names)]
    chosen = list(dict.fromkeys(named))
    if len(chosen) < 2:
        numbers = ", ".join(data.numbers) or "none"
        raise ToolError(f"Two different columns of numbers are needed. Columns of numbers in {data.name!r}: {numbers}.")
    if len(chosen) > MOST:
        raise ToolError(f"There are {len(chosen)} columns: name at most {MOST} of them in `columns`.")
    return chosen
