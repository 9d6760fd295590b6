"""PostgreSQL through psycopg: rows are streamed over the extended protocol, which takes one statement at a time."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar

from mcp_plugin_sql.backends.postgresql import TEXT_TYPES, PostgreSQL
from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.statement import Dialect, Statement

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Psycopg(PostgreSQL):
    """PostgreSQL through psycopg 3."""

    driver = "psycopg"
    dialect: ClassVar[Dialect] = Dialect("numeric_dollar", "pyformat")

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """An engine whose connections read the types without a Python counterpart as text."""
        from sqlalchemy import event

        options = " ".join(f"-c {name}={value}" for name, value in self.options(writing=writing).items())
        engine = self.engine(
            self.url(),
            {
                "connect_timeout": max(2, round(self.settings.connect_timeout)),
                "options": options,
                "prepare_threshold": None,
            },
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            from psycopg.types.string import TextLoader

            for name in TEXT_TYPES:
                connection.driver_connection.adapters.register_loader(name, TextLoader)

        return engine

    async def select(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Stream the rows. Unlike `execute`, `stream` never uses the simple protocol, which takes many statements."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        async with driver.cursor() as cursor, aclosing(cursor.stream(sent.text, sent.values)) as rows:
            async for row in rows:
                if not into.add(row):
                    break
            into.columns = [column.name for column in cursor.description or ()]

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Collector) -> int | None:
        """Run it as a prepared statement, which is a single one."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        async with driver.cursor() as cursor:
            driver.prepare_threshold = 0
            try:
                await cursor.execute(sent.text, sent.values, prepare=True)
            finally:
                driver.prepare_threshold = None
            if cursor.description is not None:
                into.columns = [column.name for column in cursor.description]
                async for row in cursor:
                    into.add(row)
            return None if cursor.rowcount < 0 else int(cursor.rowcount)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo SET, prepared statements, temporary tables, LISTEN and session locks."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.set_autocommit(True)
        await driver.execute("DISCARD ALL")
        await driver.set_autocommit(False)
        return True

    def failure(self, error: BaseException) -> Failure | None:
        """What one of psycopg's exceptions, bare or within SQLAlchemy's, means."""
        import psycopg

        cause = getattr(error, "orig", None) or error
        if not isinstance(cause, psycopg.Error):
            return None
        if cause.sqlstate:
            diagnosis = cause.diag
            return self.meaning(
                cause.sqlstate,
                diagnosis.message_primary or str(cause),
                diagnosis.message_detail,
                diagnosis.message_hint,
            )
        if isinstance(cause, psycopg.OperationalError):
            connected = "connection failed" not in str(cause) and "connection timeout" not in str(cause)
            return Failure("lost") if connected else Failure("unreachable", shortened(str(cause)))
        return Failure("statement", shortened(str(cause)))
