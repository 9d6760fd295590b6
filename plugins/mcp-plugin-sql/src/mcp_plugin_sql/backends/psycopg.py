"""PostgreSQL with psycopg, always over the extended protocol, which accepts one statement at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from mcp_plugin_sql.backends.base import BATCH
from mcp_plugin_sql.backends.postgresql import TEXT_TYPES, PostgreSQL
from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.statement import Dialect, Statement

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

NEVER: Final = 2**31
"""After how many uses psycopg prepares a statement by itself. None would disable prepared statements."""


class Psycopg(PostgreSQL):
    """PostgreSQL with psycopg 3."""

    driver = "psycopg"
    dialect: ClassVar[Dialect] = Dialect("numeric_dollar", "pyformat")

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Return an engine whose connections read types without a Python counterpart as text."""
        from sqlalchemy import event

        options = " ".join(f"-c {name}={value}" for name, value in self.options(writing=writing).items())
        engine = self.engine(
            self.url(),
            {
                "connect_timeout": max(2, round(self.settings.connect_timeout)),
                "options": options,
                "prepare_threshold": NEVER,
            },
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            from psycopg.types.string import TextLoader

            for name in TEXT_TYPES:
                connection.driver_connection.adapters.register_loader(name, TextLoader)

        return engine

    async def select(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Read with a cursor at the server, so that a large result never arrives completely.

        What no cursor can be declared for, SHOW and EXPLAIN say, is a syntax error then, and run as it is.
        """
        import psycopg

        driver = await _driver(connection)
        try:
            async with psycopg.AsyncServerCursor(driver, "mcp") as cursor:
                await cursor.execute(sent.text, sent.values)
                into.columns = [column.name for column in cursor.description or ()]
                while batch := await cursor.fetchmany(BATCH):
                    for row in batch:
                        if not into.add(row):
                            return
        except (psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported):
            if into.columns:
                raise
            await connection.rollback()
            await self.begin(connection, writing=False)
            await self.execute(connection, sent, into)

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Collector) -> int | None:
        """Run the text as a prepared statement, which must be a single statement."""
        driver = await _driver(connection)
        async with driver.cursor() as cursor:
            await cursor.execute(sent.text, sent.values, prepare=True)
            if cursor.description is not None:
                into.columns = [column.name for column in cursor.description]
                async for row in cursor:
                    into.add(row)
            return None if cursor.rowcount < 0 else int(cursor.rowcount)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo SET, prepared statements, temporary tables, LISTEN and session locks."""
        driver = await _driver(connection)
        await driver.set_autocommit(True)
        await driver.execute("DISCARD ALL")
        await driver.set_autocommit(False)
        return True

    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an exception of psycopg, also if SQLAlchemy has wrapped it."""
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


async def _driver(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """Return psycopg's own connection below SQLAlchemy's."""
    raw = await connection.get_raw_connection()
    return cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
