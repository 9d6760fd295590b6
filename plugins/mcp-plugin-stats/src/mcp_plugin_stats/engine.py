"""The plugin's state: the data sets, loaded at first use, and the DuckDB database for queries."""

from __future__ import annotations

import contextlib
import difflib
import glob
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_host import ToolError
from mcp_plugin_stats import admission, sandbox
from mcp_plugin_stats.session import Session, Table, reason
from mcp_plugin_stats.settings import DatasetFile, Settings
from mcp_plugin_stats.stopping import OutOfTimeError, in_thread
from mcp_plugin_stats.values import NUMBERS, listed, quoted

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

AT_ONCE = 4
"""How many queries run at the same time. More queries wait."""


@dataclass(frozen=True)
class Column:
    """A column of a data set; `kind` is DuckDB's type without its parameters."""

    name: str
    type: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether the column contains numbers."""
        return self.kind in NUMBERS


@dataclass(frozen=True)
class Dataset:
    """A loaded data set."""

    name: str
    rows: int
    columns: tuple[Column, ...]

    def column(self, name: str, *, numeric: bool = False) -> Column:
        """Return the column with this name. If only one column matches, the case is ignored.

        Raises ToolError with a list of the columns.
        """
        same = [column for column in self.columns if column.name == name]
        same = same or [column for column in self.columns if column.name.lower() == name.lower()]
        if len(same) != 1:
            names = [column.name for column in self.columns]
            raise ToolError(
                f"Data set {self.name!r} has no column {name!r}.{_nearest(name, names)} Columns: {listed(names)}."
            )
        if numeric and not same[0].numeric:
            raise ToolError(
                f"Column {same[0].name!r} of {self.name!r} is {same[0].type}, not a number. "
                f"Columns of numbers: {listed(self.numbers)}."
            )
        return same[0]

    @property
    def numbers(self) -> list[str]:
        """The names of the columns with numbers."""
        return [column.name for column in self.columns if column.numeric]


@dataclass
class _Source:
    name: str
    file: DatasetFile
    path: Path
    shown: str
    loading: anyio.Lock = field(default_factory=anyio.Lock)
    copy: Path | None = None
    loaded: Dataset | None = None


class Engine:
    """The plugin's state. It reads no file and does not import DuckDB before the first request."""

    def __init__(
        self, settings: Settings, base_dir: Path, shipped: Mapping[str, DatasetFile], log: logging.Logger
    ) -> None:
        self.settings = settings
        self._log = log
        self._sources = dict(_sources(settings, base_dir, shipped))
        self._opening = anyio.Lock()
        self._slots = anyio.Semaphore(AT_ONCE)
        self._folder: Path | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def names(self) -> list[str]:
        """The data sets in the order of the settings, then those that came with the plugin."""
        return [source.name for source in self._sources.values()]

    def about(self, name: str) -> tuple[DatasetFile, str]:
        """Return a data set's file, and its source as configured. Raises ToolError for an unknown name."""
        source = self._source(name)
        return source.file, source.shown

    async def dataset(self, name: str) -> Dataset:
        """Return a data set, loaded if necessary. Raises ToolError if it is unknown or its file cannot be read."""
        source = self._source(name)
        async with source.loading:
            if source.loaded is None:
                source.loaded = await self._load(source)
            return source.loaded

    async def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in a worker thread, in its own read-only transaction.

        It is interrupted if the call is cancelled or `query_timeout` is over. Raises ToolError for DuckDB's errors.
        """
        connection = await self._open()
        async with self._slots:
            session = Session(connection, self.settings.memory_limit)
            try:
                return await in_thread(lambda: session.run(work), session.stop, self.settings.query_timeout)
            except OutOfTimeError:
                raise ToolError(
                    f"The query took longer than {self.settings.query_timeout:g} s and was stopped: "
                    "reduce the result, for example with a condition or an aggregate."
                ) from None
            finally:
                if session.fatal:
                    self._log.error("DuckDB failed and is opened again")
                    await self._forget(connection)

    async def query(self, sql: str) -> Table:
        """Return the first `max_rows` rows of a caller's SELECT. Raises ToolError if it is not allowed or fails."""
        connection = await self._open()
        query = await anyio.to_thread.run_sync(_admitted, connection, sql)
        for table in query.tables:
            await self.dataset(table)
        return await self.run(lambda session: session.select(query.sql, self.settings.max_rows))

    async def close(self) -> None:
        """Close the database and remove the copies."""
        with anyio.CancelScope(shield=True):
            if self._connection is not None:
                await self._forget(self._connection)
            if self._folder is not None:
                await anyio.to_thread.run_sync(lambda folder: shutil.rmtree(folder, ignore_errors=True), self._folder)

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name.lower())
        if source is None:
            raise ToolError(
                f"There is no data set {name!r}.{_nearest(name, self.names)} Data sets: {listed(self.names)}."
            )
        return source

    async def _load(self, source: _Source) -> Dataset:
        if source.copy is None:
            source.copy = await self._copy(source)
        connection = await self._open()
        with contextlib.closing(connection.cursor()) as cursor:
            await anyio.to_thread.run_sync(sandbox.attach, cursor, source.name, source.copy)
        return await self.run(lambda session: _described(session, source.name))

    async def _copy(self, source: _Source) -> Path:
        copy = self._private() / f"{list(self._sources).index(source.name.lower())}.duckdb"
        copying = sandbox.Copying(source.file, source.path, copy, self.settings.memory_limit)
        what = f"Data set {source.name!r} ({source.shown}) cannot be used"
        try:
            await in_thread(copying.run, copying.stop, self.settings.load_timeout)
        except OutOfTimeError:
            raise ToolError(f"{what}: reading it took longer than {self.settings.load_timeout:g} s.") from None
        except FileNotFoundError:
            raise ToolError(f"{what}: there is no such file.") from None
        except Exception as error:
            why = reason(error, self.settings.memory_limit)
            if why is None:
                raise
            # The text after LINE quotes the plugin's own SQL.
            why = why.partition("\nLINE ")[0]
            for real in (str(source.path), glob.escape(str(source.path))):
                why = why.replace(real, source.shown)
            raise ToolError(f"{what}: {why}") from None
        self._log.info("loaded %s from %s", source.name, source.shown)
        return copy

    async def _open(self) -> duckdb.DuckDBPyConnection:
        async with self._opening:
            if self._connection is None:
                folder = self._private()
                connection = await anyio.to_thread.run_sync(sandbox.open_sandbox, folder, self.settings.memory_limit)
                for source in self._sources.values():
                    if source.copy is not None:
                        await anyio.to_thread.run_sync(sandbox.attach, connection, source.name, source.copy)
                self._connection = connection
            return self._connection

    async def _forget(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self._connection is connection:
            self._connection = None
        with contextlib.suppress(Exception):
            await anyio.to_thread.run_sync(connection.close)

    def _private(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mcp-stats-")).resolve()
        return self._folder


def _sources(settings: Settings, base_dir: Path, shipped: Mapping[str, DatasetFile]) -> Iterable[tuple[str, _Source]]:
    configured = {name.lower() for name in settings.files}
    for name, file in settings.files.items():
        yield name.lower(), _Source(name, file, base_dir / Path(file.path).expanduser(), file.path)
    for name, file in shipped.items() if settings.shipped else ():
        if name not in configured:
            yield name, _Source(name, file, Path(file.path), "shipped with mcp-plugin-stats")


def _described(session: Session, name: str) -> Dataset:
    columns = tuple(Column(*column) for column in session.columns(f"FROM {quoted(name)}"))
    rows = session.value(f"SELECT count(*) FROM {quoted(name)}")
    return Dataset(name, int(rows or 0), columns)


def _admitted(connection: duckdb.DuckDBPyConnection, sql: str) -> admission.Query:
    with contextlib.closing(connection.cursor()) as cursor:
        return admission.admit(cursor, sql)


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    meant = next((known for known in names if near and known.lower() == near[0]), None)
    return f" Did you mean {meant!r}?" if meant else ""
