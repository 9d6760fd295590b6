"""PostgreSQL with asyncpg. It sends every text as a prepared statement, so a text can have only one statement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from mcp_plugin_sql.backends.postgresql import TEXT_TYPES, PostgreSQL
from mcp_plugin_sql.failures import Failure, shortened
from mcp_plugin_sql.statement import Dialect

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Asyncpg(PostgreSQL):
    """PostgreSQL with asyncpg."""

    driver = "asyncpg"
    dialect: ClassVar[Dialect] = Dialect("numeric_dollar", "numeric_dollar")

    def open_engine(self, *, writing: bool) -> AsyncEngine:
        """Return an engine without caches of prepared statements, because DISCARD ALL would make them invalid."""
        from sqlalchemy import event

        url = self.url()
        if "sslmode" in url.query:
            # libpq calls this option sslmode, asyncpg calls it ssl.
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
        engine = self.engine(
            url,
            {
                "timeout": self.settings.connect_timeout,
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "server_settings": self.options(writing=writing),
            },
        )

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            connection.run_async(_pass_as_text)

        return engine

    async def tidy(self, connection: AsyncConnection) -> bool:
        """Undo SET, prepared statements, temporary tables, LISTEN and session locks."""
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.execute("DISCARD ALL")
        return True

    def failure(self, error: BaseException) -> Failure | None:
        """Return the failure for an exception of asyncpg, also if SQLAlchemy has wrapped it."""
        import asyncpg  # type: ignore[import-untyped]

        wrapped = getattr(error, "orig", None)
        cause: BaseException = (getattr(wrapped, "__cause__", None) or wrapped) if wrapped is not None else error
        if isinstance(cause, asyncpg.PostgresConnectionError | asyncpg.ConnectionDoesNotExistError):
            return Failure("lost")
        if isinstance(cause, asyncpg.PostgresError):
            parts = cause.as_dict()
            return self.meaning(
                str(cause.sqlstate or ""), str(parts.get("message", cause)), parts.get("detail"), parts.get("hint")
            )
        if isinstance(cause, asyncpg.InterfaceError) and "connection" in str(cause):
            return Failure("lost")
        if isinstance(cause, asyncpg.InterfaceError):
            return Failure("statement", _about_argument(shortened(str(cause))))
        return None


async def _pass_as_text(connection: Any) -> None:
    for name in TEXT_TYPES:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")


def _about_argument(text: str) -> str:
    """Return asyncpg's message about a parameter of the wrong type in our own words."""
    return re.sub(r"^invalid input for query argument \$(\d+): ", r"parameter \1 does not fit: ", text)
