"""The DuckDB database for queries: in memory, without files or network, over read-only copies of the data files.

Every data file is read once into a database file in a private folder. The database for queries attaches these files
READ_ONLY and may open only files in that folder (`allowed_directories`, with `enable_external_access` off and
`lock_configuration` on: DuckDB's documentation, "Securing DuckDB"). So no SQL can reach the user's own files or change
the copies.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_plugin_stats.sqltext import literal, quoted

if TYPE_CHECKING:
    import duckdb

SHARE = 0.4
"""Which part of the process's memory DuckDB may use for what it counts. The rest is for what it does not count."""

THREADS = max(1, min(4, os.cpu_count() or 1))


def config(memory: int) -> dict[str, Any]:
    """Return the settings of DuckDB in a process that may grow by `memory` bytes."""
    return {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": f"{int(memory * SHARE / 1e6)}MB",
        "threads": str(THREADS),
        "temp_directory": "",
    }


def too_much_memory(memory_limit: str) -> str:
    """Return the error for the caller when the memory is not enough."""
    return f"It needs more memory than memory_limit allows ({memory_limit}): reduce the data, or raise that setting."


def open_sandbox(folder: Path, memory: int) -> duckdb.DuckDBPyConnection:
    """Return an empty database that can open only files in `folder`. Its settings are locked."""
    import duckdb

    connection = duckdb.connect(":memory:", config=config(memory))
    connection.execute(f"SET allowed_directories = [{literal(str(folder) + os.sep)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, name: str, copy: Path) -> None:
    """Make a copied file a view called `name`. The file's database name has a space, so no data set has this name."""
    database = quoted(f"copy {copy.stem}")
    connection.execute(f"ATTACH IF NOT EXISTS {literal(str(copy))} AS {database} (READ_ONLY)")
    connection.execute(f"CREATE OR REPLACE VIEW main.{quoted(name)} AS SELECT * FROM {database}.main.data")
