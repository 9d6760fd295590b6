"""The plugin's state: the data sets, loaded at first use, and the worker in which DuckDB reads and queries them."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from mcp_host import ToolError
from mcp_plugin_stats.datasets import Dataset, nearest
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.settings import DatasetFile, Settings
from mcp_plugin_stats.sources import find_files
from mcp_plugin_stats.stopping import OutOfTimeError, in_thread
from mcp_plugin_stats.values import listed
from mcp_plugin_stats.worker import admission
from mcp_plugin_stats.worker.exporting import Export
from mcp_plugin_stats.worker.loading import Load
from mcp_plugin_stats.worker.messages import Setup
from mcp_plugin_stats.worker.process import FatalError, NotTakenError, Worker, WorkerEndedError
from mcp_plugin_stats.worker.sandbox import too_much_memory
from mcp_plugin_stats.worker.session import InSession, Session, Table, select

T = TypeVar("T")

AT_ONCE = 4
"""How many queries run at the same time. More queries wait."""


@contextmanager
def as_tool_error() -> Iterator[None]:
    """Raise the errors of data as errors for the caller."""
    try:
        yield
    except DataError as error:
        raise ToolError(str(error)) from None


@dataclass
class _Source:
    name: str
    file: DatasetFile
    base_dir: Path
    shown: str
    loading: anyio.Lock = field(default_factory=anyio.Lock)
    copy: Path | None = None
    loaded: Dataset | None = None


class Engine:
    """The plugin's state. It reads no file and starts no worker before the first request.

    `owned` says whether a path belongs to the host itself. Such files are not read.
    """

    def __init__(
        self,
        settings: Settings,
        base_dir: Path,
        shipped: Mapping[str, DatasetFile],
        log: logging.Logger,
        owned: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        self.settings = settings
        self.base_dir = base_dir
        self._log = log
        self._owned = owned
        self._sources = dict(_sources(settings, base_dir, shipped))
        self._opening = anyio.Lock()
        self._slots = anyio.Semaphore(AT_ONCE)
        self._folder: Path | None = None
        self._worker: Worker | None = None

    @property
    def names(self) -> list[str]:
        """The data sets in the order of the settings, then those that came with the plugin."""
        return [source.name for source in self._sources.values()]

    @property
    def worker_pid(self) -> int | None:
        """The id of the worker's process, if there is one."""
        return self._worker.pid if self._worker is not None else None

    def about(self, name: str) -> tuple[DatasetFile, str, Dataset | None]:
        """Return a data set's file, its source as configured, and itself if it is loaded.

        Raises ToolError for an unknown name.
        """
        source = self._source(name)
        return source.file, source.shown, source.loaded

    async def dataset(self, name: str) -> Dataset:
        """Return a data set, loaded if necessary. Raises ToolError if it is unknown or its file cannot be read."""
        source = self._source(name)
        async with source.loading:
            if source.loaded is None:
                source.loaded = await self._load(source)
            return source.loaded

    async def run(self, work: Callable[[Session], T]) -> T:
        """Do `work` in the worker, in its own read-only transaction.

        `work` and its result are pickled: it is a function of a module, or a `partial` of one. It is interrupted if the
        call is cancelled or `query_timeout` is over. Raises ToolError for DuckDB's errors.
        """
        try:
            result: T = await self._ask(InSession(work), self.settings.query_timeout)
        except OutOfTimeError:
            raise ToolError(
                f"The query took longer than {self.settings.query_timeout:g} s and was stopped: "
                "reduce the result, for example with a condition or an aggregate."
            ) from None
        except DataError as error:
            raise ToolError(str(error)) from None
        return result

    async def query(self, sql: str) -> tuple[Table, list[str]]:
        """Return the first rows of a caller's SELECT, and the warnings about its data sets.

        Raises ToolError if it is not allowed or fails.
        """
        admitted, warnings = await self.admit(sql)
        limits = self.settings.max_rows, self.settings.max_result_bytes
        return await self.run(partial(select, sql=admitted, limit=limits[0], most_bytes=limits[1])), warnings

    async def admit(self, sql: str) -> tuple[str, list[str]]:
        """Return an allowed query, with its data sets loaded, and the warnings about them. Raises ToolError."""
        query = await self.run(partial(admission.admit, sql=sql))
        warnings = []
        for table in query.tables:
            data = await self.dataset(table)
            warnings += [f"{data.name}: {warning}" for warning in data.warnings]
        return query.sql, warnings

    async def export(self, sql: str, target: Path) -> int:
        """Write all rows of a caller's SELECT to a file, and return their number. Raises ToolError."""
        admitted, _ = await self.admit(sql)
        with as_tool_error():
            try:
                rows: int = await self._ask(Export(admitted, target), self.settings.load_timeout)
            except OutOfTimeError:
                raise DataError(f"The export took longer than {self.settings.load_timeout:g} s.") from None
            except OSError as error:
                raise DataError(f"The file cannot be written: {error.strerror or error}.") from None
        return rows

    async def close(self) -> None:
        """End the worker and remove the copies."""
        with anyio.CancelScope(shield=True):
            if self._worker is not None:
                await self._leave(self._worker, at_once=True)
            if self._folder is not None:
                await anyio.to_thread.run_sync(lambda folder: shutil.rmtree(folder, ignore_errors=True), self._folder)

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name.lower())
        if source is None:
            raise ToolError(
                f"There is no data set {name!r}.{nearest(name, self.names)} Data sets: {listed(self.names)}."
            )
        return source

    async def _load(self, source: _Source) -> Dataset:
        copy = self._private() / f"{list(self._sources).index(source.name.lower())}.duckdb"
        what = f"Data set {source.name!r} ({source.shown}) cannot be used"
        try:
            files = await anyio.to_thread.run_sync(find_files, source.file, source.base_dir, self._owned)
            work = Load(source.name, source.file, files, copy)
            data: Dataset = await self._ask(work, self.settings.load_timeout)
        except OutOfTimeError:
            raise ToolError(f"{what}: reading it took longer than {self.settings.load_timeout:g} s.") from None
        except FileNotFoundError as error:
            raise ToolError(f"{what}: {error}.") from None
        except OSError as error:
            raise ToolError(f"{what}: {error.strerror or error}.") from None
        except DataError as error:
            raise ToolError(f"{what}: {self._without_paths(str(error), source)}") from None
        source.copy = copy
        self._log.info("loaded %s from %s", source.name, source.shown)
        for warning in data.warnings:
            self._log.warning("%s: %s", source.name, warning)
        return data

    def _without_paths(self, text: str, source: _Source) -> str:
        for real in (str(source.base_dir / Path(source.file.path).expanduser()), str(self._private())):
            text = text.replace(real, source.shown)
        return text if text.endswith((".", '"')) else f"{text}."

    async def _ask(self, work: Callable[[Any, Any], Any], seconds: float) -> Any:
        """Return the result of some work in the worker. Raises what `Worker.call` raises, and OutOfTimeError."""
        async with self._slots:
            try:
                return await self._ask_worker(work, seconds)
            except NotTakenError:
                # An earlier request has ended the worker.
                return await self._ask_worker(work, seconds)

    async def _ask_worker(self, work: Callable[[Any, Any], Any], seconds: float) -> Any:
        worker = await self._open()
        number = worker.number()
        try:
            return await in_thread(partial(worker.call, number, work), partial(worker.stop, number), seconds)
        except NotTakenError:
            raise
        except WorkerEndedError:
            self._log.error("the worker has ended and is started again")
            raise DataError(too_much_memory(self.settings.memory_limit)) from None
        except FatalError as error:
            self._log.error("DuckDB failed and is opened again")
            raise DataError(str(error)) from None
        finally:
            ignores_its_stop = worker.unanswered(number)
            if ignores_its_stop or worker.ended:
                with anyio.CancelScope(shield=True):
                    await self._leave(worker, at_once=ignores_its_stop)

    async def _open(self) -> Worker:
        async with self._opening:
            if self._worker is not None and self._worker.ended:
                await self._leave(self._worker)
            if self._worker is None:
                copies = tuple((each.name, each.copy) for each in self._sources.values() if each.copy is not None)
                setup = Setup(self._private(), self.settings.memory, self.settings.memory_limit, copies)
                self._worker = await anyio.to_thread.run_sync(Worker, setup)
            return self._worker

    async def _leave(self, worker: Worker, *, at_once: bool = False) -> None:
        """Ask another worker from now on. This one ends now, or when the last of its other requests is answered."""
        if self._worker is worker:
            self._worker = None
        if at_once or worker.idle:
            await anyio.to_thread.run_sync(worker.close)

    def _private(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mcp-stats-")).resolve()
        return self._folder


def _sources(settings: Settings, base_dir: Path, shipped: Mapping[str, DatasetFile]) -> Iterable[tuple[str, _Source]]:
    configured = {name.lower() for name in settings.datasets}
    for name, file in settings.datasets.items():
        yield name.lower(), _Source(name, file, base_dir, file.path)
    for name, file in shipped.items() if settings.shipped else ():
        if name not in configured:
            yield name, _Source(name, file, base_dir, "shipped with mcp-plugin-stats")
