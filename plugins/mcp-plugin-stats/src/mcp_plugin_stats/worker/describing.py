"""Summarizes a column."""

from __future__ import annotations

from typing import Any

from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.values import FLOATS, NESTED, TIMES, rounded
from mcp_plugin_stats.worker.session import Session
from mcp_plugin_stats.worker.sqlparts import finite

TOP = 5
"""How many frequent values are listed for a column."""


def summary(session: Session, data: Dataset, column: Column, digits: int) -> dict[str, Any]:
    """Return the fields of a ColumnSummary."""
    table, name = quoted(data.name), quoted(column.name)
    count, distinct = session.row(f"SELECT count({name}), count(DISTINCT {name}) FROM {table}")
    found: dict[str, Any] = {"count": count, "nulls": data.rows - count, "distinct": distinct}
    if column.numeric:
        found |= _figures(session, table, column, digits)
    elif column.kind in TIMES:
        found["min"], found["max"] = session.row(f"SELECT min({name}), max({name}) FROM {table}")
    if column.kind not in NESTED:
        found["top"] = _top(session, table, name)
    return {"name": column.name, "type": column.type, **found}


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
        "quantiles": {"q1": q1, "median": median, "q3": q3} if used else None,
        "non_finite": count - used,
    }


def _top(session: Session, table: str, name: str) -> list[dict[str, Any]]:
    frequent = session.select(
        f"SELECT {name}, count(*) FROM {table} WHERE {name} IS NOT NULL GROUP BY {name} "
        f"HAVING count(*) > 1 ORDER BY count(*) DESC, {name} LIMIT {TOP}",
        TOP,
    )
    return [{"value": value, "count": count} for value, count in frequent.rows]
