"""Copies the files of a data set into a table `data` of a new DuckDB file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.delimited import delimited
from mcp_plugin_stats.reading.jsonfile import create_from_json, escaped
from mcp_plugin_stats.reading.spreadsheet import sheet
from mcp_plugin_stats.reading.sqlitefile import chosen_table, create_from_sqlite
from mcp_plugin_stats.reading.table import Part, collect
from mcp_plugin_stats.reading.typed import create_typed
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile
from mcp_plugin_stats.sqltext import literal, quoted

if TYPE_CHECKING:
    import duckdb


def copy(
    cursor: duckdb.DuckDBPyConnection,
    file: DatasetFile,
    files: Sequence[SourceFile],
    folder: Path,
    progress: Callable[[], None] = lambda: None,
) -> list[str]:
    """Create the table `data` in the cursor's database, and return notes on what was decided.

    `folder` is a private folder for files that are needed meanwhile. `progress` is called now and then, and raises to
    stop. Raises DataError with the reason if the files cannot be read for certain, OSError, or duckdb.Error.
    """
    for each in files:
        if each.path.is_dir():
            raise DataError("it is a folder")
        if each.path.stat().st_size == 0:
            raise DataError("the file is empty" if len(files) == 1 else f"{each.label} is empty")
    folder.mkdir()
    try:
        return _create(cursor, file, files, folder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(
    cursor: duckdb.DuckDBPyConnection,
    file: DatasetFile,
    files: Sequence[SourceFile],
    folder: Path,
    progress: Callable[[], None],
) -> list[str]:
    match file.read_as:
        case "csv" | "tsv" | "xlsx":
            parts = _parts(file, files, folder, progress)
            return create_typed(cursor, collect(cursor, parts, file, folder), file)
        case "json" | "jsonl":
            return create_from_json(cursor, files, file, folder)
        case "parquet":
            listed = ", ".join(literal(escaped(each.path)) for each in files)
            hive = "true" if any(each.partition for each in files) else "false"
            cursor.execute(
                f"CREATE TABLE data AS SELECT * FROM read_parquet([{listed}], union_by_name = true, "
                f"hive_partitioning = {hive})"
            )
            return []
        case "duckdb":
            return _from_duckdb(cursor, files[0].path, file.table)
        case "sqlite":
            return create_from_sqlite(cursor, files[0].path, file.table, folder, progress)


def _parts(file: DatasetFile, files: Sequence[SourceFile], folder: Path, progress: Callable[[], None]) -> list[Part]:
    if file.read_as == "xlsx":
        return [sheet(each, file) for each in files]
    if file.read_as == "tsv" and file.delimiter is None:
        file = file.model_copy(update={"delimiter": "\t"})
    return [delimited(each, file, folder / f"{n}.csv", progress) for n, each in enumerate(files)]


def _from_duckdb(cursor: duckdb.DuckDBPyConnection, path: Path, table: str | None) -> list[str]:
    cursor.execute(f"ATTACH {literal(str(path))} AS source (READ_ONLY)")
    try:
        rows = cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'source' ORDER BY ALL"
        ).fetchall()
        names = {str(name) if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in rows}
        schema, name = names[chosen_table(list(names), table)]
        cursor.execute(f"CREATE TABLE data AS SELECT * FROM source.{quoted(schema)}.{quoted(name)}")
    finally:
        cursor.execute("DETACH source")
    return []
