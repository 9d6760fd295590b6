"""A database: its pools of connections, and how a statement runs on one of them."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread

from mcp_host import ToolError
from mcp_plugin_sql.backends import Backend, Place, backend_of
from mcp_plugin_sql.bounded import OutOfTimeError, bounded
from mcp_plugin_sql.collecting import Collector, Sink
from mcp_plugin_sql.failures import Failure, sentence
from mcp_plugin_sql.metering import too_large
from mcp_plugin_sql.settings import DatabaseSettings, Settings
from mcp_plugin_sql.statement import Statement, statement
from mcp_plugin_sql.target import parse_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
Work = Callable[["AsyncConnection"], Awaitable[T]]

ROLE_HINT: Final = "Use a role that may only SELECT, or set allow_powerful_role = true."

CLOSING: Final = 5.0
"""How long it may take to return a connection to its pool, in seconds."""


class PowerfulRoleError(ToolError):
    """The role can do more than a read-only transaction prevents."""


class UnknownRelationError(ToolError):
    """A statement names a table that does not exist."""

    def __init__(self, text: str, table: str) -> None:
        super().__init__(text)
        self.table = table


class _NoTransactionsError(Exception):
    """A pooler between the plugin and the server allows no transaction."""


class Database:
    """One database. A SQLite file is opened, and SQLAlchemy imported, only at the first call."""

    def __init__(
        self, own: DatabaseSettings, settings: Settings, base_dir: Path, log: logging.Logger, name: str = ""
    ) -> None:
        self.name = name
        self.own = own
        self.settings = settings
        self.backend: Backend = backend_of(Place(parse_url(own.url), own, settings, base_dir))
        self._log = log
        self._engines: dict[tuple[bool, bool], AsyncEngine] = {}
        self._role_checked = own.allow_powerful_role

    @property
    def shown(self) -> str:
        """A short description of the database without secrets."""
        return self.backend.parsed.shown

    async def query(self, sql: str, parameters: Mapping[str, Any] | None, max_rows: int | None = None) -> Collector:
        """Return the rows of a statement that only reads. Raises ToolError for the database's errors."""
        into = self.collector(max_rows)
        await self.read(sql, parameters, into)
        return into

    async def read(self, sql: str, parameters: Mapping[str, Any] | None, into: Sink, *, whole: bool = False) -> None:
        """Give the rows of a statement that only reads to `into`. Raises ToolError for the database's errors."""
        sent = statement(sql, parameters, self.backend.dialect)
        await self.run(lambda connection: self._select(connection, sent, into), tidy=True, whole=whole)

    async def explain(self, sql: str, parameters: Mapping[str, Any] | None, *, analyze: bool = False) -> Collector:
        """Return the plan of a statement, as the database shows it. With `analyze`, the statement is run, read-only."""
        sent = statement(sql, parameters, self.backend.dialect)
        into = self.collector()
        await self.run(
            lambda connection: self.backend.explain(connection, sent, into, analyze=analyze),
            tidy=True,
        )
        return into

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> tuple[Collector, int | None]:
        """Run and commit a statement that may write. Return its rows, and how many rows it changed, if known."""
        sent = statement(sql, parameters, self.backend.dialect)
        into = self.collector()
        changed = await self.run(
            lambda connection: self.backend.execute(connection, sent, into), writing=True, tidy=True
        )
        return into, changed

    def collector(self, max_rows: int | None = None) -> Collector:
        """Return a collector with the limits of the settings."""
        return Collector(min(max_rows or self.settings.max_rows, self.settings.max_rows), self.settings.max_bytes)

    async def run(self, work: Work[T], *, writing: bool = False, tidy: bool = False, whole: bool = False) -> T:
        """Do `work` in its own transaction. It is read-only, or with `writing` it is committed.

        The statement is stopped at the server if the call is cancelled or `statement_timeout` is over. `tidy` means
        that the caller's own SQL runs; afterwards the session is cleaned. With `whole`, no value is cut.

        Raises:
            ToolError: The database reported an error, cannot be reached or closed the connection, or the time is over.
        """
        try:
            return await self._run(work, writing=writing, tidy=tidy, whole=whole)
        except _NoTransactionsError:
            await self.close()
            self.backend.single = True
            return await self._run(work, writing=writing, tidy=tidy, whole=whole)

    async def _run(self, work: Work[T], *, writing: bool, tidy: bool, whole: bool) -> T:
        connection = await self._checkout(writing=writing, whole=whole)
        usable, meter = False, None
        try:
            meter = await self.backend.meter_of(connection)
            if meter is not None:
                meter.restart()
            result = await bounded(
                self._transaction(connection, work, writing=writing),
                lambda task: self.backend.stop(connection, task),
                self.settings.statement_timeout + self.backend.grace,
            )
            usable = True
            return result
        except ToolError:
            usable = True
            raise
        except OutOfTimeError:
            raise self._out_of_time() from None
        except Exception as error:
            if meter is not None and meter.exceeded:
                raise ToolError(too_large(meter.limit)) from None
            failure = self._failure(error)
            if failure is None:
                raise
            if failure.cause == "single":
                raise _NoTransactionsError from None
            usable = failure.cause in ("statement", "read-only", "busy") or self.backend.grace == 0
            text = self._text(failure, writing=writing)
            missing = re.search(self.backend.unknown_table, failure.text)
            raise (UnknownRelationError(text, missing[1]) if missing else ToolError(text)) from None
        finally:
            usable = usable and not (meter is not None and meter.exceeded)
            with anyio.CancelScope(shield=True):
                await self._give_back(connection, usable=usable, tidy=tidy)

    async def close(self) -> None:
        """Close the pools."""
        with anyio.CancelScope(shield=True):
            while self._engines:
                _, engine = self._engines.popitem()
                with anyio.move_on_after(CLOSING):
                    await engine.dispose()

    async def _select(self, connection: AsyncConnection, sent: Statement, into: Sink) -> None:
        meter = await self.backend.meter_of(connection)
        try:
            await self.backend.select(connection, sent, into)
        except Exception:
            if meter is None or not meter.exceeded or not into.satisfied:
                raise
            # Only the rows that are left out were too large.
            into.give_up()

    async def check_role(self) -> None:
        """Connect, and check the role as before the first call. Raises ToolError."""
        await self.run(self._check_role)

    async def _check_role(self, connection: AsyncConnection) -> None:
        """Refuse a role that can do more than read. This is asked once.

        Raises:
            PowerfulRoleError: It can.
        """
        if self._role_checked:
            return
        why = await self.backend.too_powerful(connection)
        if why is not None:
            raise PowerfulRoleError(f"The role of the database {self.shown} is not accepted: {why}. {ROLE_HINT}")
        self._role_checked = True

    async def _transaction(self, connection: AsyncConnection, work: Work[T], *, writing: bool) -> T:
        await self.backend.begin(connection, writing=writing)
        await self._check_role(connection)
        result = await work(connection)
        if writing:
            await connection.commit()
        return result

    async def _checkout(self, *, writing: bool, whole: bool) -> AsyncConnection:
        """Take a connection from the pool. Raises ToolError if there is none."""
        # The import takes long, so it must not block the loop.
        if "sqlalchemy.ext.asyncio" not in sys.modules:
            await anyio.to_thread.run_sync(importlib.import_module, "sqlalchemy.ext.asyncio")
        from sqlalchemy import exc

        engine = self._engines.get((writing, whole))
        if engine is None:
            engine = self._engines[writing, whole] = self.backend.open_engine(writing=writing, whole=whole)
        opening = engine.connect()

        async def connect() -> AsyncConnection:
            return await opening.start()

        try:
            # The time for waiting for the pool plus the time for connecting.
            return await bounded(connect(), _cancel_connecting, 2 * self.settings.connect_timeout + 1)
        except OutOfTimeError:
            why = f"it did not answer within {self.settings.connect_timeout:g} s"
            raise ToolError(self._text(Failure("unreachable", why), writing=writing)) from None
        except exc.TimeoutError:
            raise ToolError(
                f"All {self.settings.pool_size} connections to the database are in use: try again later, "
                "or raise the setting pool_size."
            ) from None
        except (OSError, TimeoutError) as error:
            self._log.warning("connecting to %s failed: %s", self.shown, type(error).__name__)
            raise ToolError(self._text(Failure("unreachable", _why(error)), writing=writing)) from None
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
            if failure.cause == "single":
                raise _NoTransactionsError from None
            why = failure.text or "it closed the connection"
            raise ToolError(self._text(Failure("unreachable", why), writing=writing)) from None

    async def _give_back(self, connection: AsyncConnection, *, usable: bool, tidy: bool) -> None:
        """Return a clean connection to the pool. A connection that may not be clean is closed.

        Errors here are not reported: the result is already known, and the connection is not used again.
        """
        with anyio.move_on_after(CLOSING), suppress(Exception):
            if usable and tidy:
                await connection.rollback()
                usable = await self.backend.tidy(connection)
            if usable:
                await connection.close()
                return
        with anyio.move_on_after(CLOSING), suppress(Exception):
            await connection.invalidate()
            await connection.close()

    def _failure(self, error: BaseException) -> Failure | None:
        failure = self.backend.failure(error)
        if failure is None and isinstance(getattr(error, "orig", None) or error, OSError | EOFError):
            return Failure("lost")
        return failure

    def _out_of_time(self) -> ToolError:
        return ToolError(
            f"The statement took longer than {self.settings.statement_timeout:g} s and was stopped: "
            "reduce the result, for example with a condition or an aggregate."
        )

    def _text(self, failure: Failure, *, writing: bool) -> str:
        return self._redacted(self._worded(failure, writing=writing))

    def _worded(self, failure: Failure, *, writing: bool) -> str:
        title, text = self.backend.title, sentence(failure.text)
        match failure.cause:
            case "timeout":
                return str(self._out_of_time())
            case "lost":
                why = f" ({failure.text.rstrip('.')})" if failure.text else ""
                hint = "It may have been committed: check this before you repeat it." if writing else "Try again."
                return f"The database server closed the connection while the statement ran{why}. {hint}"
            case "unreachable":
                return f"The database {self.shown} cannot be used: {text}"
            case "busy":
                return f"{title} could not get a lock: {text} Try again later."
            case "read-only":
                return (
                    f"This statement may not run{' here' if writing else ': only reading is allowed'}. {title}: {text}"
                )
            case "statement" | "single":
                return f"{title} says: {text}"

    def _redacted(self, text: str) -> str:
        password = self.backend.password
        return text.replace(password, "***") if password else text


async def _cancel_connecting(task: asyncio.Task[Any]) -> None:
    """Stop connecting. If a connection was made nevertheless, it is returned to the pool."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await task.result().close()


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused; is the server running?"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
