"""Makes the typed table `data` from a plain table of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.cells import Cells
from mcp_plugin_stats.reading.columns import find_types
from mcp_plugin_stats.reading.header import is_header
from mcp_plugin_stats.reading.table import Plain
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import literal, quoted

if TYPE_CHECKING:
    import duckdb

LONGEST_LINE = 1 << 19
"""Bytes of a line for which the usual buffer is enough. Longer lines need larger buffers."""

BUFFER = 8 << 20
"""Bytes of DuckDB's buffer for a file. Its default of 32 MiB is much in a small memory."""


def create_typed(cursor: duckdb.DuckDBPyConnection, plain: Plain, options: ReaderOptions) -> list[str]:
    """Create the table `data`, and return notes on what was decided."""
    places = [f"c{n}" for n in range(len(plain.names))]
    cursor.execute(f"CREATE TEMP TABLE cells AS SELECT * FROM {_reader(plain, places, options)}")
    try:
        return _create(cursor, plain, "cells", places, options)
    finally:
        cursor.execute("DROP TABLE cells")


def _create(
    cursor: duckdb.DuckDBPyConnection, plain: Plain, relation: str, places: list[str], options: ReaderOptions
) -> list[str]:
    body = relation
    if plain.first is not None:
        body = f"(SELECT * FROM {relation} WHERE part > 0 OR line > {plain.first_line})"
    columns = find_types(Cells(cursor, body, plain.labels), plain.names, places, options)
    notes = list(plain.notes)
    header = plain.first is None
    if plain.first is not None:
        if plain.rows == 1:
            header = True
        else:
            header, note = is_header(plain.first, columns)
            notes += [note] if note else []
    names = plain.names if header else [f"column{n}" for n in range(len(plain.names))]
    fields = ", ".join(f"{column.sql} AS {quoted(name)}" for column, name in zip(columns, names, strict=True))
    cursor.execute(f"CREATE TABLE data AS SELECT {fields} FROM {body if header else relation}")
    (rows,) = cursor.execute("SELECT count(*) FROM data").fetchall()[0]
    wanted = plain.rows - (1 if header and plain.first is not None else 0)
    if rows != wanted:
        raise DataError(f"{wanted:,} rows are in the file, but {rows:,} were read")
    return notes + [note for column in columns for note in column.notes]


def _reader(plain: Plain, places: list[str], options: ReaderOptions) -> str:
    """Return the SQL that reads the plain table. Every option is given, so DuckDB decides nothing."""
    types = ", ".join(["'part': 'INTEGER'", "'line': 'BIGINT'", *(f"'{place}': 'VARCHAR'" for place in places)])
    nulls = ", ".join(map(literal, options.null_values)) or literal("\1")
    longest = max(LONGEST_LINE, 4 * plain.longest + 1000)
    return (
        f"read_csv([{literal(str(plain.path))}], auto_detect = false, header = false, delim = ',', quote = '\"', "
        f"escape = '\"', new_line = '\\n', nullstr = [{nulls}], allow_quoted_nulls = true, null_padding = false, "
        f"strict_mode = true, max_line_size = {longest}, "
        f"buffer_size = {max(BUFFER, 4 * longest)}, hive_partitioning = false, compression = 'none', "
        f"columns = {{{types}}})"
    )
