"""MySQL and MariaDB with aiomysql: read-only transactions, one statement per text, and KILL QUERY to stop it.

Sources: MySQL's documentation of START TRANSACTION, max_execution_time, KILL, --ssl-mode, and its list of privileges;
MariaDB's of max_statement_time and ANALYZE.
"""

from __future__ import annotations

import asyncio
import getpass
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mcp_host import ToolError
from mcp_plugin_sql.backends.base import Backend, Place, TableRow
from mcp_plugin_sql.collecting import COUNTED, Collector, Sink
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.metering import Meter
from mcp_plugin_sql.statement import Dialect, Statement
from mcp_plugin_sql.urloptions import mysql_options

if TYPE_CHECKING:
    import aiomysql  # type: ignore[import-untyped]
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MULTI_STATEMENTS: Final = 1 << 16
"""The protocol's capability that allows several statements in one text. aiomysql always requests it."""

READ_ONLY: Final = frozenset((1792, 1290, 1836))
STOPPED: Final = frozenset((3024, 1969, 1317))
LOCKED: Final = frozenset((1205, 1213))
UNREACHABLE: Final = frozenset((1040, 1044, 1045, 1049, 1130, 1203, 2002, 2003, 2005, 2026))
LOST: Final = frozenset((0, 1053, 1077, 1927, 2006, 2013, 2014))
SYNTAX: Final = 1064
NO_SHOW_VIEW: Final = 1345
"""EXPLAIN needs the privilege SHOW VIEW. With this error, the statement was parsed and can be explained."""
NO_TLS: Final = 2026
LOST_IN_QUERY: Final = 2013

SHOWING: Final = re.compile(r"\s*(?:SHOW|DESCRIBE|DESC|EXPLAIN)\b(?!\s+ANALYZE)", re.IGNORECASE)
"""Statements that only show something. EXPLAIN of a change shows its plan; EXPLAIN ANALYZE would run it."""

POWERS: Final = frozenset(
    (
        *("ALL PRIVILEGES", "FILE", "SUPER", "SHUTDOWN", "PROCESS", "CREATE USER", "RELOAD", "REPLICATION SLAVE"),
        *("CONNECTION ADMIN", "CONNECTION_ADMIN", "BINLOG ADMIN", "BINLOG_ADMIN", "SET USER", "SET_USER_ID"),
        *("SYSTEM_VARIABLES_ADMIN", "ROLE_ADMIN", "FEDERATED ADMIN", "READ_ONLY ADMIN", "SYSTEM_USER"),
    )
)
"""Global privileges that a read-only transaction does not limit: the server's files, its settings and other users."""

_GLOBAL_GRANT: Final = re.compile(r"GRANT (.+?) ON \*\.\* TO ", re.IGNORECASE)

TABLES_QUERY: Final = """
SELECT table_schema, table_name, CASE WHEN table_type LIKE '%VIEW' THEN 'view' ELSE 'table' END,
    table_schema = coalesce(database(), '')
FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
"""


