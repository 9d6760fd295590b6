"""The parameters that several tools share, with their descriptions for the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Context
from mcp_plugin_stats.engine import Column, Engine
from mcp_plugin_stats.settings import Settings
from mcp_plugin_stats.values import FLOATS, quoted

Stats = Context[Settings, Engine]
"""The context of every tool here. Its state is the engine."""

DatasetParam = Annotated[str, Field(description="Name of the data set; stats://datasets lists them.")]
ColumnParam = Annotated[str, Field(description="Name of a column of numbers.")]


def finite(column: Column) -> str:
    """Return the SQL for a column of numbers with NULL for NaN and infinities, so that statistics ignore them."""
    name = quoted(column.name)
    return f"CASE WHEN isfinite({name}) THEN {name} END" if column.kind in FLOATS else name
