"""Writes the result of a query to a CSV or Parquet file."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.sqltext import literal

if TYPE_CHECKING:
    from mcp_plugin_stats.worker.desk import Desk, Task


@dataclass(frozen=True)
class Export:
    """Write all rows of an allowed query to a new file. Its suffix is the format."""

    sql: str
    target: Path

    def __call__(self, desk: Desk, task: Task) -> int:
        """Return the number of rows. Raises DataError if the file exists, OSError or duckdb.Error.

        The database can write only in its private folder, so the file is made there and then moved.
        """
        handle, name = tempfile.mkstemp(suffix=self.target.suffix, dir=desk.setup.folder)
        os.close(handle)
        made = Path(name)
        try:
            with desk.connection.cursor() as cursor:
                task.on_stop(cursor.interrupt)
                options = "FORMAT parquet" if self.target.suffix == ".parquet" else "FORMAT csv, HEADER"
                (rows,) = cursor.execute(f"COPY ({self.sql}\n) TO {literal(name)} ({options})").fetchall()[0]
            self._publish(made)
        finally:
            made.unlink(missing_ok=True)
        return int(rows)

    def _publish(self, made: Path) -> None:
        """Copy the file to its place. It is complete when it has its name, and it replaces no other file."""
        handle, name = tempfile.mkstemp(prefix=".mcp-stats-", dir=self.target.parent)
        try:
            with os.fdopen(handle, "wb") as copy, made.open("rb") as content:
                shutil.copyfileobj(content, copy)
            os.chmod(name, 0o644)
            os.link(name, self.target)
        except FileExistsError:
            raise DataError(f"There is already a file {self.target.name}: choose another name.") from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
