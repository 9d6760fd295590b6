"""Makes one report, with progress. If the call is cancelled, nothing of the report is kept."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import anyio.to_thread

from mcp_host import ToolError
from mcp_plugin_report import allrows
from mcp_plugin_report.app import Reports, reports_of
from mcp_plugin_report.columns import describe
from mcp_plugin_report.models import Report, Source
from mcp_plugin_report.sources import (
    Rows,
    Schema,
    UnreadableError,
    choose,
    find_sources,
    nearest,
    read_rows,
    read_schema,
)
from mcp_plugin_report.texts import shown

FIRST_ROWS = 100
"""How many first rows show the kind of each column, if the figures are from all rows."""

LIST = "report://reports"
"""The resource that lists the kept reports."""


@dataclass(frozen=True)
class ReportRequest:
    """The requested report. None means that the plugin decides."""

    source: str
    title: str | None = None
    columns: Sequence[str] | None = None
    rows: int | None = None
    over: str | None = None
    crosstab: tuple[str, str] | None = None


async def make(ctx: Reports, request: ReportRequest) -> Report:
    """Make the report and keep it.

    Raises:
        ToolError: The report cannot be made. The text has the reason and what is possible.
    """
    most = ctx.settings.max_rows
    wanted = request.rows if request.rows is not None else most
    if wanted > most:
        raise ToolError(f"rows is {wanted}: a report is made from at most {most} (settings.max_rows).")
    await ctx.report_progress(0, None, "looking for the data")
    source = choose(request.source, await find_sources(ctx))
    try:
        schema = await read_schema(ctx, source)
        chosen = _chosen(source, list(schema.types), request.columns, ctx.settings.max_columns)
        steps = len(chosen) + 3
        await ctx.report_progress(1, steps, f"reading {source.id}")
        total = None
        if request.rows is None and source.aggregate_uri is not None:
            total = await allrows.count_rows(ctx, source)
            wanted = min(wanted, max(ctx.settings.preview_rows, FIRST_ROWS))
        rows = await read_rows(ctx, source, wanted if schema.rows is None else max(min(wanted, schema.rows), 1))
    except UnreadableError as error:
        raise ToolError(f"{source.id} cannot be reported on: {error}.") from None
    if total is not None:
        schema = Schema(schema.types, total, schema.comment)
    report = _begin(ctx, source, request.title, schema, rows, chosen, from_all=total is not None)
    for done, name in enumerate(chosen):
        await ctx.report_progress(2 + done, steps, f"column {done + 1} of {len(chosen)}: {shown(name)}")
        values = _values(rows, name)
        # Each column is described in a thread, so that the call can be cancelled and others can be served in between.
        column = await anyio.to_thread.run_sync(describe, name, schema.types[name], values, ctx.settings.digits)
        if total is not None:
            try:
                column = await allrows.describe_all(ctx, source, column, name, total)
            except UnreadableError as error:
                column = column.model_copy(update={"partial": shown(error.why, 300)})
        report.columns.append(column)
    await _relate(ctx, source, request, report, chosen, total)
    await ctx.report_progress(steps - 1, steps, "keeping the report")
    await _keep(ctx, report)
    return report


async def _relate(
    ctx: Reports, source: Source, request: ReportRequest, report: Report, chosen: list[str], total: int | None
) -> None:
    """Add the trend over the column of dates, and the cross-tab, to a report on all rows."""
    if total is None:
        if request.over is not None or request.crosstab is not None:
            raise ToolError(
                "A trend and a cross-tab are made from all rows: leave rows out, and use a source that has them."
            )
        return
    kinds = dict(zip(chosen, report.columns, strict=True))
    over = request.over or next((name for name, column in kinds.items() if column.kind == "time"), None)
    try:
        if over is not None:
            time = kinds.get(over)
            if time is None or time.first is None or time.last is None:
                raise ToolError(f"{shown(over)!r} is not a column of dates in this report.{nearest(over, chosen)}")
            numbers = [name for name, column in kinds.items() if column.kind == "number" and not column.partial]
            report.trend = await allrows.trend(ctx, source, over, numbers, (time.first, time.last))
        if request.crosstab is not None:
            row, column = request.crosstab
            for name in (row, column):
                if name not in kinds:
                    raise ToolError(f"{shown(name)!r} is not a column of this report.{nearest(name, chosen)}")
            report.crosstab = await allrows.crosstab(ctx, source, row, column)
    except UnreadableError as error:
        raise ToolError(f"{source.id} cannot be reported on: {error}.") from None


async def _keep(ctx: Reports, report: Report) -> None:
    """Keep the report, unless the call is cancelled before its subscribers are notified."""
    store = reports_of(ctx)
    try:
        await anyio.to_thread.run_sync(store.add, report)
        await anyio.lowlevel.checkpoint()
    except OSError as error:
        raise ToolError(f"The report cannot be kept: {error.strerror}.") from None
    except anyio.get_cancelled_exc_class():
        store.remove(report.id)
        raise
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(store.drop_oldest)
        await ctx.notify_resource_updated(LIST)


def _chosen(source: Source, known: list[str], wanted: Sequence[str] | None, most: int) -> list[str]:
    if wanted is None:
        return known[:most]
    for name in wanted:
        if name not in known:
            raise ToolError(
                f"{source.id} has no column {shown(name)!r}.{nearest(name, known)} Columns: {_list(known)}."
            )
    chosen = list(dict.fromkeys(wanted))
    if not chosen:
        raise ToolError(f"columns is empty: leave it out for all, or name some of {_list(known)}.")
    if len(chosen) > most:
        raise ToolError(f"{len(chosen)} columns are too many: a report has at most {most} (settings.max_columns).")
    return chosen


def _begin(
    ctx: Reports,
    source: Source,
    title: str | None,
    schema: Schema,
    rows: Rows,
    chosen: Sequence[str],
    *,
    from_all: bool,
) -> Report:
    created = datetime.now(UTC).replace(microsecond=0)
    slug = re.sub(r"[^a-z0-9_]+", "-", source.name.lower()).strip("-")[:40] or "data"
    report_id = f"{created:%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(3)}"
    used = schema.rows if from_all and schema.rows is not None else len(rows.rows)
    positions = [rows.columns.index(name) if name in rows.columns else None for name in chosen]
    return Report(
        id=report_id,
        title=shown(title.strip(), 200) if title and title.strip() else f"Report on {shown(source.name)}",
        source=shown(source.id),
        source_uri=shown(source.sample_uri, 300),
        description=source.description or schema.comment,
        created=created,
        rows=used,
        total=schema.rows,
        basis=_basis(used, schema.rows),
        columns=[],
        left_out=[shown(name) for name in schema.types if name not in chosen],
        preview=[
            [shown(row[position]) if position is not None else "" for position in positions]
            for row in rows.rows[: ctx.settings.preview_rows]
        ],
        html_uri=f"{LIST}/{report_id}/html",
        markdown_uri=f"{LIST}/{report_id}/markdown",
    )


def _basis(rows: int, total: int | None) -> str:
    if total is None:
        return f"the first {_rows(rows)} (the source does not report the total)"
    if rows >= total:
        return f"all {_rows(rows)}" if rows != 1 else "the only row"
    return f"the first {rows} of {_rows(total)}"


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _values(rows: Rows, name: str) -> list[object]:
    if name not in rows.columns:
        return [None] * len(rows.rows)
    position = rows.columns.index(name)
    return [row[position] for row in rows.rows]


def _list(names: Sequence[str]) -> str:
    listed = ", ".join(shown(name) for name in names[:30])
    return listed if len(names) <= 30 else f"{listed} and {len(names) - 30} more"
