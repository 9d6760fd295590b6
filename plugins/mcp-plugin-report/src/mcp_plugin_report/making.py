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
from mcp_plugin_report.app import Reports
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

LIST = "report://reports"
"""The resource that lists the kept reports."""


@dataclass(frozen=True)
class ReportRequest:
    """The requested report. None means that the plugin decides."""

    source: str
    title: str | None = None
    columns: Sequence[str] | None = None
    rows: int | None = None


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
        rows = await read_rows(ctx, source, wanted if schema.rows is None else max(min(wanted, schema.rows), 1))
    except UnreadableError as error:
        raise ToolError(f"{source.id} cannot be reported on: {error}.") from None
    report = _begin(ctx, source, request.title, schema, rows, chosen)
    for done, name in enumerate(chosen):
        await ctx.report_progress(2 + done, steps, f"column {done + 1} of {len(chosen)}: {shown(name)}")
        values = _values(rows, name)
        # Each column is described in a thread, so that the call can be cancelled and others can be served in between.
        column = await anyio.to_thread.run_sync(describe, name, schema.types[name], values, ctx.settings.digits)
        report.columns.append(column)
    await ctx.report_progress(steps - 1, steps, "keeping the report")
    await _keep(ctx, report)
    return report


async def _keep(ctx: Reports, report: Report) -> None:
    """Keep the report, unless the call is cancelled before its subscribers are notified."""
    try:
        await anyio.to_thread.run_sync(ctx.state.add, report)
        await anyio.lowlevel.checkpoint()
    except OSError as error:
        raise ToolError(f"The report cannot be kept: {error.strerror}.") from None
    except anyio.get_cancelled_exc_class():
        ctx.state.remove(report.id)
        raise
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(ctx.state.drop_oldest)
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
    ctx: Reports, source: Source, title: str | None, schema: Schema, rows: Rows, chosen: Sequence[str]
) -> Report:
    created = datetime.now(UTC).replace(microsecond=0)
    slug = re.sub(r"[^a-z0-9_]+", "-", source.name.lower()).strip("-")[:40] or "data"
    report_id = f"{created:%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(3)}"
    positions = [rows.columns.index(name) if name in rows.columns else None for name in chosen]
    return Report(
        id=report_id,
        title=shown(title.strip(), 200) if title and title.strip() else f"Report on {shown(source.name)}",
        source=shown(source.id),
        source_uri=shown(source.sample_uri, 300),
        description=source.description or schema.comment,
        created=created,
        rows=len(rows.rows),
        total=schema.rows,
        basis=_basis(len(rows.rows), schema.rows),
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
