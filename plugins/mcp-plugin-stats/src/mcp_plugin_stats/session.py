"""One read-only transaction on the database for queries, used by one thread. Another thread can stop it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_host import ToolError
from mcp_plugin_stats.values import portable, to_json

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

LONGEST_REASON = 400
"""The most characters of DuckDB's messages in an error."""


@dataclass(frozen=True)
class Table:
    """The rows of a query as JSON values. `columns` are names and types."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    truncated: bool


class Session:
    """A cursor for one thread: threads may not share a connection of DuckDB, but each may have a cursor."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, memory_limit: str) -> None:
        self.fatal = False
        self._cursor = connection.cursor()
        self._memory_limit = memory_limit
        self._stopped = False

    def stop(self) -> None:
        """Interrupt the running query, and start no more. May be called from any thread, any number of times."""
        self._stopped = True
        with contextlib.suppress(Exception):
            self._cursor.interrupt()

    def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that cannot write, and end it. Raises ToolError for DuckDB's errors."""
        import duckdb

        try:
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
            return work(self)
        except duckdb.Error as error:
            self.fatal = isinstance(error, duckdb.InternalException | duckdb.FatalException)
            raise ToolError(reason(error, self._memory_limit) or "DuckDB failed.") from None
        finally:
            with contextlib.suppress(duckdb.Error):
                self._cursor.execute("ROLLBACK")
            self._cursor.close()

    def select(self, sql: str, limit: int) -> Table:
        """Return the first `limit` rows of a SELECT, and whether there are more."""
        relation = self._relation(sql)
        kinds = [str(kind.id) for kind in relation.types]
        columns = list(zip(relation.columns, [str(kind) for kind in relation.types], strict=True))
        # Columns are selected by position, because names may occur twice.
        fields = ", ".join(f"{portable(f'#{n}', kind)} AS c{n}" for n, kind in enumerate(kinds, 1))
        rows = relation.limit(limit + 1).project(fields).fetchall()
        cells = [[to_json(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows[:limit]]
        return Table(columns, cells, len(rows) > limit)

    def row(self, sql: str) -> list[Any]:
        """Return the first row of a SELECT. There must be one."""
        return list(self.select(sql, 1).rows[0])

    def value(self, sql: str) -> Any:
        """Return the first value of a SELECT. There must be one."""
        return self.row(sql)[0]

    def columns(self, sql: str) -> list[tuple[str, str, str]]:
        """Return name, type and kind (the type without parameters) of each column of a SELECT."""
        relation = self._relation(sql)
        kinds = relation.types
        return [(name, str(kind), str(kind.id)) for name, kind in zip(relation.columns, kinds, strict=True)]

    def _relation(self, sql: str) -> duckdb.DuckDBPyRelation:
        if self._stopped:
            raise ToolError("The call was stopped.")
        return self._cursor.sql(sql)


def reason(error: Exception, memory_limit: str) -> str | None:
    """Return the error of DuckDB or the file system in a few lines for a model, or None for any other exception."""
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        return (
            f"It needs more memory than memory_limit allows ({memory_limit}): reduce the data, or raise that setting."
        )
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return "DuckDB had an internal error: write the query in another way."
    if isinstance(error, duckdb.Error):
        text = re.sub(r"\n\s*\n+", "\n", str(error).strip())
        text = re.sub(r"^(?:\w+ ){1,2}Error: ", "", text)
        return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rsplit(None, 1)[0] + " ..."
    if isinstance(error, OSError):
        return f"{error.strerror or error}."
    return None
