"""How the command line shows things: one form of error, tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal, TextIO
from unicodedata import combining, east_asian_width

from mcp_host.errors import HostError, Problem, encodable, str_of
from mcp_host.plugins.records import PluginRecord
from mcp_host.system.texts import one_line, printable, printable_json

_GAP = "  "
_DEEPEST = 100
"""The most levels of lists and objects that JSON shows."""
_LARGEST_BITS = 4096
"""The most bits of an integer that JSON shows in decimal: Python refuses to write thousands of digits."""
_NARROWEST = 12
"""The fewest characters of a column that is wrapped. A table that would need less becomes blocks."""


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

    Columns without any text are left out. The first column has the names and is never wrapped. If the columns do not
    fit, each row becomes a block: the name, and below it the other cells, each after the name of its column. rich's
    table is not used: its import takes a sixth of the time of a whole command, and it also wraps cells in a pipe.
    """
    cells = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
    filled = [number for number in range(len(columns)) if number == 0 or any(row[number] for row in cells)]
    columns, cells = [columns[number] for number in filled], [[row[number] for number in filled] for row in cells]
    wanted = [max(map(_cells, column)) for column in zip(columns, *cells, strict=True)]
    widths = _fitted(wanted, _width(out) - len(_GAP) * (len(wanted) - 1))
    if widths is None:
        return "\n".join(_blocks(columns, cells, _width(out), out))

    def lines(row: Sequence[str]) -> Iterator[str]:
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            padded = (part + " " * (width - _cells(part)) for part, width in zip(parts, widths, strict=True))
            yield _GAP.join(padded).rstrip()

    header, rule = next(lines(columns)), _GAP.join("-" * width for width in widths)
    return "\n".join([bold(header, out), rule, *(line for row in cells for line in lines(row))])


def _fitted(wanted: Sequence[int], room: int) -> list[int] | None:
    """Return the widths of columns that fit together, or None. The first column and narrow ones keep their widths."""
    widths = list(wanted)
    while sum(widths) > room:
        widest = max(range(1, len(widths)), key=lambda number: widths[number], default=0)
        if widest == 0 or widths[widest] <= _NARROWEST:
            return None
        widths[widest] -= 1
    return widths


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, out: TextIO) -> Iterator[str]:
    """Yield the lines of a table whose columns do not fit."""
    labels = max(map(_cells, columns[1:]), default=0) + len(_GAP)
    for number, (name, *cells) in enumerate(rows):
        yield from [""] if number else []
        yield from (bold(line, out) for line in _wrapped(name, width))
        for column, cell in zip(columns[1:], cells, strict=True):
            label = _GAP + column + " " * (labels - _cells(column))
            for line in _wrapped(cell, max(1, width - len(label))) if cell else ():
                yield label + line
                label = " " * len(label)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text: broken between words, and inside a word that is longer than a line."""
    lines, line = [], ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if _cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while _cells(word) > width and len(word) > 1:
            end = next(end for end in range(len(word) - 1, 0, -1) if end == 1 or _cells(word[:end]) <= width)
            lines.append(word[:end])
            word = word[end:]
        line = word
    return [*lines, line]


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes: a wide character takes two, a combining one none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


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
