"""One read-only transaction on the database for queries, used by one thread. Another thread can stop it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mcp_plugin_stats.values import portable, to_json, type_id
from mcp_plugin_stats.worker.sandbox import too_much_memory

if TYPE_CHECKING:
    import duckdb

    from mcp_plugin_stats.worker.desk import Desk, Task

T = TypeVar("T")

UNLIMITED = 1 << 62

AT_ONCE = 20
"""How many rows are fetched at once, so that few large values are in memory."""

COLUMN = 60
"""Bytes of a column in a result besides its name and type."""

CELL = 8
"""Bytes of a cell in a result besides its value: results are indented."""

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

    def __init__(self, connection: duckdb.DuckDBPyConnection, check: Callable[[], None] = lambda: None) -> None:
        self._cursor = connection.cursor()
        self._check = check

    def interrupt(self) -> None:
        """Interrupt the running query. May be called from any thread, any number of times."""
        with contextlib.suppress(Exception):
            self._cursor.interrupt()

    def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a transaction that cannot write, and end it. Raises DataError or duckdb.Error."""
        import duckdb

        try:
            self._cursor.execute("BEGIN TRANSACTION READ ONLY").fetchall()
            return work(self)
        finally:
            with contextlib.suppress(duckdb.Error):
                self._cursor.execute("ROLLBACK")
            self._cursor.close()

    def select(self, sql: str, limit: int, most_bytes: int = UNLIMITED) -> Table:
        """Return the first rows of a SELECT, at most `limit` and about `most_bytes`, and whether there are more."""
        self._check()
        relation = self._cursor.sql(sql)
        kinds = [type_id(kind) for kind in relation.types]
        columns = list(zip(relation.columns, [str(kind) for kind in relation.types], strict=True))
        # Columns are selected by position, because names may occur twice.
        fields = ", ".join(f"{portable(f'#{n}', kind)} AS c{n}" for n, kind in enumerate(kinds, 1))
        self._cursor.execute(f"SELECT {fields} FROM ({sql}\n) LIMIT {limit + 1}")
        rows: list[list[Any]] = []
        size = sum(len(name.encode()) + len(kind) + COLUMN for name, kind in columns)
        try:
            while found := self._cursor.fetchmany(AT_ONCE):
                self._check()
                for row in found:
                    cells = [to_json(value, kind) for value, kind in zip(row, kinds, strict=True)]
                    size += len(json.dumps(cells, ensure_ascii=False).encode()) + CELL * (len(cells) + 2)
                    if len(rows) == limit or (rows and size > most_bytes):
                        return Table(columns, rows, True)
                    rows.append(cells)
        finally:
            self._cursor.abort()
        return Table(columns, rows, False)

    def row(self, sql: str) -> list[Any]:
        """Return the first row of a SELECT. There must be one."""
        return list(self.select(sql, 1).rows[0])

    def value(self, sql: str) -> Any:
        """Return the first value of a SELECT. There must be one."""
        return self.row(sql)[0]

    def parsed(self, sql: str) -> str:
        """Return the tree of DuckDB's parser as JSON."""
        self._check()
        found = self._cursor.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [sql]).fetchall()
        return str(found[0][0])


def select(session: Session, sql: str, limit: int, most_bytes: int) -> Table:
    """Return the first rows of a SELECT, as `Session.select` does."""
    return session.select(sql, limit, most_bytes)


@dataclass(frozen=True)
class InSession(Generic[T]):
    """Some work in a session of the worker."""

    work: Callable[[Session], T]

    def __call__(self, desk: Desk, task: Task) -> T:
        """Return the result of the work. Raises DataError or duckdb.Error."""
        session = Session(desk.connection, task.check)
        task.on_stop(session.interrupt)
        return session.run(self.work)


def reason(error: Exception, memory_limit: str) -> str | None:
    """Return the error of DuckDB or the file system in a few lines for a model, or None for any other exception."""
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        return too_much_memory(memory_limit)
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return "DuckDB had an internal error: write the query in another way."
    if isinstance(error, duckdb.Error):
        text = re.sub(r"\n\s*\n+", "\n", str(error).strip())
        if "bad allocation" in text or "bad_alloc" in text or "failed to allocate" in text.lower():
            return too_much_memory(memory_limit)
        # The advice is about options of DuckDB, which the settings do not have.
        text = re.split(r"\n(?:Possible (?:Solution|fix)|Try |\* Set |LINE )", text, maxsplit=1, flags=re.IGNORECASE)[0]
        text = re.sub(r"^(?:\w+ ){1,2}Error: ", "", text)
        return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rsplit(None, 1)[0] + " ..."
    if isinstance(error, OSError):
        return f"{error.strerror or error}."
    return None
