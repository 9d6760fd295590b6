"""The interface of all backends, with what most of them do in the same way."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mcp_plugin_sql.bounded import cancel
from mcp_plugin_sql.collecting import Sink
from mcp_plugin_sql.failures import Failure
from mcp_plugin_sql.metering import SHARE, Meter
from mcp_plugin_sql.settings import DatabaseSettings, Settings
from mcp_plugin_sql.statement import Dialect, Statement
from mcp_plugin_sql.target import Parsed

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

TableRow = tuple[str, str, str, bool]
"""A table: its schema, its name, `table` or `view`, and whether the schema is the default one."""


@dataclass(frozen=True)
class Place:
    """A database's URL and settings, the plugin's settings, and the folder of mcp-host.toml."""

    parsed: Parsed
    own: DatabaseSettings
    settings: Settings
    base_dir: Path

    @property
    def password(self) -> str | None:
        """The password, in clear text."""
        return self.own.password.get_secret_value() if self.own.password else None


class Backend(ABC):
    """One kind of database with one driver. Reading and writing each have their own engine and pool."""

    title: ClassVar[str]
    dialect: ClassVar[Dialect]
    explaining: ClassVar[str] = "EXPLAIN "
    analyzing: ClassVar[str] = ""
    """What runs a statement and shows its plan with the real figures. Empty if the database has no such statement."""
    grace: ClassVar[float] = 2.0
    """How long the plugin waits, after the timeout, for a server that has its own statement timeout, in seconds."""
    unknown_table: ClassVar[str]
    """A regular expression that finds the table's name in the error about a table that does not exist."""

    def __init__(self, place: Place) -> None:
        self.parsed = place.parsed
        self.own = place.own
        self.settings = place.settings
        self.base_dir = place.base_dir
        self.password = place.password
        self.single = False
        """Whether a pooler allows no transaction of several statements."""

    @abstractmethod
    def open_engine(self, *, writing: bool, whole: bool = False) -> AsyncEngine:
        """Make the engine. It does not connect yet. Without `whole`, long values may be cut when they are read."""

    @abstractmethod
    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin a transaction with a timeout. Unless `writing`, the database itself makes it read-only."""

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an exception of the driver or SQLAlchemy, or None if it is not the database's."""

    @abstractmethod
    async def tables(self, connection: AsyncConnection) -> list[TableRow]:
        """Return all tables and views."""

    def meter(self) -> Meter:
        """Return a meter for one connection."""
        return Meter(self.settings.max_memory * 2**20 // SHARE)

    async def meter_of(self, connection: AsyncConnection) -> Meter | None:
        """Return the meter of a connection, or None if it has none."""
        raw = await connection.get_raw_connection()
        return getattr(raw.driver_connection, "meter", None)

    async def too_powerful(self, connection: AsyncConnection) -> str | None:
        """Return why the connection's role can do more than a read-only transaction prevents, or None."""
        return None

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """End the statement of `task` at the server. PostgreSQL's drivers do this when they are cancelled."""
        await cancel(task)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Clean the session after a caller's SQL. Returns False if the connection must not be used again."""
        return True

    async def select(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        """Run a statement and collect its rows."""
        meter = await self.meter_of(connection) or self.meter()

        def read(sync: Connection) -> None:
            meter.restart()
            result = sync.exec_driver_sql(
                sent.text, sent.values, {"stream_results": True, "no_parameters": sent.values is None}
            )
            try:
                if not result.returns_rows:
                    return
                into.begin(list(result.keys()))
                while batch := result.fetchmany(meter.next_batch()):
                    for row in batch:
                        if not into.add(row):
                            return
            finally:
                if not meter.exceeded:
                    result.close()

        await connection.run_sync(read)

    async def explain(self, connection: AsyncConnection, sent: Statement, into: Sink, *, analyze: bool) -> None:
        """Collect the plan of a statement. With `analyze` it is run, still read-only, for the real figures."""
        prefix = self.analyzing if analyze else self.explaining
        await self.select(connection, replace(sent, text=prefix + sent.text), into)

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Sink) -> int | None:
        """Run a statement that may write, collect its rows, and return how many rows it changed, if known."""

        def run(sync: Connection) -> int | None:
            result = sync.exec_driver_sql(sent.text, sent.values, {"no_parameters": sent.values is None})
            if result.returns_rows:
                into.begin(list(result.keys()))
                rows = result.fetchall()
                for row in rows:
                    into.add(row)
                return len(rows) if result.rowcount < 0 else result.rowcount
            return None if result.rowcount < 0 else int(result.rowcount)

        return await connection.run_sync(run)

    async def unknown_types(self, connection: AsyncConnection, table: str, schema: str | None) -> dict[str, str]:
        """Return the database's own names of the column types that SQLAlchemy does not know, by column."""
        return {}
