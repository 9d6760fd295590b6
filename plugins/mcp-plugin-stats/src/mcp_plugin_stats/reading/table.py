"""Brings the rows of a data set's files into one plain table of texts, and notes every row that does not fit."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.layout import FOOTER, Row, Rows, Shape, find_shape
from mcp_plugin_stats.settings import ReaderOptions

LISTED = 3
"""How many line numbers a note lists."""


@dataclass(frozen=True)
class Part:
    """One file (or sheet) of a data set. `label` names it in messages, `partition` are the columns of its folder."""

    label: str
    rows: Rows
    partition: dict[str, str] = field(default_factory=dict)


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


@dataclass
class Plain:
    """A plain CSV file: the number of the part, the line, and one text for each column."""

    path: Path
    names: list[str]
    first: list[str] | None
    """The cells of the first row, if it is not known whether it is the header."""
    first_line: int
    rows: int
    longest: int
    notes: list[str]
    labels: list[str]


def lay_out(part: Part, options: ReaderOptions) -> Layout:
    """Find the table in one part. Raises DataError with the line if that cannot be done for certain."""
    shape, notes = find_shape(part.rows, options.delimiter, options.quote)
    layout = Layout(shape, shape.width, shape.head[0] if shape.head else None, notes=notes)
    if not shape.rows:
        return layout
    if options.null_padding:  # Every row is a row of the table.
        return layout
    _find_first(layout, shape.head)
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


def _counted(lines: Sequence[int]) -> str:
    if len(lines) == 1:
        return f"1 row has (line {lines[0]})"
    return f"{len(lines):,} rows have (line {lines[0]} is the first)"


class _Fitter:
    """Gives each row of one part the right number of cells."""

    def __init__(self, layout: Layout, null_padding: bool | None, width: int) -> None:
        self._width = width
        self._drop_last = layout.drop_last
        self._padding = null_padding
        self.short: list[int] = []
        self.long: list[int] = []

    def fit(self, line: int, cells: list[str]) -> list[str]:
        width = self._width
        if len(cells) == width:
            return cells
        if len(cells) > width:
            if any(cell.strip() for cell in cells[width:]):
                raise DataError(
                    f"line {line} has {len(cells)} cells, the table has {width} columns: correct the line, "
                    "or set null_padding = true to have a column for each cell"
                )
            if not self._drop_last:
                self.long.append(line)
            return cells[:width]
        if self._padding is False:
            raise DataError(
                f"line {line} has {len(cells)} cells, the table has {width} columns: "
                "without null_padding = false, missing cells are missing values"
            )
        self.short.append(line)
        return cells + [""] * (width - len(cells))

    def notes(self) -> list[str]:
        found = []
        if self.short and self._padding is None:
            found.append(f"{_counted(self.short)} too few cells: the missing cells are read as missing values")
        if self.long:
            found.append(f"{_counted(self.long)} additional empty cells, which are left out")
        return found


def write_plain(parts: Sequence[Part], options: ReaderOptions, target: Path) -> Plain:
    """Write the rows of all parts into one plain CSV file. Raises DataError with the file and the line."""
    layouts = []
    for part in parts:
        with _named(part, parts):
            layouts.append(lay_out(part, options))
    firsts = [layout.first for layout in layouts]
    widths = [_width(layout, options) for layout in layouts]
    headers = [
        _header(first[1], width) if first is not None and options.header is not False else None
        for first, width in zip(firsts, widths, strict=True)
    ]
    several = len(parts) > 1
    sure = options.header is True or (options.header is None and (several or layouts[0].sure))
    if all(first is None for first in firsts):
        raise DataError("it has no rows")
    partition = list(dict.fromkeys(name for part in parts for name in part.partition))
    names = list(dict.fromkeys(name for header in headers if header for name in header))
    if not names:
        names = [f"column{n}" for n in range(max(widths))]
    names = [name for name in names if name not in partition] if several else names
    plain = Plain(target, names + partition, None, 0, 0, 0, [], [part.label for part in parts])
    for part, layout, header in zip(parts, layouts, headers, strict=True):
        own = [*layout.notes]
        if header and set(header) != set(names) and several:
            own.append(f"it has no column {', '.join(name for name in names if name not in header)}")
        plain.notes += [f"{part.label}: {note}" if several else note for note in own]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, (part, layout, header, width) in enumerate(zip(parts, layouts, headers, widths, strict=True)):
            fitter = _Fitter(layout, options.null_padding, width)
            places = [header.index(name) if name in header else None for name in names] if header and several else None
            outside = [part.partition.get(name, "") for name in partition]
            count = 0
            with _named(part, parts):
                for line, cells in part.rows(layout.shape.dialect):
                    if line in layout.left_out:
                        continue
                    if layout.first is not None and line == layout.first[0]:
                        if sure and header is not None:
                            continue
                        if header is not None:
                            plain.first, plain.first_line = _fitted(cells, width), line
                    cells = fitter.fit(line, cells)
                    if places is not None:
                        cells = ["" if place is None else cells[place] for place in places]
                    count += 1
                    plain.longest = max(plain.longest, sum(map(len, cells)))
                    writer.writerow((number, line, *cells, *outside))
            plain.rows += count
            plain.notes += [f"{part.label}: {note}" if several else note for note in fitter.notes()]
    return plain


def _width(layout: Layout, options: ReaderOptions) -> int:
    """Return the number of columns: as many as most rows have, or the header, or (if padded) the longest row."""
    if options.null_padding:
        return max(layout.shape.widths, default=0)
    header = layout.first[1] if layout.first is not None else []
    used = max((n for n, cell in enumerate(header, 1) if cell.strip()), default=0)
    return max(layout.width, used)


def _fitted(cells: list[str], width: int) -> list[str]:
    return (cells + [""] * (width - len(cells)))[:width]


def _header(cells: list[str], width: int) -> list[str]:
    """Return names for the columns: names that are empty or occur twice in SQL are completed."""
    names: list[str] = []
    seen: set[str] = set()
    for number, cell in enumerate(_fitted(cells, width)):
        name = cell if cell.strip() else f"column{number}"
        unique, suffix = name, 0
        while unique.lower() in seen:
            suffix += 1
            unique = f"{name}_{suffix}"
        seen.add(unique.lower())
        names.append(unique)
    return names


@contextmanager
def _named(part: Part, parts: Sequence[Part]) -> Iterator[None]:
    """Add the name of the part to an error, if there are several."""
    try:
        yield
    except DataError as error:
        if len(parts) == 1:
            raise
        raise DataError(f"{part.label}: {error}") from None
