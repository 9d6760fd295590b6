"""Reads a table of a SQLite file with Python's `sqlite3`, because DuckDB's extension would have to be downloaded."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.cells import Cells, Column, missing
from mcp_plugin_stats.reading.columns import number_column
from mcp_plugin_stats.reading.dates import date_column
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import literal, quoted

if TYPE_CHECKING:
    import duckdb

KINDS = {
    frozenset(("integer",)): "BIGINT",
    frozenset(("real",)): "DOUBLE",
    frozenset(("blob",)): "BLOB",
}
"""DuckDB's type for the kinds of values that a column has. Integers and reals are judged by their digits."""

NOTHING = "\1"
"""Stands for NULL in the file between the two databases. An empty text is not NULL."""


def create_from_sqlite(
    cursor: duckdb.DuckDBPyConnection, path: Path, table: str | None, folder: Path, progress: Callable[[], None]
) -> list[str]:
    """Create the table `data`, and return notes on what was decided. `progress` raises to stop."""
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as source:
            source.set_progress_handler(progress, 100_000)
            source.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _create(cursor, source, _table(source, table), folder / "rows.csv")
    except sqlite3.DatabaseError as error:
        raise DataError(f"SQLite cannot read it: {error}") from None


def _table(source: sqlite3.Connection, name: str | None) -> str:
    names = [
        str(row[0])
        for row in source.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    return chosen_table(names, name)


def chosen_table(names: list[str], name: str | None) -> str:
    """Return the table with this name, or the only one. Raises DataError with the names of the tables."""
    if not names:
        raise DataError("it has no tables")
    if name is None and len(names) > 1:
        raise DataError(f"it has {len(names)} tables: set `table` to one of {', '.join(names)[:300]}")
    if name is not None and name not in names:
        raise DataError(f"it has no table {name!r}: its tables are {', '.join(names)[:300]}")
    return name or names[0]


def _create(cursor: duckdb.DuckDBPyConnection, source: sqlite3.Connection, table: str, plain: Path) -> list[str]:
    info = source.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    names = [str(row[1]) for row in info if row[6] != 1]
    declared = {str(row[1]): str(row[2]).upper() for row in info}
    kinds = [
        frozenset(
            str(row[0])
            for row in source.execute(
                f"SELECT DISTINCT typeof({quoted(name)}) FROM {quoted(table)} WHERE {quoted(name)} IS NOT NULL"
            )
        )
        for name in names
    ]
    fields = ", ".join(
        f"CASE WHEN {quoted(name)} IS NOT NULL THEN hex({quoted(name)}) END" if kind == {"blob"} else quoted(name)
        for name, kind in zip(names, kinds, strict=True)
    )
    longest = 0
    with plain.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in source.execute(f"SELECT {fields} FROM {quoted(table)}"):
            texts = [NOTHING if value is None else _text(value) for value in row]
            longest = max(longest, sum(map(len, texts)))
            writer.writerow(texts)
    places = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(names)))
    relation = (
        f"read_csv({literal(str(plain))}, auto_detect = false, header = false, delim = ',', quote = '\"', "
        f"escape = '\"', nullstr = {literal(NOTHING)}, columns = {{{places}}}, "
        f"max_line_size = {max(2_000_000, 4 * longest + 1000)}, hive_partitioning = false)"
    )
    cursor.execute(f"CREATE TEMP TABLE raw AS SELECT * FROM {relation}")
    cells = Cells(cursor, "(SELECT 0 AS part, rowid + 1 AS line, * FROM raw)", [], "row")
    columns = [Column(name, f"c{n}") for n, name in enumerate(names)]
    for column, kind in zip(columns, kinds, strict=True):
        _convert(cells, column, kind, declared[column.name])
    typed = ", ".join(f"{column.sql} AS {quoted(column.name)}" for column in columns)
    cursor.execute(f"CREATE TABLE data AS SELECT {typed} FROM raw")
    cursor.execute("DROP TABLE raw")
    return [note for column in columns for note in column.notes]


def _convert(cells: Cells, column: Column, kinds: frozenset[str], declared: str) -> None:
    type_ = KINDS.get(kinds)
    if type_ == "BLOB":
        column.type, column.expression = "BLOB", f"unhex({column.place})"
    elif type_ is not None:
        column.type, column.expression = type_, f"CAST({column.place} AS {type_})"
    elif kinds == {"integer", "real"}:
        number_column(cells, column, 0, ReaderOptions())
    elif kinds == {"text"} and any(word in declared for word in ("DATE", "TIME")):
        x = column.place
        present, absent = cells.row([f"count(*) FILTER (NOT {missing(x)})", f"count(*) FILTER ({missing(x)})"])
        if present:
            date_column(cells, column, present, absent, None)
    elif len(kinds) > 1:
        column.notes.append(f"column {column.name!r} has {' and '.join(sorted(kinds))} values, and is read as text")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
