"""The parameters that several tools share, with their descriptions for the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_host import Context
from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.engine import Engine, as_tool_error
from mcp_plugin_stats.settings import Settings

Stats = Context[Settings, Engine]
"""The context of every tool here. Its state is the engine."""

DatasetParam = Annotated[str, Field(description="Name of the data set; stats://datasets lists them.")]
ColumnParam = Annotated[str, Field(description="Name of a column of numbers.")]


def column_of(data: Dataset, name: str, *, numeric: bool = False) -> Column:
    """Return a column of a data set. Raises ToolError with the columns that there are."""
    with as_tool_error():
        return data.column(name, numeric=numeric)
