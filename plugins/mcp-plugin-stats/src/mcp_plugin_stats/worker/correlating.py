"""Correlates two columns."""

from __future__ import annotations

from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.worker.session import Session
from mcp_plugin_stats.worker.sqlparts import finite


def pair(session: Session, data: Dataset, a: Column, b: Column, method: str) -> tuple[float | None, int]:
    """Return the correlation of two columns (None if it has no meaning), and the rows that have both values."""
    values = f"SELECT CAST({finite(a)} AS DOUBLE) AS a, CAST({finite(b)} AS DOUBLE) AS b FROM {quoted(data.name)}"
    both = f"SELECT a, b FROM ({values}) WHERE a IS NOT NULL AND b IS NOT NULL"
    low_a, high_a, low_b, high_b, rows = session.row(f"SELECT min(a), max(a), min(b), max(b), count(*) FROM ({both})")
    if rows < 2 or low_a == high_a or low_b == high_b:
        return None, rows
    if method == "spearman":
        ranks = ", ".join(
            f"rank() OVER (ORDER BY {x}) + (count(*) OVER (PARTITION BY {x}) - 1) / 2.0 AS {x}" for x in "ab"
        )
        return session.value(f"SELECT corr(a, b) FROM (SELECT {ranks} FROM ({both}))"), rows
    # Both are scaled to at most 1, so that squares of large numbers do not overflow. Correlation does not change.
    scaled_a, scaled_b = _scaled("a", low_a, high_a), _scaled("b", low_b, high_b)
    return session.value(f"SELECT corr({scaled_a}, {scaled_b}) FROM ({both})"), rows


def _scaled(name: str, low: float, high: float) -> str:
    return f"{name} / CAST('{max(abs(low), abs(high))!r}' AS DOUBLE)"
