"""Loads a data set in the worker: its files are read once into a copy, which the database for queries attaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mcp_plugin_stats.reading.copying as copying
from mcp_plugin_stats.datasets import Column, Dataset
from mcp_plugin_stats.settings import DatasetFile
from mcp_plugin_stats.sources import SourceFile
from mcp_plugin_stats.sqltext import quoted
from mcp_plugin_stats.worker import sandbox

if TYPE_CHECKING:
    from mcp_plugin_stats.worker.desk import Desk, Task


@dataclass(frozen=True)
class Load:
    """Load the files as the data set `name` into the file `copy`."""

    name: str
    file: DatasetFile
    files: Sequence[SourceFile]
    copy: Path

    def __call__(self, desk: Desk, task: Task) -> Dataset:
        """Copy and attach the files. Raises DataError, OSError or duckdb.Error; then nothing is left."""
        import duckdb

        self.copy.unlink(missing_ok=True)
        folder = self.copy.with_suffix(".reading")
        try:
            spill = {"temp_directory": str(folder.with_suffix(".spill")), "threads": "1"}
            config = sandbox.config(desk.setup.memory) | spill
            with duckdb.connect(str(self.copy), config=config) as connection:
                task.on_stop(connection.interrupt)
                notes = copying.copy(connection, self.file, self.files, folder, task.check)
        except BaseException:
            self.copy.unlink(missing_ok=True)
            raise
        with desk.connection.cursor() as cursor:
            sandbox.attach(cursor, self.name, self.copy)
            found = cursor.sql(f"FROM {quoted(self.name)}")
            columns = tuple(
                Column(name, str(kind), str(kind.id)) for name, kind in zip(found.columns, found.types, strict=True)
            )
            (rows,) = cursor.execute(f"SELECT count(*) FROM {quoted(self.name)}").fetchall()[0]
        return Dataset(self.name, int(rows), columns, tuple(notes))
