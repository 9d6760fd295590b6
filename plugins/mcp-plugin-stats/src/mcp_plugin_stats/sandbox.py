"""The DuckDB database for queries: in memory, without files or network, over read-only copies of the data files.

Every data file is read once into a database file in a private folder. The database for queries attaches these files
READ_ONLY and may open only files in that folder (`allowed_directories`, with `enable_external_access` off and
`lock_configuration` on: DuckDB's documentation, "Securing DuckDB"). So no SQL can reach the user's own files or change
the copies.
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.values import literal, quoted

if TYPE_CHECKING:
    import duckdb

THREADS = max(1, min(4, os.cpu_count() or 1))


def _config(memory_limit: str) -> dict[str, Any]:
    return {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": memory_limit,
        "threads": str(THREADS),
        "temp_directory": "",
    }


def open_sandbox(folder: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Return an empty database that can open only files in `folder`. Its settings are locked."""
    import duckdb

    connection = duckdb.connect(":memory:", config=_config(memory_limit))
    connection.execute(f"SET allowed_directories = [{literal(str(folder) + os.sep)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, name: str, copy: Path) -> None:
    """Make a copied file a view called `name`. The file's database name has a space, so no data set has this name."""
    database = quoted(f"copy {copy.stem}")
    connection.execute(f"ATTACH IF NOT EXISTS {literal(str(copy))} AS {database} (READ_ONLY)")
    connection.execute(f"CREATE OR REPLACE VIEW main.{quoted(name)} AS SELECT * FROM {database}.main.data")


class Copying:
    """Copies one data file into a database file."""

    def __init__(self, file: DatasetFile, source: Path, target: Path, memory_limit: str) -> None:
        self._file = file
        self._source = source
        self._target = target
        self._memory_limit = memory_limit
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def stop(self) -> None:
        """Interrupt the copy. It may already have ended."""
        self._stopped = True
        if self._connection is not None:
            import duckdb

            with suppress(duckdb.ConnectionException):
                self._connection.interrupt()

    def run(self) -> None:
        """Copy the file. Raises OSError or duckdb.Error; then the incomplete copy is removed."""
        import duckdb

        if self._source.is_dir():
            raise OSError("it is a folder")
        if self._source.stat().st_size == 0:
            raise OSError("the file is empty")
        self._target.unlink(missing_ok=True)
        config = _config(self._memory_limit)
        try:
            with duckdb.connect(str(self._target), config=config) as self._connection:
                if self._stopped:
                    raise OSError("reading was stopped")
                self._connection.execute(
                    f"CREATE TABLE data AS SELECT * FROM {reader(self._file)}", [glob.escape(str(self._source))]
                )
        except BaseException:
            self._target.unlink(missing_ok=True)
            raise


def reader(file: DatasetFile) -> str:
    """Return the table function that reads a file of this format. The path is its parameter."""
    match file.read_as:
        case "csv" | "tsv":
            nulls = ", ".join(literal(text) for text in file.null_values)
            # sample_size: types are found from all rows, not from the first 20,480. skip: no line is read as a
            # preamble, because then rows before an irregular row would be lost without a warning.
            options = f"sample_size = -1, skip = 0, hive_partitioning = false, nullstr = [{nulls}]"
            return f"read_csv(?, {options}{', delim = chr(9)' if file.read_as == 'tsv' else ''})"
        case "parquet":
            return "read_parquet(?, hive_partitioning = false)"
        case "json":
            return "read_json(?, hive_partitioning = false)"
        case "jsonl":
            return "read_json(?, hive_partitioning = false, format = 'newline_delimited')"
