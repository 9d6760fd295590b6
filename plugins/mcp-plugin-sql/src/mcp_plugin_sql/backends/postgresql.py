"""What both drivers for PostgreSQL share: read-only transactions, statement timeouts, and the meaning of SQLSTATEs.

Sources: PostgreSQL's documentation of SET TRANSACTION, DISCARD, statement_timeout, and its appendix of error codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_plugin_sql.backends.base import Backend
from mcp_plugin_sql.failures import Failure, sentence, shortened

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

READ_ONLY: Final = "25006"
CANCELED: Final = "57014"
LOCK_TIMEOUT: Final = "55P03"
STARTING: Final = "57P03"
TOO_MANY: Final = "53300"

TEXT_TYPES: Final = (
    *("date", "time", "timetz", "timestamp", "timestamptz", "interval"),
    *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "money"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
)
"""Types that are read and sent as PostgreSQL's text, because Python's types have no infinity, year 10,000 or months."""

TYPES_QUERY: Final = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = '{table}' AND n.nspname = {schema} AND a.attnum > 0 AND NOT a.attisdropped
"""


class PostgreSQL(Backend):
    """The part that does not depend on the driver."""

    title = "PostgreSQL"
    driver: str

    def options(self, *, writing: bool) -> dict[str, str]:
        """Return the session's initial settings. DISCARD ALL resets to them."""
        options = {"application_name": "mcp-plugin-sql", "DateStyle": "ISO"}
        # With this, a statement after a caller's own COMMIT, outside of a transaction, cannot write either.
        return options if writing else options | {"default_transaction_read_only": "on"}

    def url(self) -> URL:
        """Return the URL for SQLAlchemy, with the password."""
        from sqlalchemy import URL

        parsed, password = self.parsed, self.settings.password
        return URL.create(
            f"postgresql+{self.driver}",
            username=parsed.user,
            password=password.get_secret_value() if password else None,
            host=parsed.host,
            port=parsed.port,
            database=parsed.database or None,
            query=dict(parsed.query),
        )

    def engine(self, url: URL, arguments: dict[str, Any]) -> AsyncEngine:
        """Return an engine that checks each connection before it is used."""
        from sqlalchemy.ext.asyncio import create_async_engine

        return create_async_engine(
            url,
            connect_args=arguments,
            pool_size=self.settings.pool_size,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    async def begin(self, connection: AsyncConnection, *, writing: bool) -> None:
        """Begin with BEGIN READ ONLY and a timeout for each statement.

        The SELECT takes the transaction's snapshot. After that, SET TRANSACTION READ WRITE is an error.
        """
        await connection.execution_options(postgresql_readonly=not writing)
        milliseconds = max(1, round(self.settings.statement_timeout * 1000))
        await connection.exec_driver_sql(
            f"SELECT set_config('statement_timeout', '{milliseconds}', true)", None, {"no_parameters": True}
        )

    async def unknown_types(self, connection: AsyncConnection, table: str, schema: str | None) -> dict[str, str]:
        """Return every column's type as format_type() writes it, also the types of extensions."""
        where = "current_schema()" if schema is None else "'" + schema.replace("'", "''") + "'"
        text = TYPES_QUERY.format(table=table.replace("'", "''"), schema=where)
        rows = await connection.exec_driver_sql(text, None, {"no_parameters": True})
        return {str(name): str(kind) for name, kind in map(tuple, rows)}

    def meaning(self, code: str, message: str, detail: str | None, hint: str | None) -> Failure:
        """Return the failure for a server's error, by its SQLSTATE."""
        parts = (message, detail, hint and f"Hint: {hint}")
        text = " ".join(sentence(shortened(part)) for part in parts if part)
        if code == READ_ONLY:
            return Failure("read-only", text)
        if code == CANCELED:
            return Failure("timeout" if "statement timeout" in message else "statement", text)
        if code in (STARTING, TOO_MANY) or code[:2] in ("28", "3D"):
            return Failure("unreachable", text)
        if code == LOCK_TIMEOUT:
            return Failure("busy", text)
        if code[:2] in ("08", "57"):
            return Failure("lost", text)
        return Failure("statement", text)
