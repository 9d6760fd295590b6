"""`describe_dataset` summarizes every column of a data set."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.engine import Column, Dataset
from mcp_plugin_stats.models import ColumnSummary, DatasetDescription, Quartiles, TopValue
from mcp_plugin_stats.session import Session
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, finite
from mcp_plugin_stats.values import FLOATS, NESTED, TIMES, quoted, rounded

TOP = 5
"""How many frequent values are listed for a column."""


@plugin.tool(title="Describe a data set", read_only=True, idempotent=True, open_world=False)
async def describe_dataset(
    dataset: DatasetParam,
    ctx: Stats,
    columns: Annotated[list[str] | None, Field(description="Describe only these columns; default: all.")] = None,
) -> DatasetDescription:
    """Describe a data set column by column: type, missing and distinct values, mean, quartiles, most frequent values.

    Begin here if you do not know a data set yet. Progress is reported per column.
    """
    data = await ctx.state.dataset(dataset)
    chosen = data.columns if columns is None else tuple(data.column(name) for name in columns)
    digits = ctx.settings.digits
    summaries = []
    for done, column in enumerate(chosen):
        await ctx.report_progress(done, len(chosen), f"column {column.name}")
        summaries.append(await ctx.state.run(partial(_summary, data=data, column=column, digits=digits)))
    await ctx.report_progress(len(chosen), len(chosen), "done")
    return DatasetDescription(dataset=data.name, rows=data.rows, columns=summaries)


def _summary(session: Session, data: Dataset, column: Column, digits: int) -> ColumnSummary:
    table, name = quoted(data.name), quoted(column.name)
    count, distinct = session.row(f"SELECT count({name}), count(DISTINCT {name}) FROM {table}")
    summary: dict[str, Any] = {"count": count, "nulls": data.rows - count, "distinct": distinct}
    if column.numeric:
        summary |= _figures(session, table, column, digits)
    elif column.kind in TIMES:
        summary["min"], summary["max"] = session.row(f"SELECT min({name}), max({name}) FROM {table}")
    if column.kind not in NESTED:
        summary["top"] = _top(session, table, name)
    return ColumnSummary(name=column.name, type=column.type, **summary)


def _figures(session: Session, table: str, column: Column, digits: int) -> dict[str, Any]:
    x = finite(column)
    wide = f"CAST({x} AS DOUBLE)"
    mean = "favg" if column.kind in FLOATS else "avg"
    low, high, average, used, count, *cuts = session.row(
        f"SELECT min({x}), max({x}), {mean}({x}), count({x}), count({quoted(column.name)}), "
        f"{', '.join(f'quantile_cont({wide}, {part})' for part in (0.25, 0.5, 0.75))} FROM {table}"
    )
    # Scaled to at most 1, because DuckDB raises an error if squares of large numbers overflow.
    scale = max(abs(float(low or 0)), abs(float(high or 0))) or 1.0
    spread = session.value(f"SELECT stddev_samp({wide} / CAST('{scale!r}' AS DOUBLE)) FROM {table}")
    q1, median, q3 = (rounded(cut, digits) for cut in cuts)
    return {
        "min": low,
        "max": high,
        "mean": rounded(average, digits),
        "stdev": None if spread is None else rounded(spread * scale, digits),
        "quantiles": Quartiles(q1=q1, median=median, q3=q3) if used else None,
        "non_finite": count - used,
    }


def _top(session: Session, table: str, name: str) -> list[TopValue]:
    frequent = session.select(
        f"SELECT {name}, count(*) FROM {table} WHERE {name} IS NOT NULL GROUP BY {name} "
        f"HAVING count(*) > 1 ORDER BY count(*) DESC, {name} LIMIT {TOP}",
        TOP,
    )
    return [TopValue(value=value, count=count) for value, count in frequent.rows]
