"""Brings the rows of a data set's files into one table of texts, and notes every row that does not fit."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.direct import LONGEST_LINE, read_directly, reader
from mcp_plugin_stats.reading.layout import Dialect, Rows, find_shape
from mcp_plugin_stats.reading.surroundings import Layout, lay_out
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import literal

if TYPE_CHECKING:
    import duckdb

PLAIN = Dialect(",")
"""How rows are written in the file from which DuckDB reads them."""


@dataclass(frozen=True)
class Part:
    """One file (or sheet) of a data set. `label` names it in messages, `partition` are the columns of its folder."""

    label: str
    rows: Rows
    options: ReaderOptions
    partition: dict[str, str] = field(default_factory=dict)
    text: Path | None = None
    """The file in UTF-8, if it is text."""


@dataclass
class Plain:
    """The rows of all parts. `relation` is SQL for the number of the part, the line, and one text for each column."""

    relation: str
    names: list[str]
    labels: list[str]
    rows: int = 0
    first: list[str] | None = None
    """The cells of the first row, if it is not known whether it is the header."""
    first_line: int = 0
    semicolons: bool = False
    """Whether cells are separated by semicolons, as where decimals are written with a comma."""
    notes: list[str] = field(default_factory=list)


def collect(cursor: duckdb.DuckDBPyConnection, parts: Sequence[Part], options: ReaderOptions, folder: Path) -> Plain:
    """Bring the rows of all parts into one table. Raises DataError with the file and the line."""
    layouts = []
    for number, part in enumerate(parts):
        with _named(part, parts):
            layouts.append(_lay_out(cursor, part, number))
    widths = [_width(layout, options) for layout in layouts]
    headers = [
        _header(layout.first[1], width) if layout.first is not None and options.header is not False else None
        for layout, width in zip(layouts, widths, strict=True)
    ]
    if all(layout.first is None for layout in layouts):
        raise DataError("it has no rows")
    several = len(parts) > 1
    sure = options.header is True or (options.header is None and (several or layouts[0].sure))
    partition = list(dict.fromkeys(name for part in parts for name in part.partition))
    names = list(dict.fromkeys(name for header in headers if header for name in header))
    if not names:
        names = [f"column{n}" for n in range(max(widths))]
    if several:
        names = [name for name in names if name not in partition]
    plain = Plain("cells", names + partition, [part.label for part in parts])
    plain.semicolons = any(layout.shape.dialect.delimiter == ";" for layout in layouts)
    for part, layout, header in zip(parts, layouts, headers, strict=True):
        notes = list(layout.notes)
        if several and header and set(header) != set(names):
            notes.append(f"it has no column {', '.join(name for name in names if name not in header)}")
        plain.notes += _labelled(notes, part, parts)
    table = _Cells(cursor, len(plain.names), options, folder / "rows.csv")
    for number, (part, layout, header, width) in enumerate(zip(parts, layouts, headers, widths, strict=True)):
        outside = [part.partition.get(name, "") for name in partition]
        places: list[int | None] = list(range(width))
        if several and header:
            places = [header.index(name) if name in header else None for name in names]
        if header is not None and layout.first is not None:
            if sure:
                layout.left_out.add(layout.first[0])
            else:
                plain.first, plain.first_line = _fitted(layout.first[1], width), layout.first[0]
        if layout.shape.table is None:
            fitter = _Fitter(layout, options.null_padding, width)
            with _named(part, parts):
                rows = part.rows(layout.shape.dialect)
                kept = ((line, fitter.fit(line, cells)) for line, cells in rows if line not in layout.left_out)
                plain.rows += table.write(number, kept, places, outside)
            plain.notes += _labelled(fitter.notes(), part, parts)
        elif several:
            plain.rows += table.insert(number, layout, places, outside)
        else:
            plain.relation = f"({table.query(number, layout, places, outside)})"
            plain.rows = layout.shape.rows - len(layout.left_out)
    table.flush()
    return plain


def _lay_out(cursor: duckdb.DuckDBPyConnection, part: Part, number: int) -> Layout:
    options = part.options
    shape = read_directly(cursor, part.text, part.rows, options, f"part{number}") if part.text is not None else None
    notes: list[str] = []
    if shape is None:
        shape, notes = find_shape(part.rows, options.delimiter, options.quote)
    return lay_out(shape, notes, options)


class _Cells:
    """The table `cells`. Rows from Python are written to a file, from which DuckDB reads them all at once."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, width: int, options: ReaderOptions, file: Path) -> None:
        self._cursor = cursor
        self._options = options
        self._path = file
        self._columns = {"part": "INTEGER", "line": "BIGINT", **{f"c{n}": "VARCHAR" for n in range(width)}}
        self._longest = 0
        self._created = False

    def write(
        self,
        number: int,
        rows: Iterator[tuple[int, list[str]]],
        places: Sequence[int | None],
        outside: Sequence[str],
    ) -> int:
        """Add the rows of a part, and return their number. `places` are the cells for the columns, in order."""
        count = 0
        same = list(places) == list(range(len(places)))
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for line, cells in rows:
                own = cells if same else ["" if place is None else cells[place] for place in places]
                count += 1
                self._longest = max(self._longest, sum(map(len, own)))
                writer.writerow((number, line, *own, *outside))
        return count

    def insert(self, number: int, layout: Layout, places: Sequence[int | None], outside: Sequence[str]) -> int:
        """Add the rows of a part that DuckDB has read, and return their number."""
        self.flush()
        count = self._add(self.query(number, layout, places, outside))
        self._cursor.execute(f"DROP TABLE {layout.shape.table}")
        return count

    def query(self, number: int, layout: Layout, places: Sequence[int | None], outside: Sequence[str]) -> str:
        """Return the query for the rows of a part that DuckDB has read."""
        cells = [self._text("") if place is None else f"c{place}" for place in places] + list(map(self._text, outside))
        fields = "".join(f", {cell} AS c{n}" for n, cell in enumerate(cells))
        where = f" WHERE line NOT IN ({', '.join(map(str, layout.left_out))})" if layout.left_out else ""
        return f"SELECT {number} AS part, line{fields} FROM {layout.shape.table}{where}"

    def flush(self) -> None:
        """Bring the rows from the file into the table."""
        if self._path.exists():
            longest = max(LONGEST_LINE, 4 * self._longest + 1000)
            rows = reader(self._path, self._columns, self._options, PLAIN, line_end=r"\n", longest=longest)
            self._add(f"SELECT * FROM {rows}")
            self._path.unlink()

    def _add(self, query: str) -> int:
        how = "INSERT INTO cells" if self._created else "CREATE OR REPLACE TEMP TABLE cells AS"
        self._created = True
        (count,) = self._cursor.execute(f"{how} {query}").fetchall()[0]
        return int(count)

    def _text(self, text: str) -> str:
        return "CAST(NULL AS VARCHAR)" if text in self._options.null_values else literal(text)


def _counted(lines: Sequence[int]) -> str:
    if len(lines) == 1:
        return f"1 row (line {lines[0]}) has"
    return f"{len(lines):,} rows (the first is line {lines[0]}) have"


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


def _labelled(notes: Sequence[str], part: Part, parts: Sequence[Part]) -> list[str]:
    return [f"{part.label}: {note}" if len(parts) > 1 else note for note in notes]
