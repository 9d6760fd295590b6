"""The DuckDB database that answers: in memory, without files or network, over read-only copies of the data files.

Every data file is read once, by `copy_file`, into a database file in a private folder; the answering database attaches
these READ_ONLY and may open files in that folder only (`allowed_directories`, with `enable_external_access` off and
`lock_configuration` on: DuckDB's documentation, "Securing DuckDB"). So whatever SQL is run, the user's own
files are out of its reach and the copies cannot be changed.
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
    """An empty database that can open nothing but what is in `folder`, and whose settings are locked."""
    import duckdb

    connection = duckdb.connect(":memory:", config=_config(memory_limit))
    connection.execute(f"SET allowed_directories = [{literal(str(folder) + os.sep)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, name: str, copy: Path) -> None:
    """Make a copied file a view called `name`. The database's own name has a space, so no data set can have it."""
    database = quoted(f"copy {copy.stem}")
    connection.execute(f"ATTACH IF NOT EXISTS {literal(str(copy))} AS {database} (READ_ONLY)")
    connection.execute(f"CREATE OR REPLACE VIEW main.{quoted(name)} AS SELECT * FROM {database}.main.data")


class Copying:
    """One data file on its way into a database file of its own."""

    def __init__(self, file: DatasetFile, source: Path, target: Path, memory_limit: str) -> None:
        self._file = file
        self._source = source
        self._target = target
        self._memory_limit = memory_limit
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._stopped = False

    def stop(self) -> None:
        """Interrupt the reading, wherever it is: it may just have ended."""
        self._stopped = True
        if self._connection is not None:
            import duckdb

            with suppress(duckdb.ConnectionException):
                self._connection.interrupt()

    def run(self) -> None:
        """Copy the file. Raises OSError or duckdb.Error, and leaves no half copy behind."""
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
    """The table function that reads a file of this format; the path is its parameter."""
    match file.read_as:
        case "csv" | "tsv":
            nulls = ", ".join(literal(text) for text in file.null_values)
            # sample_size: types are found from all rows, not the first 20,480. skip: no line is taken for a preamble,
            # which would lose the rows before a ragged one without a word.
            options = f"sample_size = -1, skip = 0, hive_partitioning = false, nullstr = [{nulls}]"
            return f"read_csv(?, {options}{', delim = chr(9)' if file.read_as == 'tsv' else ''})"
        case "parquet":
            return "read_parquet(?, hive_partitioning = false)"
        case "json":
            return "read_json(?, hive_partitioning = false)"
        case "jsonl":
            return "read_json(?, hive_partitioning = false, format = 'newline_delimited')"
