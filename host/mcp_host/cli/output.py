"""How the command line shows things: one form of error, tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from mcp_host.errors import HostError
from mcp_host.logs import printable
from mcp_host.records import PluginRecord, Problem

if TYPE_CHECKING:
    from rich.console import Console


def print_json(data: Any, out: TextIO | None = None) -> None:
    """Write data as JSON, one document, indented."""
    stream = out if out is not None else sys.stdout
    stream.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
    stream.flush()


def print_error(error: HostError) -> None:
    """Write an error, or each of several, to stderr: what, where, how to mend."""
    for problem in getattr(error, "problems", (error,)):
        sys.stderr.write(problem_text(Problem.of(problem), "error") + "\n")


def problem_text(problem: Problem, label: str) -> str:
    lines = [f"{label}: {problem.what}"]
    if problem.where:
        lines.append(f"  where: {problem.where}")
    if problem.mend:
        lines.append(f"  mend:  {problem.mend}")
    return printable("\n".join(lines))


def console(out: TextIO | None = None) -> Console:
    """Return a rich console on `out` (stdout by default): colours and boxes only on a terminal."""
    from rich.console import Console

    stream = out if out is not None else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 140)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """Return a rich table without lines, whose cells are plain text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def records_table(records: Sequence[PluginRecord]) -> Any:
    """Return the table of plugins that `run` and `check` print."""
    return table(("plugin", "from", "stage", "contributes"), [_row(record) for record in records])


def _row(record: PluginRecord) -> tuple[str, str, str, str]:
    if not record.enabled:
        return record.name, record.source, "disabled", ""
    stage = record.stage.value if record.stage else "-"
    if record.problem is not None:
        return record.name, record.source, f"failed after {stage}" if record.stage else "failed", record.problem.what
    return record.name, record.source, stage, str(record.contributed)


def problem_lines(records: Sequence[PluginRecord]) -> list[str]:
    """Return each problem and warning of the records, with its mend."""
    lines = []
    for record in records:
        if record.problem is not None:
            lines.append(problem_text(record.problem, f"error in plugin {record.name}"))
        lines += [problem_text(warning, f"warning about plugin {record.name}") for warning in record.warnings]
    return lines
