"""`describe_dataset` summarizes every column of a data set."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.models import ColumnSummary, ColumnType, DatasetDescription
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, column_of
from mcp_plugin_stats.worker.describing import summary


@plugin.tool(title="Describe a data set", read_only=True, idempotent=True, open_world=False)
async def describe_dataset(
    dataset: DatasetParam,
    ctx: Stats,
    columns: Annotated[list[str] | None, Field(description="Describe only these columns; default: all.")] = None,
) -> DatasetDescription:
    """Describe a data set column by column: type, missing and distinct values, mean, quartiles, most frequent values.

    Begin here if you do not know a data set yet. Progress is reported per column. If there are very many columns, the
    last ones are only named: call it again for those that matter.
    """
    data = await ctx.state.dataset(dataset)
    chosen = data.columns if columns is None else tuple(column_of(data, name) for name in columns)
    digits = ctx.settings.digits
    left_out = [ColumnType(name=column.name, type=column.type) for column in chosen]
    space = ctx.settings.max_result_bytes - _size([*data.warnings, *(each.model_dump() for each in left_out)])
    summaries: list[ColumnSummary] = []
    for done, column in enumerate(chosen):
        await ctx.report_progress(done, len(chosen), f"column {column.name}")
        found = await ctx.state.run(partial(summary, data=data, column=column, digits=digits))
        described = ColumnSummary(**found)
        space += _size([left_out[done].model_dump()]) - _size([described.model_dump()])
        if space < 0 and summaries:
            break
        summaries.append(described)
    await ctx.report_progress(len(chosen), len(chosen), "done")
    return DatasetDescription(
        dataset=data.name,
        rows=data.rows,
        warnings=list(data.warnings),
        columns=summaries,
        not_described=left_out[len(summaries) :],
    )


def _size(values: list[Any]) -> int:
    """Return the bytes of a list within the result, which is indented."""
    return len(json.dumps({"columns": values}, indent=2, default=str))
