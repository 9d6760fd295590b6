"""PostgreSQL with asyncpg. It sends every text as a prepared statement, so a text can have only one statement."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from mcp_plugin_sql.backends.postgresql import CHAR, FLOAT4, TEXT_TYPES, PostgreSQL
from mcp_plugin_sql.collecting import Sink
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.metering import Meter
from mcp_plugin_sql.statement import Dialect, Statement
from mcp_plugin_sql.values import exact_json

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

UNNAMED = ""
"""The name of the prepared statement that ends with the next one. A named one would stay in a pooler's session."""


class Asyncpg(PostgreSQL):
    """PostgreSQL with asyncpg."""

    driver = "asyncpg"
    dialect: ClassVar[Dialect] = Dialect("numeric_dollar", "numeric_dollar")
    misread = frozenset((FLOAT4, CHAR))

    def open_engine(self, *, writing: bool, whole: bool = False) -> AsyncEngine:
        """Return an engine that checks each connection before it is used, without caches of prepared statements."""
        from sqlalchemy import URL, event
        from sqlalchemy.ext.asyncio import create_async_engine

        parsed = self.parsed
        engine = create_async_engine(
            URL.create("postgresql+asyncpg"),
            connect_args={
                "dsn": URL.create("postgresql", query=dict(self.options.driver)).render_as_string(),
                **_given(host=parsed.host, port=parsed.port, user=parsed.user, password=self.password),
                **_given(database=parsed.database or None),
                "timeout": self.connect_timeout,
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: UNNAMED,
                "server_settings": {"application_name": self.options.application_name},
                "connection_class": _metered_connection_class(),
            },
            pool_size=self.settings.pool_size,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout,
            pool_pre_ping=True,
            hide_parameters=True,
            json_deserializer=exact_json,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            connection.run_async(_pass_as_text)
            _meter(connection.driver_connection, self.meter())

        return engine

    async def select(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        """Read with a cursor at the server, so that a large result never arrives completely."""
        driver = await _driver(connection)
        driver.meter.restart()
        async with _unknown_types_as_text(driver, sent.text):
            await self._select(connection, driver, sent, into)

    async def _select(self, connection: AsyncConnection, driver: Any, sent: Statement, into: Sink) -> None:
        prepared = await driver.prepare(sent.text, name=UNNAMED)
        described = [(attribute.name, attribute.type.oid) for attribute in prepared.get_attributes()]
        names = [name for name, _ in described]
        converted = await self.converted(connection, sent, described)
        text, readers = converted or (sent, [])
        # The query for the types has replaced the unnamed statement.
        prepared = await driver.prepare(text.text, name=UNNAMED)
        values = cast("tuple[Any, ...]", sent.values or ())
        if not described:
            await prepared.fetch(*values)
            return
        into.begin(names, readers)
        cursor = await prepared.cursor(*values)
        while batch := await cursor.fetch(driver.meter.next_batch()):
            for row in batch:
                if not into.add(tuple(row)):
                    return

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo SET, prepared statements, temporary tables, LISTEN and session locks."""
        driver = await _driver(connection)
        await driver.execute("DISCARD ALL")
        return True

    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an exception of asyncpg, also if SQLAlchemy has wrapped it."""
        import asyncpg  # type: ignore[import-untyped]

        wrapped = getattr(error, "orig", None)
        cause: BaseException = (getattr(wrapped, "__cause__", None) or wrapped) if wrapped is not None else error
        if isinstance(cause, asyncpg.PostgresError) and cause.sqlstate:
            parts = cause.as_dict()
            return self.meaning(
                str(cause.sqlstate), str(parts.get("message", cause)), parts.get("detail"), parts.get("hint")
            )
        if isinstance(cause, asyncpg.PostgresConnectionError | asyncpg.ConnectionDoesNotExistError):
            return Failure("lost")
        if isinstance(cause, asyncpg.InterfaceError) and "connection" in str(cause):
            return Failure("lost")
        if isinstance(cause, asyncpg.InterfaceError | asyncpg.UnsupportedClientFeatureError):
            return Failure("statement", _about_argument(shortened(str(cause))))
        return None


class _Gate(asyncio.Protocol):
    """Passes what the server sends to asyncpg's protocol, and ends the connection when it is too much."""

    def __init__(self, inner: Any, transport: asyncio.Transport, meter: Meter) -> None:
        self._inner, self._transport, self._meter = inner, transport, meter

    def data_received(self, data: bytes) -> None:
        if self._meter.add(len(data)):
            self._inner.data_received(data)
        else:
            self._transport.abort()

    def __getattribute__(self, name: str) -> Any:
        if name in ("connection_lost", "eof_received", "pause_writing", "resume_writing"):
            return getattr(self._inner, name)
        return super().__getattribute__(name)


def _meter(driver: Any, meter: Meter) -> None:
    """Let a connection count what it receives. asyncpg has no other way to see this than its transport."""
    driver.meter = meter
    transport = driver._transport  # noqa: SLF001
    transport.set_protocol(_Gate(transport.get_protocol(), transport, meter))


def _metered_connection_class() -> Any:
    """Return a class of connections that can have a meter. asyncpg is imported only when it is used."""
    import asyncpg

    class MeteredConnection(asyncpg.Connection):  # type: ignore[misc]
        meter: Meter

    return MeteredConnection


async def _driver(connection: AsyncConnection) -> Any:
    """Return asyncpg's own connection below SQLAlchemy's."""
    raw = await connection.get_raw_connection()
    return raw.driver_connection


@asynccontextmanager
async def _unknown_types_as_text(driver: Any, text: str) -> AsyncIterator[None]:
    """Read and send as text, in the block, each type of a statement that asyncpg does not know by itself.

    asyncpg would look the types up, and refuse a statement with pseudo-types, or with containers of types that are read
    as text. It has no public way to prepare a statement without that.
    """
    protocol = driver._protocol  # noqa: SLF001
    state = await protocol.prepare(
        UNNAMED, text, None, record_class=protocol.get_record_class(), ignore_custom_codec=False
    )
    settings = protocol.get_settings()
    unknown = [(oid, f"type {oid}", "pg_catalog") for oid in state._init_types() or ()]  # noqa: SLF001
    for names in unknown:
        settings.add_python_codec(*names, [], "scalar", _as_text, str, "text")
    try:
        yield
    finally:
        for names in unknown:
            settings.remove_python_codec(*names)


def _as_text(value: Any) -> str:
    """Return a parameter as PostgreSQL writes it; a list as an array."""
    if isinstance(value, list):
        return "{" + ",".join("NULL" if item is None else _quoted(_as_text(item)) for item in value) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _pass_as_text(connection: Any) -> None:
    for name in TEXT_TYPES:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _about_argument(text: str) -> str:
    """Return asyncpg's message about a parameter of the wrong type in our own words."""
    return re.sub(r"^invalid input for query argument \$(\d+): ", r"parameter \1 does not fit: ", text)
