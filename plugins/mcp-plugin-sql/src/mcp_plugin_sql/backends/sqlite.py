"""SQLite: the file is opened with mode=ro, and an authorizer prevents a statement from using any other file.

Sources: SQLite's "URI Filenames", "Compile-Time Authorization Callbacks", "Limits".
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import aiosqlite
import anyio
import anyio.to_thread

from mcp_plugin_sql.backends.base import BATCH, Backend
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.statement import Dialect
from mcp_plugin_sql.target import Parsed, file_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

AGAIN: Final = 0.05
"""Seconds between two interrupts. They are repeated, because one just before a statement starts has no effect."""

LONGEST_LOCK: Final = 5.0
"""Seconds to wait for another process's lock on the file."""

LARGEST_VALUE: Final = 50_000_000
"""The most bytes of one value or row. Without it, `zeroblob(1000000000)` would use a gigabyte of memory."""

TABLE_PRAGMAS: Final = frozenset(
    ("foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo")
)
"""Pragmas that describe the table or index in their argument."""

PLAIN_PRAGMAS: Final = frozenset(
    (
        *("application_id", "collation_list", "compile_options", "encoding", "foreign_keys", "freelist_count"),
        *("function_list", "journal_mode", "page_count", "page_size", "pragma_list", "read_uncommitted"),
        *("schema_version", "user_version"),
    )
)
"""Pragmas that only read when they have no argument."""

READING: Final = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)


def may_read(action: int, first: str | None, second: str | None, database: str | None, source: str | None) -> int:
    """SQLite's authorizer for reading: allows a SELECT and the pragmas that only read."""
    if action == sqlite3.SQLITE_PRAGMA:
        known = TABLE_PRAGMAS if second is not None else PLAIN_PRAGMAS | TABLE_PRAGMAS
        return sqlite3.SQLITE_OK if str(first).lower() in known else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() == "load_extension":
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master" and source is None:
        # SQLite asks for this when it declares a pragma as a table. mode=ro refuses a caller's own UPDATE.
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
        super().__init__(connector, iter_chunk_size=BATCH)
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

    def __init__(self, parsed: Parsed, settings: Settings, base_dir: Path) -> None:
        super().__init__(parsed, settings, base_dir)
        self.path = file_of(parsed, base_dir)

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Return an engine that drops a connection if the file was replaced meanwhile."""
        from sqlalchemy import event, exc
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        async def connect() -> aiosqlite.Connection:
            return await self._connect(writing=writing)

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
        if not isinstance(error, sqlite3.Error):
            return None
        text, code = shortened(str(error)), getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN:
            why = "it cannot be opened" if self.path.exists() else "there is no such file"
            return Failure("unreachable", f"{why} (the setting `url` says where it is)")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR):
            return Failure("unreachable", text)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Failure("busy", f"another process has locked the file ({text})")
        if code == sqlite3.SQLITE_INTERRUPT:
            return Failure("timeout")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH) or "prohibited" in text:
            return Failure("read-only", text)
        return Failure("statement", text)

    async def _connect(self, *, writing: bool) -> aiosqlite.Connection:
        connecting = StoppableConnection(lambda: self._open(writing=writing))
        try:
            return await connecting
        except BaseException:
            # Its thread still uses the event loop, which may end with this call.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(connecting._thread.join)  # noqa: SLF001 - the driver has no other way
            raise

    def _open(self, *, writing: bool) -> sqlite3.Connection:
        """Open the file so that SQLite itself refuses what is not allowed. Runs in the connection's thread."""
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={'rwc' if writing else 'ro'}",
            uri=True,
            timeout=min(self.settings.statement_timeout, LONGEST_LOCK),
            isolation_level=None,
        )
        try:
            _restrict(connection, writing)
        except BaseException:
            connection.close()
            raise
        return connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(self.path)
        except OSError:
            return None
        return stat.st_dev, stat.st_ino


def _restrict(connection: sqlite3.Connection, writing: bool) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    if writing:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.set_authorizer(may_write)
    else:
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(may_read)
