"""The prompt for analysing a data set, with completion of the data set's name."""

from __future__ import annotations

from typing import Annotated

from mcp import MCPError
from mcp.types import INVALID_PARAMS
from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.resources import completed
from mcp_plugin_stats.tools.parameters import Stats

STEPS = """\
Analyse the data set `{name}`.{about}

1. Call describe_dataset for `{name}`: note the columns, missing values and anything that looks wrong.
2. Call correlate, and group_by for the columns that make groups, where the description suggests a relation.
3. Draw a histogram or a chart of what matters; use query_dataset for what the other tools do not answer.
4. Report what you found: the figures, the number of rows behind them, and what the data do not show.

{question}"""


@plugin.prompt(title="Analyse a data set")
def analyze_dataset(
    dataset: Annotated[str, Field(description="Name of the data set.")],
    ctx: Stats,
    question: Annotated[str, Field(description="What you want to know, if anything in particular.")] = "",
) -> str:
    """Analyse a data set step by step, with or without a question."""
    try:
        file, _, _ = ctx.state.about(dataset)
    except ToolError as error:
        raise MCPError(INVALID_PARAMS, str(error)) from None
    name = next(name for name in ctx.state.names if name.lower() == dataset.lower())
    asked = f"The question is: {question}" if question else "Report what is unusual."
    return STEPS.format(name=name, about=f" {file.description}" if file.description else "", question=asked)


@plugin.completion("analyze_dataset", "dataset")
def complete_dataset(value: str, ctx: Stats) -> list[str]:
    """Return the data sets whose names contain the typed text."""
    return completed(value, ctx.state.names)
