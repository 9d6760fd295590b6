"""Reads JSON and JSON Lines. The type of every field comes from all records, and large integers keep their digits."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_plugin_stats.reading.cells import Cells, Column, missing
from mcp_plugin_stats.reading.columns import number_column
from mcp_plugin_stats.reading.dates import date_column
from mcp_plugin_stats.reading.texts import as_utf8, check_text
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile
from mcp_plugin_stats.sqltext import literal, quoted

if TYPE_CHECKING:
    import duckdb

TEXTS = ("VARCHAR", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "UUID")

LARGEST_RECORD = 16 << 20
"""Most bytes of a record. DuckDB has buffers of twice this size."""

LONG_NUMBER = r"\d{16,}"


def create_from_json(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], file: DatasetFile, folder: Path
) -> list[str]:
    """Create the table `data`, and return notes on what was decided."""
    import duckdb

    paths = [as_utf8(each.path, file.encoding, folder / f"{n}.json") for n, each in enumerate(files)]
    largest = min(max(1 << 20, *(path.stat().st_size for path in paths)), LARGEST_RECORD)
    # Dates are read below, by the same rules as in CSV. With these formats DuckDB does not try others.
    options = (
        f"[{', '.join(literal(escaped(path)) for path in paths)}], maximum_object_size = {largest}, "
        "hive_partitioning = false, dateformat = '%Y-%m-%d', timestampformat = '%Y-%m-%dT%H:%M:%S'"
        + (", format = 'newline_delimited'" if file.read_as == "jsonl" else "")
        + (", filename = 'source file'" if any(each.partition for each in files) else "")
    )
    all_records = f"sample_size = -1, maximum_depth = -1, maximum_sample_files = {len(paths)}, union_by_name = true"
    try:
        found = cursor.execute(f"DESCRIBE SELECT * FROM read_json({options}, {all_records})").fetchall()
    except duckdb.InvalidInputException as error:
        if "UTF-8" in str(error):
            for path in paths:
                check_text(path)  # It raises an error with the line and a hint.
        raise
    types = {str(row[0]): str(row[1]) for row in found if row[0] != "source file"}
    partition = _partition_columns(files, paths, types)
    if _ambiguous(types) or list(types) == ["json"]:
        cursor.execute(f"CREATE TABLE data AS SELECT *{partition} FROM read_json({options}, {all_records})")
        return []
    as_read = {name: type_ if _kept(type_) else "VARCHAR" for name, type_ in types.items()}
    listed = ", ".join(f"{literal(name)}: {literal(type_)}" for name, type_ in as_read.items())
    cursor.execute(f"CREATE TEMP TABLE raw AS SELECT *{partition} FROM read_json({options}, columns = {{{listed}}})")
    columns = [Column(name, quoted(name)) for name in types]
    cells = Cells(cursor, "(SELECT 0 AS part, rowid + 1 AS line, * FROM raw)", [], "record")
    for column in columns:
        _convert(cells, column, types[column.name], file)
    extra = [quoted(name) for name in dict.fromkeys(name for each in files for name in each.partition)]
    fields = ", ".join([f"{column.sql} AS {quoted(column.name)}" for column in columns] + extra)
    cursor.execute(f"CREATE TABLE data AS SELECT {fields} FROM raw")
    cursor.execute("DROP TABLE raw")
    return [note for column in columns for note in column.notes]


def _kept(type_: str) -> bool:
    """Return whether DuckDB's own conversion to this type loses nothing."""
    nested = "(" in type_ or "[" in type_
    return type_ in ("BIGINT", "UBIGINT", "HUGEINT", "BOOLEAN") or (nested and "DOUBLE" not in type_)


def _convert(cells: Cells, column: Column, found: str, file: DatasetFile) -> None:
    """Give a field that was read as text its type."""
    x = column.place
    if _kept(found) or found == '"NULL"':
        return
    if found == "JSON":
        column.notes.append(f"column {column.name!r} has values of different kinds, and is read as text")
        return
    if found not in ("DOUBLE", *TEXTS):
        (long,) = cells.row([f"count(*) FILTER (regexp_matches({x}, '{LONG_NUMBER}'))"])
        if long:
            column.notes.append(
                f"column {column.name!r} is read as JSON text, because {long:,} of its values have numbers of 16 or "
                "more digits"
            )
        else:
            column.type, column.expression = found, f"json_transform(CAST({x} AS JSON), {literal(json.dumps(found))})"
        return
    present, absent = cells.row([f"count(*) FILTER (NOT {missing(x)})", f"count(*) FILTER ({missing(x)})"])
    if not present:
        return
    if found == "DOUBLE":
        number_column(cells, column, absent, file)
    elif found == "UUID":
        column.type, column.expression = "UUID", f"CAST({x} AS UUID)"
    else:
        date_column(cells, column, present, absent, None)


def _ambiguous(types: dict[str, str]) -> bool:
    """Return whether DuckDB has renamed keys that differ only in case, so that they cannot be read by name."""
    return any(
        (match := re.fullmatch(r"(.+)_\d+", name)) and match[1].lower() in (each.lower() for each in types)
        for name in types
    )


def _partition_columns(files: Sequence[SourceFile], paths: Sequence[Path], types: dict[str, str]) -> str:
    """Return the SQL of the columns that the folders of the files name."""
    names = dict.fromkeys(name for each in files for name in each.partition)
    if not names:
        return ""
    columns = []
    for name in names:
        cases = " ".join(
            f"WHEN {literal(str(path))} THEN {literal(each.partition[name])}"
            for each, path in zip(files, paths, strict=True)
            if each.partition.get(name)
        )
        columns.append(f'CASE "source file" {cases} END AS {quoted(name)}')
        types.pop(name, None)
    return f' EXCLUDE ("source file"), {", ".join(columns)}'


def escaped(path: Path) -> str:
    """Return the path for DuckDB, which reads paths as globs."""
    return glob.escape(str(path))
