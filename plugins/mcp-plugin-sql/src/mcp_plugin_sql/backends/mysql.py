"""MySQL and MariaDB through aiomysql: read-only transactions, one statement a text, KILL QUERY to stop one.

Sources: MySQL's documentation of START TRANSACTION, max_execution_time, KILL; MariaDB's of max_statement_time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcp_plugin_sql.backends.base import Backend
from mcp_plugin_sql.collecting import COUNTED
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.statement import Dialect

if TYPE_CHECKING:
    import aiomysql  # type: ignore[import-untyped]
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MULTI_STATEMENTS: Final = 1 << 16
"""The capability of the protocol that allows several statements in one text; aiomysql always asks for it."""

READ_ONLY: Final = frozenset((1792, 1290, 1836))
STOPPED: Final = frozenset((3024, 1969, 1317))
LOCKED: Final = frozenset((1205, 1213))
UNREACHABLE: Final = frozenset((1040, 1044, 1045, 1049, 1130, 1203, 2002, 2003, 2005))
LOST: Final = frozenset((1053, 1077, 1927, 2006, 2013, 2014))


class MySQL(Backend):
    """MySQL or MariaDB."""

    title = "MySQL"
    dialect: ClassVar[Dialect] = Dialect("pyformat", "pyformat")

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """An engine whose connections take single statements."""
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
            # The protocol has no way to end a result early: without it a large one would be read to its end.
            await connection.exec_driver_sql(f"SET SESSION sql_select_limit = {self.settings.max_rows + COUNTED + 2}")
        await connection.exec_driver_sql(f"START TRANSACTION READ {'WRITE' if writing else 'ONLY'}")

    async def stop(self, connection: AsyncConnection, task: asyncio.Task[Any]) -> None:
        """KILL QUERY over a connection of its own: the protocol has no cancel."""
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
        """Session variables, temporary tables and locks end with the session: it is not used again."""
        return False

    def failure(self, error: BaseException) -> Failure | None:
        """What one of MySQL's errors means, by its number."""
        import pymysql  # type: ignore[import-untyped]

        cause = getattr(error, "orig", None) or error
        if not isinstance(cause, pymysql.err.Error):
            return None
        number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
        text = shortened(str(cause.args[-1] if cause.args else cause))
        if number in READ_ONLY:
            return Failure("read-only", text)
        if number in STOPPED:
            return Failure("timeout", text)
        if number in LOCKED:
            return Failure("busy", text)
        if number in UNREACHABLE:
            return Failure("unreachable", text)
        if number in LOST or isinstance(cause, pymysql.err.InterfaceError):
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
        await connection._connect()
        return connection
