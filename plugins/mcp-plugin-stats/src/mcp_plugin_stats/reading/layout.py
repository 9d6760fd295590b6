"""Finds the layout of delimited text in one pass over all lines for each delimiter that is possible.

Nothing is found from a sample: the delimiter and the number of columns come from the cells of every row.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.texts import open_text
from mcp_plugin_stats.settings import ReaderOptions

Row = tuple[int, list[str]]
"""The line on which a row ends, and its cells."""

DELIMITERS = (",", ";", "\t", "|")
"""What separates cells if the settings do not say it. The first is preferred."""

NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar", " ": "a space"}

HEAD = 50
"""How many rows at the start can be titles or the header."""

TAIL = 5
"""How many rows at the end can be a footer."""

LONGEST_CELL = 1 << 27
"""The most characters of a cell."""

END_OF_FILE = "\x1a"
"""The last line of files from DOS."""

FOOTER = re.compile(
    r"\(?\s*(\d[\d,. ]* rows?\b.*|(total )?(rows?|records?)\b.*\d.*|(source|note|footnote)s?\b.*)", re.IGNORECASE
)
"""Texts that programs and people write below a table."""

SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line with which Excel is told the delimiter."""


@dataclass(frozen=True)
class Dialect:
    """How cells are written."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    after_space: bool = False

    def read(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Yield the cells of every row. Raises csv.Error for quotes that do not fit."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            doublequote=True,
            skipinitialspace=self.after_space,
            strict=True,
        )


class Lines:
    """The lines of a text with their numbers, without those that the settings leave out."""

    def __init__(self, text: TextIO, skip: int, comment: str | None, progress: Callable[[], None]) -> None:
        self.number = 0
        self._progress = progress
        self._text = text
        self._skip = skip
        self._comment = comment

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.number += 1
            if not self.number & 0xFFFF:
                self._progress()
            if self.number <= self._skip or (self._comment and line.startswith(self._comment)):
                continue
            if line.strip() == END_OF_FILE:
                continue
            if "\0" in line:
                raise DataError(f"line {self.number} has a zero byte: this is not a text file in this encoding")
            yield line


class Rows(Protocol):
    """Yields the rows of one file. Each call begins at the start."""

    def __call__(self, dialect: Dialect) -> Iterator[Row]:
        """Yield the rows that are not blank, in the given dialect."""


@dataclass
class Shape:
    """What one pass over all rows has found."""

    dialect: Dialect
    rows: int = 0
    widths: Counter[int] = field(default_factory=Counter)
    head: list[Row] = field(default_factory=list)
    tail: deque[Row] = field(default_factory=lambda: deque(maxlen=TAIL))
    filled: set[int] = field(default_factory=set)
    """The widths of which some row has a text in its last cell."""
    problem: str | None = None
    table: str | None = None
    """The table of DuckDB that has the lines and the cells already."""

    @property
    def width(self) -> int:
        """The number of cells that most rows have."""
        return max(self.widths, key=lambda width: (self.widths[width], width), default=0)

    @property
    def fit(self) -> float:
        """How well the rows agree: the part with the usual number of cells, and more if the first row has it, too."""
        if self.problem or not self.rows or self.width < 2:
            return 0.0
        first = len(self.head[0][1]) == self.width
        return self.widths[self.width] / self.rows + (0.25 if first else 0.0)


def blank(cells: list[str]) -> bool:
    """Return whether a line is empty or has only spaces. A line of empty quotes is not blank."""
    return not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip(" "))


def text_rows(path: Path, options: ReaderOptions, progress: Callable[[], None]) -> Rows:
    """Return the rows of a text file in UTF-8. They raise DataError with the line at which quotes do not fit."""

    def rows(dialect: Dialect) -> Iterator[Row]:
        csv.field_size_limit(LONGEST_CELL)
        with open_text(path, None) as text:
            lines = Lines(text, options.skip, options.comment, progress)
            reader = dialect.read(iter(lines))
            while True:
                start = lines.number + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise DataError(f"line {start}: {_quotes(error, dialect)}") from None
                if not blank(cells):
                    yield lines.number, cells

    return rows


def _quotes(error: csv.Error, dialect: Dialect) -> str:
    if "unexpected end" in str(error):
        return f"a text that begins with {dialect.quote} here has no closing {dialect.quote}"
    if "field larger" in str(error):
        return f"a cell is longer than {LONGEST_CELL:,} characters (is a closing {dialect.quote} missing?)"
    return f"there is text after a closing {dialect.quote} ({error}); a {dialect.quote} inside a text must be doubled"


def shape_of(rows: Rows, dialect: Dialect) -> Shape:
    """Return what one pass over all rows finds. Quotes that do not fit are its `problem`."""
    shape = Shape(dialect)
    try:
        for line, cells in rows(dialect):
            shape.rows += 1
            width = len(cells)
            shape.widths[width] += 1
            if cells[-1].strip():
                shape.filled.add(width)
            if len(shape.head) < HEAD:
                shape.head.append((line, cells))
            shape.tail.append((line, cells))
    except DataError as error:
        shape.problem = str(error)
    return shape


def find_shape(rows: Rows, delimiter: str | None, quote: str) -> tuple[Shape, list[str]]:
    """Return the shape in the dialect that fits best, and notes. Raises DataError if no dialect fits."""
    if delimiter is not None:
        return _variant(rows, shape_of(rows, Dialect(delimiter, quote)))
    first = shape_of(rows, Dialect(DELIMITERS[0], quote))
    if first.fit >= 1.25:
        header = "".join(first.head[0][1])
        others = [each for each in DELIMITERS[1:] if each in header]
    else:
        others = list(DELIMITERS[1:])
    shapes = [first, *(shape_of(rows, Dialect(each, quote)) for each in others)]
    best = max(shapes, key=lambda shape: (shape.fit, shape.width))
    notes = []
    if best.fit == 0:
        return _one_column(rows, first)
    rivals = [shape for shape in shapes if shape is not best and shape.fit == best.fit]
    if rivals:
        names = " or ".join(NAMES[shape.dialect.delimiter] for shape in rivals)
        notes.append(
            f"{NAMES[best.dialect.delimiter]} is taken as the delimiter, though {names} would fit, too: set `delimiter`"
        )
    chosen, more = _variant(rows, best)
    return chosen, notes + more


def _variant(rows: Rows, shape: Shape) -> tuple[Shape, list[str]]:
    """Try other ways to write quotes if the usual one does not fit. Raises DataError if none does."""
    if shape.problem is None and shape.fit >= 1.25:
        return shape, []
    dialect = shape.dialect
    variants = [
        (Dialect(dialect.delimiter, dialect.quote, escape="\\"), "a backslash is read as an escape before quotes"),
        (Dialect(dialect.delimiter, dialect.quote, after_space=True), "spaces after a delimiter are left out"),
    ]
    for variant, note in variants:
        other = shape_of(rows, variant)
        if other.problem is None and (shape.problem is not None or other.fit > shape.fit + 0.2):
            return other, [note]
    if shape.problem is not None:
        raise DataError(shape.problem)
    return shape, []


def _one_column(rows: Rows, shape: Shape) -> tuple[Shape, list[str]]:
    """Return the shape of a file with one column. Raises DataError if its first line has a delimiter."""
    if shape.problem is not None:
        return _variant(rows, shape)
    for line, cells in islice(shape.head, 1):
        found = [each for each in DELIMITERS[1:] if each in cells[0]]
        if len(cells) == 1 and found:
            raise DataError(
                f"line {line}: the only column would be named {cells[0][:80]!r}, which has {NAMES[found[0]]} in it, "
                "and the rows do not agree on a delimiter: set `delimiter`"
            )
    words = [cells[0].split() for _, cells in shape.head]
    if len(words) > 1 and len({len(each) for each in words}) == 1 and any(map(str.isdecimal, words[1][1:])):
        raise DataError(
            f"line {shape.head[0][0]}: the only column would be named {' '.join(words[0])[:80]!r}, but spaces seem to "
            'separate columns: set delimiter = " " (or delimiter = "," for one column)'
        )
    return shape, []
