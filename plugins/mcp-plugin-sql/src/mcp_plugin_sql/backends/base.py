"""The interface of all backends, with what most of them do in the same way."""

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
"""How many rows are fetched at a time, so that a large result is never in memory completely."""


class Backend(ABC):
    """One kind of database with one driver. Reading and writing each have their own engine and pool."""

    title: ClassVar[str]
    dialect: ClassVar[Dialect]
    explaining: ClassVar[str] = "EXPLAIN "
    grace: ClassVar[float] = 2.0
    """How long the plugin waits, after the timeout, for a server that has its own statement timeout, in seconds."""

    def __init__(self, parsed: Parsed, settings: Settings, base_dir: Path) -> None:
        self.parsed = parsed
        self.settings = settings
        self.base_dir = base_dir

    @abstractmethod
    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Make the engine. It does not connect yet."""

    @abstractmethod
    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin a transaction with a timeout. Unless `writing`, the database itself makes it read-only."""

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an exception of the driver or SQLAlchemy, or None if it is not the database's."""

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """End the statement of `task` at the server. PostgreSQL's drivers do this when they are cancelled."""
        await cancel(task)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Clean the session after a caller's SQL. Returns False if the connection must not be used again."""
        return True

    async def select(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Run a statement and collect its rows."""

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
        """Collect the plan of a statement without running it."""
        await self.select(connection, replace(sent, text=self.explaining + sent.text), into)

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Collector) -> int | None:
        """Run a statement that may write, collect its rows, and return how many rows it changed, if known."""

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
        """Return the database's own names of the column types that SQLAlchemy does not know, by column."""
        return {}
