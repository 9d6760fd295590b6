"""Lets DuckDB read a large clean file as texts, which is much faster than Python, and checks that it read every row.

A file is clean if every line is a row with the same number of cells. The line ends of the file are counted: each one
must be the end of a row, or be within a cell. A file that is not clean is left to `layout`.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.layout import DELIMITERS, HEAD, Dialect, Row, Rows, Shape
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import literal

if TYPE_CHECKING:
    import duckdb

SMALL = 1 << 20
"""Bytes up to which a file is read by Python, which is fast enough."""

LONGEST_LINE = 1 << 19
"""Most bytes of a line. DuckDB's buffers are larger for longer ones."""

BLOCK = 1 << 20
"""How many bytes are looked at together."""

BUFFER = 8 << 20
"""Bytes of DuckDB's buffer for a file. Its default of 32 MiB is much in a small memory."""


def read_directly(
    cursor: duckdb.DuckDBPyConnection, path: Path, rows: Rows, options: ReaderOptions, table: str
) -> Shape | None:
    """Create a table of the lines and cells (`line`, `c0`, `c1` ...), and return its shape, or None if not clean."""
    import duckdb

    if path.stat().st_size <= SMALL or options.comment:
        return None
    dialect, head = _dialect(rows, options)
    lines = _lines(path, dialect) if dialect is not None else None
    if dialect is None or lines is None:
        return None
    width = len(head[0][1])
    places = [f"c{n}" for n in range(width)]
    source = reader(path, dict.fromkeys(places, "VARCHAR"), options, dialect, skip=options.skip)
    try:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT row_number() OVER () AS line, * FROM {source}")
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return None
    inside = " + ".join(f"coalesce(length({place}) - length(replace({place}, chr(10), '')), 0)" for place in places)
    (count,) = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0]
    ends = 0
    if count < lines - options.skip:
        (ends,) = cursor.execute(f"SELECT CAST(sum({inside}) AS BIGINT) FROM {table}").fetchall()[0]
    first = cursor.execute(f"SELECT {', '.join(places)} FROM {table} LIMIT {len(head)}").fetchall()
    expected = [tuple(None if cell in options.null_values else cell for cell in cells) for _, cells in head]
    if count + ends != lines - options.skip or first != expected:
        cursor.execute(f"DROP TABLE {table}")
        return None
    if ends:
        running = f"sum({inside}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * REPLACE (line + CAST({running} AS BIGINT) AS line) "
            f"FROM {table}"
        )
    if options.skip:
        cursor.execute(f"UPDATE {table} SET line = line + {options.skip}")
    (last,) = cursor.execute(f"SELECT line, {', '.join(places)} FROM {table} WHERE rowid = {count - 1}").fetchall()
    tail = deque([(int(last[0]), ["" if cell is None else cell for cell in last[1:]])])
    return Shape(dialect, count, Counter({width: count}), head, tail, table=table)


def reader(
    path: Path,
    columns: dict[str, str],
    options: ReaderOptions,
    dialect: Dialect,
    *,
    skip: int = 0,
    line_end: str | None = None,
    longest: int = LONGEST_LINE,
) -> str:
    """Return the SQL that reads a clean file. Every option is given, so DuckDB decides nothing."""
    nulls = ", ".join(map(literal, options.null_values)) or literal("\1")
    listed = ", ".join(f"'{name}': '{type_}'" for name, type_ in columns.items())
    return (
        f"read_csv([{literal(str(path))}], auto_detect = false, header = false, skip = {skip}, "
        f"delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, escape = {literal(dialect.quote)}, "
        f"nullstr = [{nulls}], allow_quoted_nulls = true, null_padding = false, strict_mode = true, "
        + (f"new_line = {literal(line_end)}, " if line_end is not None else "")
        + f"max_line_size = {longest}, buffer_size = {max(BUFFER, 4 * longest)}, hive_partitioning = false, "
        f"compression = 'none', columns = {{{listed}}})"
    )


def _dialect(rows: Rows, options: ReaderOptions) -> tuple[Dialect | None, list[Row]]:
    """Return the only delimiter that can be right for the first rows, and these rows."""
    for delimiter in [options.delimiter] if options.delimiter is not None else DELIMITERS:
        dialect = Dialect(delimiter, options.quote)
        try:
            head = list(islice(rows(dialect), HEAD))
        except DataError:
            continue
        widths = {len(cells) for _, cells in head}
        if len(widths) == 1 and widths != {1}:
            header = "".join(head[0][1])
            if options.delimiter is None and any(each in header for each in DELIMITERS):
                break
            return dialect, head
    return None, []


def _lines(path: Path, dialect: Dialect) -> int | None:
    """Return the number of lines, or None if the file has bytes that DuckDB and Python read differently."""
    quote = dialect.quote.encode()
    spaces = [bytes([space]) for space in b" \t\f\v" if space != ord(dialect.delimiter)]
    beside = [pair for space in spaces for pair in (space + quote, quote + space)]
    ends = re.escape(dialect.delimiter.encode()) + rb"\r\n"
    blank = rb"[%b]+" % b"".join(spaces)
    loose = re.compile(rb"(?:^|[%b])%b%b|%b%b(?:[%b%b]|$)" % (ends, blank, quote, quote, blank, ends, quote))
    lines, last = 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK) + file.readline(LONGEST_LINE):
            if b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
                return None
            if quote in block and any(pair in block for pair in beside) and loose.search(block):
                return None
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
