"""Finds the header and the rows of the table in one part: titles above it and footers below it are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.layout import FOOTER, Row, Shape
from mcp_plugin_stats.settings import ReaderOptions

TOTAL = re.compile(
    r"(grand |sub)?total:?|sums?:?|summe:?|gesamt:?|totale?s?:?|insgesamt:?|average:?|mean:?", re.IGNORECASE
)
"""The first cell of rows that are not like the others."""

LISTED = 3
"""How many line numbers a note lists."""


@dataclass
class Layout:
    """Which rows of a part are data, and how many columns they have."""

    shape: Shape
    width: int
    first: Row | None
    """The row that may be the header."""
    left_out: set[int] = field(default_factory=set)
    """The lines above and below the table."""
    drop_last: bool = False
    sure: bool = False
    """Whether the first row can only be the header."""
    notes: list[str] = field(default_factory=list)


def lay_out(shape: Shape, notes: list[str], options: ReaderOptions) -> Layout:
    """Find the table in one part. Raises DataError with the line if that cannot be done for certain."""
    layout = Layout(shape, shape.width, shape.head[0] if shape.head else None, notes=notes)
    if not shape.rows:
        return layout
    if options.null_padding:  # Every row is a row of the table.
        return layout
    _find_first(layout, shape.head)
    if layout.first is not None and layout.first[1][0].startswith("#") and len(layout.first[1]) > 1:
        layout.notes.append(f'line {layout.first[0]} begins with #: if it is a comment, set comment = "#"')
    _find_footer(layout)
    return layout


def _find_first(layout: Layout, head: list[Row]) -> None:
    """Find the first row of the table. The rows above it are titles."""
    shape, width = layout.shape, layout.width
    start = next((n for n, (_, cells) in enumerate(head) if len(cells) >= width), 0)
    line, cells = head[start]
    above = head[:start]
    if above and len(above[-1][1]) == width - 1 and _names(above[-1][1]) and line - above[-1][0] == 1:
        if width not in shape.filled:
            layout.drop_last = True
            layout.width = width - 1
            layout.notes.append("the delimiter at the end of every row is left out")
            start -= 1
            layout.first = above[-1]
            above = head[:start]
        elif width > 2 or not _names(cells):
            layout.notes.append(
                f"line {above[-1][0]} has one name less than the rows have cells: the first column has no name"
            )
            layout.first = (above[-1][0], ["", *above[-1][1]])
            layout.sure = True
            layout.left_out.add(above[-1][0])
            above = above[:-1]
        else:
            layout.first = head[start]
    else:
        layout.first = head[start]
    start = _skip_padded(layout, head, start) if layout.first is head[start] else start
    above = [row for row in head[:start] if row[0] < layout.first[0]]
    if not above:
        return
    last = above[-1]
    beside = layout.first[0] - last[0] == 1
    if len([cell for cell in last[1] if cell.strip()]) > 1 and beside:
        raise DataError(
            f"line {last[0]} has {len(last[1])} cells, most rows have {width}: if it is not part of the table, set "
            f"skip = {last[0]}; if it is the header of short rows, set null_padding = true"
        )
    layout.left_out.update(line for line, _ in above)
    layout.notes.append(_left_out([line for line, _ in above], "above", above[0]))


def _skip_padded(layout: Layout, head: list[Row], start: int) -> int:
    """Return the index of the header below titles that a spreadsheet has filled up with empty cells."""
    if layout.width < 3:
        return start
    for index in range(start, len(head)):
        filled = [bool(cell.strip()) for cell in head[index][1]]
        if sum(filled) > 1 or (sum(filled) == 1 and not filled[0]):
            if index > start and sum(filled) >= layout.width - 1:
                layout.first = head[index]
                return index
            return start
    return start


def _find_footer(layout: Layout) -> None:
    """Leave out the rows at the end that are no rows of the table."""
    shape = layout.shape
    tail = list(shape.tail)
    if tail and layout.width > 1 and len(tail[-1][1]) == layout.width and TOTAL.fullmatch(tail[-1][1][0].strip()):
        line, cells = tail[-1]
        layout.notes.append(f"the last row (line {line}) begins with {cells[0].strip()!r}: it is read as a row of data")
    found: list[Row] = []
    for index in range(len(tail) - 1, 0, -1):
        line, cells = tail[index]
        filled = [cell for cell in cells if cell.strip()]
        apart = line - tail[index - 1][0] > 1
        short = len(cells) < layout.width and len(filled) == 1
        counted = layout.width == 1 and filled == [f"({shape.rows - 2} rows)"]
        if (short and (apart or FOOTER.fullmatch(filled[0].strip()))) or counted:
            found.append((line, cells))
        else:
            break
    if found and (layout.first is None or found[-1][0] > layout.first[0]):
        found.reverse()
        layout.left_out.update(line for line, _ in found)
        layout.notes.append(_left_out([line for line, _ in found], "below", found[0]))


def _names(cells: list[str]) -> bool:
    """Return whether the cells can be names of columns: different texts that are no numbers."""
    texts = [cell.strip() for cell in cells]
    return all(texts) and len(set(texts)) == len(texts) and not any(_number(text) for text in texts)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _left_out(lines: Sequence[int], where: str, row: Row) -> str:
    if len(lines) == 1:
        return f"line {lines[0]} {where} the table is left out: {_shown(row)}"
    listed = ", ".join(map(str, lines[:LISTED]))
    more = " ..." if len(lines) > LISTED else ""
    return f"{len(lines)} lines {where} the table are left out (lines {listed}{more}): {_shown(row)}"


def _shown(row: Row) -> str:
    text = " ".join(cell.strip() for cell in row[1] if cell.strip())
    return repr(text if len(text) <= 60 else text[:57] + "...")
