"""How the command line shows things: one form of error, tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal, TextIO

from mcp_host.errors import HostError, Problem, encodable, str_of
from mcp_host.plugins.records import PluginRecord
from mcp_host.system.texts import one_line, printable, printable_json

_GAP = "  "
_DEEPEST = 100
"""The most levels of lists and objects that JSON shows."""
_LARGEST_BITS = 4096
"""The most bits of an integer that JSON shows in decimal: Python refuses to write thousands of digits."""
_NARROWEST = 16
"""The fewest characters of a column of a table, even on a narrow terminal."""


def print_json(data: Any, out: TextIO | None = None) -> None:
    """Write data as JSON, one document, indented."""
    write(json_text(data), out)


def json_text(data: Any) -> str:
    """Return data as indented JSON that any parser accepts, even if a plugin's values are not JSON."""
    return printable_json(json.dumps(plain(data), indent=2, ensure_ascii=not _shows_all(sys.stdout)))


def plain(data: Any, depth: int = 0) -> Any:
    """Return data as JSON values: other objects become texts, NaN and infinity become null, and depth is limited."""
    if data is None or isinstance(data, bool):
        return data
    if isinstance(data, str):
        return encodable(str_of(data))
    if isinstance(data, int):
        return data if data.bit_length() <= _LARGEST_BITS else hex(data)
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping | list | tuple) and depth >= _DEEPEST:
        return "..."
    if isinstance(data, Mapping):
        return {encodable(str_of(key)): plain(value, depth + 1) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value, depth + 1) for value in data]
    return encodable(str_of(data))


def _shows_all(out: TextIO) -> bool:
    # Python would escape what another encoding cannot show, and its escapes are not JSON.
    return (getattr(out, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")


def write(text: str, out: TextIO | None = None) -> None:
    """Write a text and a newline to `out` (stdout by default), and flush it."""
    stream = out if out is not None else sys.stdout
    # A plugin's text may contain half of a surrogate pair, which no stream can write.
    stream.write(encodable(text) + "\n")
    stream.flush()


def print_error(error: HostError) -> None:
    """Write each problem of an error to stderr."""
    for problem in error.problems:
        write(problem_text(problem, "error"), sys.stderr)


def problem_text(problem: Problem, label: str) -> str:
    """Return a problem in its one form, safe for a terminal. Line breaks in its texts are escaped."""
    escaped = Problem(one_line(problem.what), one_line(problem.where), one_line(problem.hint))
    return escaped.text(one_line(label))


def bold(text: str, out: TextIO) -> str:
    """Return the text in bold if `out` is a terminal that shows it and `NO_COLOR` is not set (no-color.org)."""
    return _styled(text, "1", out)


def coloured(text: str, colour: Literal["red", "yellow", "green"], out: TextIO) -> str:
    """Return the text in bold and in a colour, under the conditions of `bold`."""
    return _styled(text, {"red": "1;31", "yellow": "1;33", "green": "1;32"}[colour], out)


def _styled(text: str, style: str, out: TextIO) -> str:
    plain = not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[{style}m{text}\x1b[0m"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], out: TextIO) -> str:
    """Return a table as text: one line for each row. On a terminal, cells are wrapped to fit its width.

    Columns without any text are left out. The first column has the names and is never wrapped. rich's table is not
    used: its import takes a sixth of the time of a whole command, and it also wraps cells in a pipe.
    """
    cells = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
    filled = [number for number in range(len(columns)) if number == 0 or any(row[number] for row in cells)]
    columns, cells = [columns[number] for number in filled], [[row[number] for number in filled] for row in cells]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > _width(out):
        widest = max(range(1, len(widths)), key=lambda number: widths[number], default=0)
        if widest == 0 or widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1

    def lines(row: Sequence[str]) -> Iterator[str]:
        wrapped = [textwrap.wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            yield _GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()

    header, rule = next(lines(columns)), _GAP.join("-" * width for width in widths)
    return "\n".join([bold(header, out), rule, *(line for row in cells for line in lines(row))])


def _width(out: TextIO) -> int:
    return shutil.get_terminal_size().columns if out.isatty() else sys.maxsize


def records_table(records: Sequence[PluginRecord], out: TextIO) -> str:
    """Return the table of plugins that `run` and `check` print."""
    return table(("plugin", "from", "stage", "contributes"), map(records_row, records), out)


def records_row(record: PluginRecord) -> tuple[str, str, str, str]:
    """Return the cells of one plugin's row in that table."""
    if not record.enabled:
        return record.name, "-", "disabled", "-"
    if record.problem is not None:
        return record.name, record.source, record.fate, "-"
    return record.name, record.source, record.fate, record.contributes


def problem_lines(records: Sequence[PluginRecord]) -> list[str]:
    """Return each problem and warning of the records, with its hint."""
    lines = []
    for record in records:
        if record.problem is not None:
            lines.append(problem_text(record.problem, f"error in plugin {record.name}"))
        lines += [problem_text(warning, f"warning about plugin {record.name}") for warning in record.warnings]
    return lines
