from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host.testing import connect
from mcp_plugin_stats import plugin
from mcp_plugin_stats.engine import Engine
from mcp_plugin_stats.settings import Settings
from mcp_plugin_stats.shipped import shipped_files

Served = Callable[..., AbstractAsyncContextManager[Client]]
Engines = Callable[..., AbstractAsyncContextManager[Engine]]
Parquet = Callable[[Path, str], None]
Refused = Callable[[CallToolResult], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of mcp-host.toml. Relative paths of data sets start here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def served(mode: str, folder: Path) -> Served:
    """The plugin served to a real client, in each protocol era."""

    def serve(**settings: Any) -> AbstractAsyncContextManager[Client]:
        return connect(plugin, name="stats", settings=settings, mode=mode)

    return serve


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    """The plugin's state without a server."""

    @asynccontextmanager
    async def open_engine(**settings: Any) -> AsyncIterator[Engine]:
        with shipped_files() as shipped:
            engine = Engine(Settings(**settings), tmp_path, shipped, logging.getLogger("stats"))
            try:
                yield engine
            finally:
                await engine.close()

    return open_engine


@pytest.fixture
def parquet() -> Parquet:
    """Writes the rows of a query as a Parquet file."""

    def write(path: Path, sql: str) -> None:
        with duckdb.connect(":memory:") as connection:
            connection.sql(sql).write_parquet(str(path))

    return write


@pytest.fixture(autouse=True)
def no_leftovers(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The private folders of the copies are created here. They must be removed at the end of a test."""
    private = tmp_path_factory.mktemp("private")
    monkeypatch.setattr("tempfile.tempdir", str(private))
    yield private
    assert not list(private.glob("mcp-stats-*"))
