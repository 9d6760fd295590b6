"""SQLite: the file is opened with mode=ro, and an authorizer prevents a statement from using any other file.

Sources: SQLite's "URI Filenames", "Compile-Time Authorization Callbacks", "Limits".
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import aiosqlite
import anyio
import anyio.to_thread

from mcp_plugin_sql.backends.base import Backend, Place, TableRow
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.metering import LARGEST_BATCH
from mcp_plugin_sql.statement import Dialect
from mcp_plugin_sql.target import file_of
from mcp_plugin_sql.values import LONGEST_BYTES, Bytes, Text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

AGAIN: Final = 0.05
"""Seconds between two interrupts. They are repeated, because one just before a statement starts has no effect."""

LONGEST_LOCK: Final = 5.0
"""Seconds to wait for another process's lock on the file."""

LARGEST_VALUE: Final = 20_000_000
"""The most bytes of one value or row. Without it, `zeroblob(1000000000)` would use a gigabyte of memory."""

HEAP_SHARE: Final = 3
"""SQLite itself may use `max_memory / HEAP_SHARE`, in all its connections of this process together."""

TABLE_PRAGMAS: Final = frozenset(
    ("foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo")
)
"""Pragmas that describe the table or index in their argument."""

PLAIN_PRAGMAS: Final = frozenset(
    (
        *("application_id", "collation_list", "compile_options", "encoding", "foreign_keys", "freelist_count"),
        *("function_list", "journal_mode", "page_count", "page_size", "pragma_list", "read_uncommitted"),
        *("data_version", "schema_version", "user_version"),
    )
)
"""Pragmas that only read when they have no argument."""

READING: Final = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)

PREPARED: Final = frozenset((sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE))
"""Statements that full-text and R-tree indexes prepare when they are only read. mode=ro refuses to run them."""

TABLES_QUERY: Final = """
SELECT name, CASE type WHEN 'view' THEN 'view' ELSE 'table' END FROM pragma_table_list
WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
OLD_TABLES_QUERY: Final = """
SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
"""For SQLite before 3.37, which does not know the tables behind a full-text index."""


