"""The parameters that several tools share, with the descriptions a model reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Context
from mcp_plugin_stats.engine import Column, Engine
from mcp_plugin_stats.settings import Settings
from mcp_plugin_stats.values import FLOATS, quoted

Stats = Context[Settings, Engine]
"""The context of every tool here: `.settings`, and `.state`, the engine."""

DatasetParam = Annotated[str, Field(description="Name of the data set; stats://datasets lists them.")]
ColumnParam = Annotated[str, Field(description="Name of a column of numbers.")]


def finite(column: Column) -> str:
    """The SQL of a column of numbers with NaN and infinities as NULL, which figures leave out."""
    name = quoted(column.name)
    return f"CASE WHEN isfinite({name}) THEN {name} END" if column.kind in FLOATS else name
