"""MySQL and MariaDB with aiomysql: read-only transactions, one statement per text, and KILL QUERY to stop it.

Sources: MySQL's documentation of START TRANSACTION, max_execution_time, KILL; MariaDB's of max_statement_time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcp_host import ToolError
from mcp_plugin_sql.backends.base import Backend
from mcp_plugin_sql.collecting import COUNTED, Collector
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.statement import Dialect, Statement

if TYPE_CHECKING:
    import aiomysql  # type: ignore[import-untyped]
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MULTI_STATEMENTS: Final = 1 << 16
"""The protocol's capability that allows several statements in one text. aiomysql always requests it."""

READ_ONLY: Final = frozenset((1792, 1290, 1836))
STOPPED: Final = frozenset((3024, 1969, 1317))
LOCKED: Final = frozenset((1205, 1213))
UNREACHABLE: Final = frozenset((1040, 1044, 1045, 1049, 1130, 1203, 2002, 2003, 2005))
LOST: Final = frozenset((0, 1053, 1077, 1927, 2006, 2013, 2014))
SYNTAX: Final = 1064
NO_SHOW_VIEW: Final = 1345
"""EXPLAIN needs the privilege SHOW VIEW. With this error, the statement was parsed and can be explained."""


class MySQL(Backend):
    """MySQL or MariaDB."""

    title = "MySQL"
    dialect: ClassVar[Dialect] = Dialect("pyformat", "pyformat")

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Return an engine whose connections accept only single statements."""
        from sqlalchemy import URL
        from sqlalchemy.ext.asyncio import create_async_engine

        url = URL.create("mysql+aiomysql", host=self.parsed.host, database=self.parsed.database or None)
        return create_async_engine(
            url,
            async_creator=self._connect,
            pool_size=self.settings.pool_size,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """START TRANSACTION READ ONLY, with a timeout for each statement and a limit on the rows sent."""
        seconds = self.settings.statement_timeout
        if getattr(connection.dialect, "is_mariadb", False):
            timeout = f"max_statement_time = {seconds:.3f}"
        else:
            timeout = f"max_execution_time = {max(1, round(seconds * 1000))}"
        await connection.exec_driver_sql(f"SET SESSION {timeout}")
        if not writing:
            # The protocol cannot end a result early. Without this limit, a large result would be read to its end.
            await connection.exec_driver_sql(f"SET SESSION sql_select_limit = {self.settings.max_rows + COUNTED + 2}")
            # If a statement ends the transaction, as DDL does in MariaDB, the next one is read-only, too.
            await connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        await connection.exec_driver_sql(f"START TRANSACTION READ {'WRITE' if writing else 'ONLY'}")

    async def select(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Run a statement if the server can explain it. If it cannot, it is neither a SELECT nor a change of rows.

        A read-only transaction refuses to change rows, but it allows other statements. MariaDB commits it for a
        compound statement (BEGIN NOT ATOMIC), and leaves it for SET STATEMENT ... FOR.
        """
        try:
            await self.explain(connection, sent, Collector(1, 1))
        except Exception as error:
            number, text = _number_and_text(error)
            if number == SYNTAX:
                raise ToolError(f"Only a SELECT can run here. MySQL says: {text}") from None
            if number != NO_SHOW_VIEW:
                raise
        await super().select(connection, sent, into)

    async def explain(self, connection: AsyncConnection, sent: Statement, into: Collector) -> None:
        """Collect the plan of a statement without running it."""
        await super().select(connection, replace(sent, text=self.explaining + sent.text), into)

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """Send KILL QUERY over another connection, because the protocol has no cancel message."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        killer = await self._connect()
        try:
            while not task.done():
                await killer.query(f"KILL QUERY {int(driver.thread_id())}")
                await asyncio.wait({task}, timeout=1)
        finally:
            killer.close()

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Return False: session variables, temporary tables and locks end only with the session."""
        return False

    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an error of MySQL, by its number."""
        number, text = _number_and_text(error)
        if number is None:
            return None
        if number in READ_ONLY:
            return Failure("read-only", text)
        if number in STOPPED:
            return Failure("timeout", text)
        if number in LOCKED:
            return Failure("busy", text)
        if number in UNREACHABLE:
            return Failure("unreachable", text)
        if number in LOST:
            return Failure("lost")
        return Failure("statement", text)

    async def _connect(self) -> aiomysql.Connection:
        import aiomysql

        password = self.settings.password
        connection = aiomysql.Connection(
            host=self.parsed.host or "localhost",
            port=self.parsed.port or 3306,
            user=self.parsed.user,
            password=password.get_secret_value() if password else "",
            db=self.parsed.database or None,
            charset="utf8mb4",
            connect_timeout=self.settings.connect_timeout,
            unix_socket=self.parsed.query.get("unix_socket"),
        )
        connection.client_flag &= ~MULTI_STATEMENTS
        await connection._connect()  # noqa: SLF001 - the driver has no other way
        return connection


def _number_and_text(error: BaseException) -> tuple[int | None, str]:
    """Return the number and text of an error of MySQL. The number is None for another error, 0 if it has none."""
    import pymysql  # type: ignore[import-untyped]

    cause = getattr(error, "orig", None) or error
    if not isinstance(cause, pymysql.err.Error):
        return None, ""
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    return number, shortened(str(cause.args[-1] if cause.args else cause))
