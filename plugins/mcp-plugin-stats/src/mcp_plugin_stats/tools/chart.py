"""`chart` draws lines, bars, points or boxes: as data, as an image and as a Vega-Lite specification."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import Field

from mcp_host import ToolError
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.models import Chart, ChartAggregate, ChartKind, Period
from mcp_plugin_stats.tools.parameters import DatasetParam, Stats, column_of
from mcp_plugin_stats.values import NESTED
from mcp_plugin_stats.view import VIEW
from mcp_plugin_stats.worker.charting import make_chart
from mcp_plugin_stats.worker.chartrows import MOST, USUAL, ChartRequest
from mcp_plugin_stats.worker.summary import summary


@plugin.tool(title="Draw a chart", read_only=True, idempotent=True, open_world=False, ui=VIEW)
async def chart(
    dataset: DatasetParam,
    kind: Annotated[
        ChartKind,
        Field(description="line and bar: an aggregate for each period or value of x; scatter: rows; box: quartiles."),
    ],
    ctx: Stats,
    x: Annotated[
        str | None,
        Field(description="The column of the x axis: dates, numbers, texts or booleans. Only box does without."),
    ] = None,
    y: Annotated[
        str | list[str] | None,
        Field(description="The column or columns of the y axis; a line or bar without it counts rows."),
    ] = None,
    group: Annotated[
        str | None, Field(description="A column whose values are series of their own; at most 10 are drawn.")
    ] = None,
    aggregate: Annotated[
        ChartAggregate | None,
        Field(description="line and bar: what is calculated of y; default: mean, or count without y."),
    ] = None,
    period: Annotated[
        Period | None, Field(description="Dates on x: what is put together; default: what fits the dates.")
    ] = None,
    limit: Annotated[
        int | None,
        Field(
            ge=1,
            le=max(MOST.values()),
            description="Most periods or values of x (bar and box: 30, at most 100; line: 400, at most 2000), or "
            "points (scatter: 500, at most 2000). What is left out is counted.",
        ),
    ] = None,
    title: Annotated[str | None, Field(max_length=200, description="The title; default: what is drawn.")] = None,
    image: Annotated[bool, Field(description="Whether the result has a PNG image.")] = True,
) -> Annotated[CallToolResult, Chart]:
    """Draw a chart from all rows: a line over dates, bars over categories, a scatter chart, or boxes.

    The result has the figures, a PNG image and a Vega-Lite specification. Clients with MCP Apps show the chart.
    """
    data = await ctx.state.dataset(dataset)
    if limit is not None and limit > MOST[kind]:
        raise ToolError(f"limit is {limit}: a {kind} chart has at most {MOST[kind]}.")
    chosen = ([y] if isinstance(y, str) else y) or []
    aggregate = _aggregate(kind, chosen, aggregate)
    ys = tuple(column_of(data, name, numeric=aggregate != "count") for name in chosen)
    request = ChartRequest(
        data=data,
        kind=kind,
        x=_axis(data, kind, x),
        y=ys,
        group=_group(data, group, ys),
        aggregate=aggregate,
        period=period,
        limit=limit or USUAL[kind],
        title=title,
        image=image,
        digits=ctx.settings.digits,
        most_bytes=ctx.settings.max_result_bytes,
    )
    if period is not None and not request.over_time:
        columns = [column.name for column in data.columns if column.temporal]
        raise ToolError(
            f"period is for dates on the x axis. Columns of dates or times: {', '.join(columns) or 'none'}."
        )
    if period is not None and kind == "scatter":
        raise ToolError("A scatter chart draws single rows: leave out period, or draw a line.")
    found, png = await ctx.state.run(partial(make_chart, request=request))
    content: list[ContentBlock] = [TextContent(type="text", text=summary(found))]
    if png is not None:
        content.append(ImageContent(type="image", data=base64.b64encode(png).decode(), mime_type="image/png"))
    return CallToolResult(content=content, structured_content=found.model_dump(mode="json"))


def _aggregate(kind: ChartKind, y: list[str], aggregate: ChartAggregate | None) -> ChartAggregate:
    if kind in ("scatter", "box"):
        if aggregate is not None:
            raise ToolError(f"A {kind} chart has no aggregate: leave it out, or draw a line or bars.")
        if not y:
            raise ToolError(f"A {kind} chart needs `y`, a column of numbers.")
        return "mean"
    if not y and aggregate not in (None, "count"):
        raise ToolError(f"{aggregate} needs `y`, a column of numbers.")
    return aggregate or ("mean" if y else "count")


def _axis(data: Dataset, kind: ChartKind, x: str | None) -> Column | None:
    if x is None:
        if kind != "box":
            raise ToolError(f"A {kind} chart needs `x`. Columns: {', '.join(column.name for column in data.columns)}.")
        return None
    column = _flat(column_of(data, x), "x")
    if kind == "scatter" and not column.numeric and not column.kind.startswith(("date", "timestamp")):
        raise ToolError(
            f"Column {column.name!r} of {data.name!r} is {column.type}: the x axis of a scatter chart has numbers or "
            "dates. Draw bars or boxes."
        )
    return column


def _group(data: Dataset, group: str | None, y: tuple[Column, ...]) -> Column | None:
    if group is None:
        return None
    if len(y) > 1:
        raise ToolError("Several columns of y are series already: leave out group, or name one column.")
    return _flat(column_of(data, group), "group")


def _flat(column: Column, use: str) -> Column:
    if column.kind in NESTED:
        raise ToolError(f"Column {column.name!r} is {column.type}: {use} needs texts, numbers, dates or booleans.")
    return column
