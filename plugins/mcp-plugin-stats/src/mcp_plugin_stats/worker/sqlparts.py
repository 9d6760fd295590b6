"""SQL that several calculations share."""

from __future__ import annotations

from mcp_plugin_stats.datasets import Column
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.values import FLOATS


def finite(column: Column) -> str:
    """Return the SQL for a column of numbers with NULL for NaN and infinities, so that statistics ignore them."""
    name = quoted(column.name)
    return f"CASE WHEN isfinite({name}) THEN {name} END" if column.kind in FLOATS else name
