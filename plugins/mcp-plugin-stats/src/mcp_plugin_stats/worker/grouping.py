"""The SQL of an aggregate per group."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.values import FLOATS
from mcp_plugin_stats.worker.sqlparts import finite


def grouped(data: Dataset, keys: Sequence[Column], target: Column | None, aggregate: str) -> str:
    """Return the query: the keys, the aggregate and the rows of each group, in the order of the keys."""
    names = ", ".join(quoted(key.name) for key in keys)
    order = ", ".join(f"{n} NULLS LAST" for n in range(1, len(keys) + 1))
    positions = ", ".join(str(n) for n in range(1, len(keys) + 1))
    return (
        f"SELECT {names}, {aggregated(target, aggregate)}, count(*) FROM {quoted(data.name)} "
        f"GROUP BY {positions} ORDER BY {order}"
    )


def aggregated(column: Column | None, aggregate: str) -> str:
    """Return the SQL of an aggregate of a column, or of the number of rows."""
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