class MySQL(Backend):
    """MySQL or MariaDB."""

    title = "MySQL"
    dialect: ClassVar[Dialect] = Dialect("pyformat", "pyformat")
    analyzing = "ANALYZE "
    unknown_table = r"Table '(?:[^'.]+\.)?([^']+)' doesn't exist"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.options = mysql_options(self.parsed.query)

    def open_engine(self, *, writing: bool, whole: bool = False) -> AsyncEngine:
        """Return an engine whose connections accept only single statements."""
        from sqlalchemy import URL
        from sqlalchemy.ext.asyncio import create_async_engine

        return create_async_engine(
            URL.create("mysql+aiomysql"),
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

    async def select(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        """Run a statement if it only shows something, or if the server can explain it.

        What it cannot explain is neither a SELECT nor a change of rows. A read-only transaction refuses to change rows,
        but it allows other statements. MariaDB commits it for a compound statement (BEGIN NOT ATOMIC), and leaves it
        for SET STATEMENT ... FOR.
        """
        if not SHOWING.match(sent.text):
            await self._check(connection, sent)
        await super().select(connection, sent, into)

    async def _check(self, connection: AsyncConnection, sent: Statement) -> None:
        """Let the server explain a statement. Raises ToolError if it cannot."""
        try:
            await super().select(connection, replace(sent, text=self.explaining + sent.text), Collector(1, 1))
        except Exception as error:
            number, text = _number_and_text(error)
            if number == SYNTAX:
                raise ToolError(f"Only a SELECT, SHOW or DESCRIBE can run here. MySQL says: {text}") from None
            if number != NO_SHOW_VIEW:
                raise

    async def explain(self, connection: AsyncConnection, sent: Statement, into: Sink, *, analyze: bool) -> None:
        """Collect the plan of a statement. With `analyze`, MariaDB's ANALYZE or MySQL's EXPLAIN ANALYZE runs it."""
        prefix = self.explaining
        if analyze:
            # ANALYZE TABLE is another statement.
            await self._check(connection, sent)
            prefix = self.analyzing if getattr(connection.dialect, "is_mariadb", False) else "EXPLAIN ANALYZE "
        await super().select(connection, replace(sent, text=prefix + sent.text), into)

    async def tables(self, connection: AsyncConnection) -> list[TableRow]:
        """Return the tables and views of every database that the role may use."""
        rows = await connection.exec_driver_sql(TABLES_QUERY, None, {"no_parameters": True})
        return [(schema, name, kind, bool(default)) for schema, name, kind, default in map(tuple, rows)]

    async def too_powerful(self, connection: AsyncConnection) -> str | None:
        """Return the role's global privileges that a read-only transaction does not limit."""
        rows = await connection.exec_driver_sql("SHOW GRANTS", None, {"no_parameters": True})
        held: set[str] = set()
        for (grant,) in map(tuple, rows):
            match = _GLOBAL_GRANT.match(str(grant))
            held |= {name.strip().upper() for name in match[1].split(",")} if match else set()
        powers = sorted(held & POWERS)
        return f"it can do more than read the tables ({', '.join(powers)})" if powers else None

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
        parsed, options = self.parsed, self.options
        connection = _metered_connection_class()(
            host=parsed.host or "localhost",
            port=parsed.port or 3306,
            user=parsed.user or getpass.getuser(),
            password=self.password or "",
            db=parsed.database or None,
            charset="utf8mb4",
            connect_timeout=min(
                options.connect_timeout or self.settings.connect_timeout, self.settings.connect_timeout
            ),
            unix_socket=options.unix_socket,
            ssl=options.tls,
        )
        connection.meter = self.meter()
        connection.requires_tls = options.requires_tls
        connection.client_flag &= ~MULTI_STATEMENTS
        await connection._connect()  # noqa: SLF001 - the driver has no other way
        return connection


def _metered_connection_class() -> Any:
    """Return a class of connections that count what they receive. aiomysql is imported only when it is used."""
    import aiomysql
    from pymysql.constants import CLIENT  # type: ignore[import-untyped]

    class MeteredConnection(aiomysql.Connection):  # type: ignore[misc]
        meter: Meter
        requires_tls = False

        async def _request_authentication(self) -> None:
            # The driver would go on without TLS, and send the password.
            if self.requires_tls and not self.server_capabilities & CLIENT.SSL:
                raise aiomysql.OperationalError(NO_TLS, "the server does not offer TLS, which the URL asks for")
            await super()._request_authentication()

        async def _read_bytes(self, num_bytes: int) -> bytes:
            if not self.meter.add(num_bytes):
                self.close()
                raise aiomysql.OperationalError(LOST_IN_QUERY, "too much was received")
            return bytes(await super()._read_bytes(num_bytes))

    return MeteredConnection


def _number_and_text(error: BaseException) -> tuple[int | None, str]:
    """Return the number and text of an error of MySQL. The number is None for another error, 0 if it has none."""
    import pymysql  # type: ignore[import-untyped]

    cause: BaseException | None = error
    # SQLAlchemy wraps an error, and one about a view that cannot be described even twice.
    while cause is not None and not isinstance(cause, pymysql.err.Error):
        cause = getattr(cause, "orig", None) or cause.__cause__ or cause.__context__
    if cause is None:
        return None, ""
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    return number, shortened(str(cause.args[-1] if cause.args else cause))
