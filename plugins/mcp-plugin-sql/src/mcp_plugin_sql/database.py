"""The plugin's state: the pools of connections, and how a statement runs on one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from mcp_host import ToolError
from mcp_plugin_sql.backends import Backend, backend_of
from mcp_plugin_sql.bounded import OutOfTimeError, bounded
from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.failures import Failure, sentence
from mcp_plugin_sql.settings import Settings
from mcp_plugin_sql.statement import statement

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
Work = Callable[["AsyncConnection"], Awaitable[T]]

CLOSING: Final = 5.0
"""How long it may take to return a connection to its pool, in seconds."""


class Database:
    """The plugin's state. It does not connect, and does not import SQLAlchemy, before the first call."""

    def __init__(self, settings: Settings, base_dir: Path, log: logging.Logger) -> None:
        self.settings = settings
        self.backend: Backend = backend_of(settings, base_dir)
        self._log = log
        self._engines: dict[bool, AsyncEngine] = {}

    @property
    def shown(self) -> str:
        """A short description of the database without secrets."""
        return self.backend.parsed.shown

    async def query(self, sql: str, parameters: Mapping[str, Any] | None, max_rows: int | None = None) -> Collector:
        """Return the rows of a statement that only reads. Raises ToolError for the database's errors."""
        sent = statement(sql, parameters, self.backend.dialect)
        into = self.collector(max_rows)
        await self.run(lambda connection: self.backend.select(connection, sent, into), tidy=True)
        return into

    async def explain(self, sql: str, parameters: Mapping[str, Any] | None) -> Collector:
        """Return the plan of a statement, as the database shows it."""
        sent = statement(sql, parameters, self.backend.dialect)
        into = self.collector()
        await self.run(lambda connection: self.backend.explain(connection, sent, into), tidy=True)
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

    async def run(self, work: Work[T], *, writing: bool = False, tidy: bool = False) -> T:
        """Do `work` in its own transaction. It is read-only, or with `writing` it is committed.

        The statement is stopped at the server if the call is cancelled or `statement_timeout` is over. `tidy` means
        that the caller's own SQL runs; afterwards the session is cleaned.

        Raises:
            ToolError: The database reported an error, cannot be reached or closed the connection, or the time is over.
        """
        connection = await self._checkout(writing=writing)
        usable = False
        try:
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
            failure = self._failure(error)
            if failure is None:
                raise
            usable = failure.cause in ("statement", "read-only", "busy") or self.backend.grace == 0
            raise ToolError(self._text(failure, writing=writing)) from None
        finally:
            with anyio.CancelScope(shield=True):
                await self._give_back(connection, usable=usable, tidy=tidy)

    async def close(self) -> None:
        """Close the pools."""
        with anyio.CancelScope(shield=True):
            while self._engines:
                _, engine = self._engines.popitem()
                with anyio.move_on_after(CLOSING):
                    await engine.dispose()

    async def _transaction(self, connection: AsyncConnection, work: Work[T], *, writing: bool) -> T:
        await self.backend.begin(connection, writing=writing)
        result = await work(connection)
        if writing:
            await connection.commit()
        return result

    async def _checkout(self, *, writing: bool) -> AsyncConnection:
        """Take a connection from the pool. Raises ToolError if there is none."""
        from sqlalchemy import exc

        engine = self._engines.get(writing)
        if engine is None:
            engine = self._engines[writing] = self.backend.open_engine(writing=writing)
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
        except (OSError, TimeoutError, TypeError) as error:
            self._log.warning("connecting to %s failed: %s", self.shown, type(error).__name__)
            raise ToolError(self._text(Failure("unreachable", _why(error)), writing=writing)) from None
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
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
            case "statement":
                return f"{title} says: {text}"

    def _redacted(self, text: str) -> str:
        password = self.settings.password.get_secret_value() if self.settings.password else ""
        return text.replace(password, "***") if password else text


async def _cancel_connecting(task: asyncio.Task[Any]) -> None:
    """Stop connecting. If a connection was made nevertheless, it is returned to the pool."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await task.result().close()


def _why(error: BaseException) -> str:
    if isinstance(error, TypeError):
        return "its URL has an option that the driver does not know"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused; is the server running?"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
