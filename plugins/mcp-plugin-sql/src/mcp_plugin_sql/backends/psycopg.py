"""PostgreSQL with psycopg, always over the extended protocol, which accepts one statement at a time."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from mcp_plugin_sql.backends.postgresql import TEXT_TYPES, PostgreSQL
from mcp_plugin_sql.collecting import Sink
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.metering import Meter
from mcp_plugin_sql.statement import Dialect, Statement
from mcp_plugin_sql.values import exact_json

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

NEVER: Final = 2**31
"""After how many uses psycopg prepares a statement by itself. None would disable prepared statements."""

RECEIVED_AT_ONCE: Final = 65_536
"""About how many bytes the kernel keeps of what a connection has received."""

_TCP_INFO_SIZE: Final = 192
_BYTES_RECEIVED: Final = 128
"""Where `tcpi_bytes_received` is in Linux' `struct tcp_info`."""


class Psycopg(PostgreSQL):
    """PostgreSQL with psycopg 3."""

    driver = "psycopg"
    dialect: ClassVar[Dialect] = Dialect("numeric_dollar", "pyformat")

    def open_engine(self, *, writing: bool, whole: bool = False) -> AsyncEngine:
        """Return an engine that checks each connection before it is used."""
        from sqlalchemy.ext.asyncio import create_async_engine

        return create_async_engine(
            "postgresql+psycopg://",
            async_creator=self._connect,
            pool_size=self.settings.pool_size,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout,
            pool_pre_ping=True,
            hide_parameters=True,
            # The type hstore would be looked up in a transaction.
            **({"isolation_level": "AUTOCOMMIT", "use_native_hstore": False} if self.single else {}),
        )

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        """Connect. Types without a Python counterpart are read as text."""
        from psycopg.types.json import set_json_loads
        from psycopg.types.string import TextLoader

        parsed = self.parsed
        connection = await _metered_connection_class().connect(
            **{
                "host": parsed.host,
                "port": parsed.port,
                "user": parsed.user,
                "password": self.password,
                "dbname": parsed.database or None,
                "application_name": self.options.application_name,
                "connect_timeout": max(2, round(self.connect_timeout)),
                **self.options.driver,
            },
            prepare_threshold=NEVER,
        )
        _read_in_small_parts(connection.pgconn.socket)
        connection.meter = self.meter()
        set_json_loads(exact_json, connection)
        for name in TEXT_TYPES:
            connection.adapters.register_loader(name, TextLoader)
        return cast("psycopg.AsyncConnection[Any]", connection)

    async def select(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        """Read with a cursor at the server, so that a large result never arrives completely.

        A statement without a cursor, such as SHOW or EXPLAIN, is then a syntax error, and is run without one.
        """
        import psycopg

        if self.single:
            await self._select_alone(connection, sent, into)
            return
        driver = await _driver(connection)
        try:
            async with psycopg.AsyncServerCursor(driver, "mcp") as cursor:
                await cursor.execute(sent.text, sent.values)
                described = [(column.name, column.type_code) for column in cursor.description or ()]
                converted = await self.converted(connection, sent, described)
                names = [name for name, _ in described]
                if converted is None:
                    into.begin(names)
                    await _fetch(cursor, into)
                    return
            text, readers = converted
            async with psycopg.AsyncServerCursor(driver, "mcp") as cursor:
                await cursor.execute(text.text, text.values)
                into.begin(names, readers)
                await _fetch(cursor, into)
        except (psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported):
            if into.begun:
                raise
            await connection.rollback()
            await self.begin(connection, writing=False)
            await self.execute(connection, sent, into)

    async def _select_alone(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        """Run a statement where a pooler allows no transaction (PgBouncer's pool_mode = statement).

        The server takes several statements that come as one message as one transaction, so the first can make it
        read-only. Before that, the text is prepared alone, because the server prepares only a single statement.
        """
        import psycopg

        driver = await _driver(connection)
        text = sent.text
        if sent.values is not None:
            text = psycopg.AsyncClientCursor(driver).mogrify(sent.text, cast("dict[str, Any]", sent.values))
        alone = replace(sent, text=text, values=None)
        async with driver.cursor() as cursor:
            await self._run_alone(driver, cursor, alone)
            described = [(column.name, column.type_code) for column in cursor.description or ()]
            converted = await self.converted(connection, alone, described)
            if converted is not None:
                alone, _ = converted
                await self._run_alone(driver, cursor, alone)
            if described:
                into.begin([name for name, _ in described], converted[1] if converted else [])
                async for row in cursor:
                    if not into.add(row):
                        return

    async def _run_alone(self, driver: Any, cursor: psycopg.AsyncCursor[Any], alone: Statement) -> None:
        from psycopg import errors, generators, pq

        async with driver.lock:
            driver.pgconn.send_prepare(b"", alone.text.encode())
            *_, prepared = await driver.wait(generators.execute(driver.pgconn))
        if prepared.status == pq.ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(prepared)
        first = f"SET TRANSACTION READ ONLY; SELECT {self._set(writing=False)};"
        await cursor.execute(f"{first} {alone.text}".encode(), prepare=False)
        while cursor.nextset():
            pass

    async def execute(self, connection: AsyncConnection, sent: Statement, into: Sink) -> int | None:
        """Run the text as a prepared statement, which must be a single statement."""
        driver = await _driver(connection)
        _meter(driver).restart()
        async with driver.cursor() as cursor:
            await cursor.execute(sent.text, sent.values, prepare=True)
            if cursor.description is not None:
                into.begin([column.name for column in cursor.description])
                async for row in cursor:
                    into.add(row)
            return None if cursor.rowcount < 0 else int(cursor.rowcount)

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo SET, prepared statements, temporary tables, LISTEN and session locks."""
        if self.single:
            return True
        driver = await _driver(connection)
        await driver.set_autocommit(True)
        await driver.execute("DISCARD ALL")
        await driver.set_autocommit(False)
        return True

    def no_transactions(self, text: str) -> Failure:
        """Return the failure after which statements are sent alone."""
        return Failure("single", text)

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


async def _fetch(cursor: psycopg.AsyncServerCursor[Any], into: Sink) -> None:
    meter = _meter(cursor.connection)
    meter.restart()
    while batch := await cursor.fetchmany(meter.next_batch()):
        for row in batch:
            if not into.add(row):
                return


def _meter(driver: Any) -> Meter:
    return cast("Meter", driver.meter)


async def _driver(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """Return psycopg's own connection below SQLAlchemy's."""
    raw = await connection.get_raw_connection()
    return cast("psycopg.AsyncConnection[Any]", raw.driver_connection)


def _metered_connection_class() -> Any:
    """Return a class of connections that count what they receive. psycopg is imported only when it is used."""
    import psycopg

    class MeteredConnection(psycopg.AsyncConnection[Any]):
        meter: Meter | None = None
        counted = 0

        async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            return await super().wait(gen if self.meter is None else self._metered(gen, self.meter), *args, **options)

        def _metered(self, gen: Generator[Any, Any, Any], meter: Meter) -> Generator[Any, Any, Any]:
            """Pass on what psycopg's generator waits for, and count what it has read each time."""
            ready: Any = None
            while True:
                try:
                    wanted = gen.send(ready)
                except StopIteration as ended:
                    return ended.value
                before, self.counted = self.counted, received(self.pgconn.socket)
                if not meter.add(self.counted - before):
                    gen.close()
                    # Closing the cursor would read the rest.
                    self.pgconn.finish()
                    raise psycopg.OperationalError("too much was received")
                ready = yield wanted

    return MeteredConnection


def _read_in_small_parts(descriptor: int) -> None:
    """Let the kernel keep little of what arrives. libpq reads as long as there is more, and is counted only then."""
    connection = socket.socket(fileno=descriptor)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_AT_ONCE)
    finally:
        connection.detach()


def received(descriptor: int) -> int:
    """Return how many bytes a connection has received. libpq reads a whole message at once, so nobody else can count.

    The kernel knows it for TCP on Linux (`tcpi_bytes_received`). For a local socket this is the memory of the process,
    of which a message takes at least its size. Elsewhere it is not known, and 0.
    """
    if not sys.platform.startswith("linux"):
        return 0
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=descriptor)
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        resident = Path("/proc/self/statm").read_bytes().split()[1]
        return int(resident) * os.sysconf("SC_PAGE_SIZE")
    finally:
        connection.detach()
    return int.from_bytes(info[_BYTES_RECEIVED : _BYTES_RECEIVED + 8], sys.byteorder)
