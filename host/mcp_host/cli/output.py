"""How the command line shows things: one form of error, tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from mcp_host.errors import HostError
from mcp_host.logs import printable
from mcp_host.records import PluginRecord, Problem

_GAP = "  "
_NARROWEST = 24
"""Columns of text that the last column of a table gets, however narrow the terminal is."""


def print_json(data: Any, out: TextIO | None = None) -> None:
    """Write data as JSON, one document, indented."""
    write(json_text(data), out)


def json_text(data: Any) -> str:
    """Return data as indented JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def write(text: str, out: TextIO | None = None) -> None:
    """Write a text and a newline to `out` (stdout by default), now."""
    stream = out if out is not None else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def print_error(error: HostError) -> None:
    """Write an error, or each of several, to stderr: what, where, how to mend."""
    for problem in getattr(error, "problems", (error,)):
        write(problem_text(Problem.of(problem), "error"), sys.stderr)


def problem_text(problem: Problem, label: str) -> str:
    """Return the one form of every problem: what, where, how to mend."""
    lines = [f"{label}: {problem.what}"]
    if problem.where:
        lines.append(f"  where: {problem.where}")
    if problem.mend:
        lines.append(f"  mend:  {problem.mend}")
    return printable("\n".join(lines))


def bold(text: str, out: TextIO) -> str:
    """Return the text in bold where `out` is a terminal that shows it and `NO_COLOR` is not set (no-color.org)."""
    plain = not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], out: TextIO) -> str:
    """Return a table as text: one line a row, except that a terminal has the last column wrapped to its width.

    Columns without any text are left out.
    """
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    filled = [number for number in range(len(columns)) if any(row[number] for row in cells)]
    columns, cells = [columns[number] for number in filled], [[row[number] for number in filled] for row in cells]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    last = max(_NARROWEST, _width(out) - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1))
    widths[-1] = min(widths[-1], last)
    indent = " " * (sum(widths[:-1]) + len(_GAP) * (len(widths) - 1))

    def line(row: Sequence[str]) -> str:
        first, *more = textwrap.wrap(row[-1], last) or [""]
        start = _GAP.join(cell.ljust(width) for cell, width in zip((*row[:-1], first), widths, strict=True))
        return "\n".join([start.rstrip(), *(indent + part for part in more)])

    rule = _GAP.join("-" * width for width in widths)
    return "\n".join([bold(line(columns), out), rule, *map(line, cells)])


def _width(out: TextIO) -> int:
    return shutil.get_terminal_size().columns if out.isatty() else sys.maxsize


def records_table(records: Sequence[PluginRecord], out: TextIO) -> str:
    """Return the table of plugins that `run` and `check` print."""
    return table(("plugin", "from", "stage", "contributes"), map(_row, records), out)


def _row(record: PluginRecord) -> tuple[str, str, str, str]:
    if not record.enabled:
        return record.name, "-", "disabled", "-"
    if record.problem is not None:
        return record.name, record.source, f"failed after {record.stage}" if record.stage else "failed", "-"
    return record.name, record.source, str(record.stage), str(record.contributed)


def problem_lines(records: Sequence[PluginRecord]) -> list[str]:
    """Return each problem and warning of the records, with its mend."""
    lines = []
    for record in records:
        if record.problem is not None:
            lines.append(problem_text(record.problem, f"error in plugin {record.name}"))
        lines += [problem_text(warning, f"warning about plugin {record.name}") for warning in record.warnings]
    return lines
