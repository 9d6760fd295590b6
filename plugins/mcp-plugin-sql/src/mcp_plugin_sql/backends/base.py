"""What every kind of database must be able to do, and what most do in the same way."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcp_plugin_sql.bounded import cancel
from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.failures import Failure
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.statement import Dialect, Statement
from mcp_plugin_sql.target import Parsed

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH: Final = 50
"""Rows that are fetched at a time, so that a large result is never in memory as a whole."""


class Backend(ABC):
    """One kind of database through one driver. Reading and writing each have an engine, and so a pool, of their own."""

    title: ClassVar[str]
    dialect: ClassVar[Dialect]
    explaining: ClassVar[str] = "EXPLAIN "
    grace: ClassVar[float] = 2.0
    """Seconds that a server which watches its own statement timeout gets before the plugin stops the statement."""

    def __init__(self, parsed: Parsed, settings: Settings, base_dir: Path) -> None:
        self.parsed = parsed
        self.settings = settings
        self.base_dir = base_dir

    @abstractmethod
    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Make the engine; nothing is connected yet."""

    @abstractmethod
    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin a transaction that the database itself keeps from writing, unless `writing`, and that times out."""

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """What an exception of the driver's, or SQLAlchemy's, means; None when it is not the database's."""

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """End the statement that runs in `task` at the server. PostgreSQL's drivers do so when they are cancelled."""
        await cancel(task)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo what a caller's SQL may have left in the session. False when the connection must not be used again."""
        return True

    async def select(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Run a statement and collect its rows as they come."""

        def read(sync: Connection) -> None:
            result = sync.exec_driver_sql(
                sent.text, sent.values, {"stream_results": True, "no_parameters": sent.values is None}
            )
            try:
                if not result.returns_rows:
                    return
                into.columns = list(result.keys())
                while batch := result.fetchmany(BATCH):
                    for row in batch:
                        if not into.add(row):
                            return
            finally:
                result.close()

        await connection.run_sync(read)

    async def explain(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Collect the plan of a statement, which is not run."""
        await self.select(connection, replace(sent, text=self.explaining + sent.text), into)

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Collector) -> int | None:
        """Run a statement that may write, collect what it returns, and say how many rows it changed, where known."""

        def run(sync: Connection) -> int | None:
            result = sync.exec_driver_sql(sent.text, sent.values, {"no_parameters": sent.values is None})
            if result.returns_rows:
                into.columns = list(result.keys())
                rows = result.fetchall()
                for row in rows:
                    into.add(row)
                return len(rows) if result.rowcount < 0 else result.rowcount
            return None if result.rowcount < 0 else int(result.rowcount)

        return await connection.run_sync(run)

    async def unknown_types(self, connection: AsyncConnection, table: str, schema: str | None) -> dict[str, str]:
        """The database's own names of the column types that SQLAlchemy does not know, by column."""
        return {}