def may_read(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    """SQLite's authorizer for reading: allows a SELECT and the pragmas that only read.

    The file is opened read-only, so that nothing in it can be changed. This refuses the other files, temporary tables
    and the process's settings.
    """
    if action == sqlite3.SQLITE_PRAGMA:
        known = TABLE_PRAGMAS if second is not None else PLAIN_PRAGMAS | TABLE_PRAGMAS
        return sqlite3.SQLITE_OK if str(first).lower() in known else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() == "load_extension":
        return sqlite3.SQLITE_DENY
    if action in PREPARED and database in ("main", None):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


def may_write(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    """SQLite's authorizer for writing: allows everything within the file, but no change of SQLite's configuration."""
    if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA:
        changing = second is not None and str(first).lower() in ("application_id", "user_version")
        return sqlite3.SQLITE_OK if changing else may_read(action, first, second, database, source)
    if action == sqlite3.SQLITE_FUNCTION:
        return may_read(action, first, second, database, source)
    return sqlite3.SQLITE_OK


class StoppableConnection(aiosqlite.Connection):
    """A connection of aiosqlite that may be stopped while it is closing.

    SQLAlchemy does this if a statement ignores an interrupt. The second stop would wait for ever for a thread that has
    ended. The thread is a daemon, because a host that stops must not wait for a statement.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=LARGEST_BATCH)
        self._thread.daemon = True
        self._stopping = False

    def stop(self) -> asyncio.Future[Any] | None:
        """End the thread, once."""
        if self._stopping:
            return None
        self._stopping = True
        return super().stop()


class SQLite(Backend):
    """A SQLite file with aiosqlite, which runs each connection in its own thread."""

    title = "SQLite"
    dialect: ClassVar[Dialect] = Dialect("qmark", "qmark")
    explaining = "EXPLAIN QUERY PLAN "
    grace = 0.0
    unknown_table = r"no such table: (?:main\.)?(.+)"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.path = file_of(self.parsed, self.base_dir)

    def open_engine(self, *, writing: bool, whole: bool = False) -> AsyncEngine:
        """Return an engine that drops a connection if the file was replaced meanwhile."""
        from sqlalchemy import event, exc
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        async def connect() -> aiosqlite.Connection:
            return await self._connect(writing=writing, whole=whole)

        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=connect,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=self.settings.pool_size,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout,
            hide_parameters=True,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(_: Any, record: Any) -> None:
            record.info["file"] = self._identity()

        @event.listens_for(engine.sync_engine, "checkout")
        def checked_out(_: Any, record: Any, __: Any) -> None:
            if record.info.get("file") != self._identity():
                raise exc.DisconnectionError("the file was replaced")

        return engine

    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin a transaction for writing, so that DDL can be undone. A statement that reads needs none."""
        if writing:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def tables(self, connection: AsyncConnection) -> list[TableRow]:
        """Return the tables and views of the file, without those behind a full-text or R-tree index."""
        query = TABLES_QUERY if sqlite3.sqlite_version_info >= (3, 37) else OLD_TABLES_QUERY
        rows = await connection.exec_driver_sql(query)
        return [("main", name, kind, True) for name, kind in map(tuple, rows)]

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """Interrupt the statement until it has ended. If only the task was cancelled, its thread would go on."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        while not task.done():
            await driver.interrupt()
            await asyncio.wait({task}, timeout=AGAIN)

    def failure(self, error: BaseException) -> Failure | None:
        """What one of sqlite3's exceptions means, by its extended error code."""
        error = getattr(error, "orig", None) or error
        if isinstance(error, MemoryError):
            most = self.settings.max_memory // HEAP_SHARE
            return Failure("statement", f"the statement needs more than {most} MiB of memory (see max_memory)")
        if not isinstance(error, sqlite3.Error):
            return None
        text, code = shortened(str(error)), getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN or self.path.is_dir():
            return Failure("unreachable", f"{self._why_not()} (the setting `url` says where it is)")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR):
            return Failure("unreachable", text)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Failure("busy", f"another process has locked the file ({text})")
        if code == sqlite3.SQLITE_INTERRUPT:
            return Failure("timeout")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH) or "prohibited" in text:
            return Failure("read-only", text)
        return Failure("statement", text)

    async def _connect(self, *, writing: bool, whole: bool) -> aiosqlite.Connection:
        connecting = StoppableConnection(lambda: self._open(writing=writing, whole=whole))
        try:
            return await connecting
        except BaseException:
            # Its thread still uses the event loop, which may end with this call.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(connecting._thread.join)  # noqa: SLF001 - the driver has no other way
            raise

    def _open(self, *, writing: bool, whole: bool) -> sqlite3.Connection:
        """Open the file so that SQLite itself refuses what is not allowed. Runs in the connection's thread."""
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={'rwc' if writing else 'ro'}",
            uri=True,
            # Half of the time, so that a locked file is reported before the statement's time is over.
            timeout=min(self.settings.statement_timeout / 2, LONGEST_LOCK),
            isolation_level=None,
        )
        try:
            self._restrict(connection, writing=writing, whole=whole)
        except BaseException:
            connection.close()
            raise
        return connection

    def _restrict(self, connection: sqlite3.Connection, *, writing: bool, whole: bool) -> None:
        # The first statement reads the file's header, so that a file of another kind is an error here.
        connection.execute("PRAGMA schema_version")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.execute(f"PRAGMA hard_heap_limit = {self.settings.max_memory * 2**20 // HEAP_SHARE}")
        connection.text_factory = _replaced if whole else Text.of
        connection.row_factory = None if whole else _shortened
        if writing:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.set_authorizer(may_write)
        else:
            connection.execute("PRAGMA query_only = ON")
            connection.set_authorizer(may_read)

    def _why_not(self) -> str:
        if self.path.is_dir():
            return "it is a folder"
        return "it cannot be opened" if self.path.exists() else "there is no such file"

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino


def _replaced(data: bytes) -> str:
    """Return a whole text. Bytes that are not UTF-8 become U+FFFD."""
    return data.decode("utf-8", "replace")


def _shortened(_: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row of which the long binary values are only the beginning."""
    return tuple(
        Bytes(value[:LONGEST_BYTES], len(value)) if isinstance(value, bytes) and len(value) > LONGEST_BYTES else value
        for value in row
    )
