"""Makes the typed table `data` from a plain table of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.cells import Cells
from mcp_plugin_stats.reading.columns import find_types, note_points
from mcp_plugin_stats.reading.header import is_header
from mcp_plugin_stats.reading.table import Plain
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import quoted

if TYPE_CHECKING:
    import duckdb


def create_typed(cursor: duckdb.DuckDBPyConnection, plain: Plain, options: ReaderOptions) -> list[str]:
    """Create the table `data`, and return notes on what was decided."""
    relation = plain.relation
    places = [f"c{n}" for n in range(len(plain.names))]
    body = relation
    if plain.first is not None:
        body = f"(SELECT * FROM {relation} WHERE part > 0 OR line > {plain.first_line})"
    columns = find_types(Cells(cursor, body, plain.labels), plain.names, places, options)
    notes = list(plain.notes)
    header = plain.first is None
    if plain.first is not None:
        header, note = is_header(plain.first, columns)
        notes += [note] if note else []
        if not header:  # It is a row as all others, so it counts for the types, too.
            columns = find_types(Cells(cursor, relation, plain.labels), plain.names, places, options)
    if plain.semicolons and not options.model_fields_set & {"decimal", "thousands"}:
        note_points(Cells(cursor, body if header else relation, plain.labels), columns)
    names = plain.names if header else [f"column{n}" for n in range(len(plain.names))]
    fields = ", ".join(f"{column.sql} AS {quoted(name)}" for column, name in zip(columns, names, strict=True))
    cursor.execute(f"CREATE TABLE data AS SELECT {fields} FROM {body if header else relation}")
    (rows,) = cursor.execute("SELECT count(*) FROM data").fetchall()[0]
    wanted = plain.rows - (1 if header and plain.first is not None else 0)
    if rows != wanted:
        raise DataError(f"{wanted:,} rows are in the file, but {rows:,} were read")
    return notes + [note for column in columns for note in column.notes]
