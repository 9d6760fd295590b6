from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host.testing import connect
from mcp_plugin_report import plugin
from mcp_plugin_sql import plugin as sql
from mcp_plugin_stats import plugin as stats

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An SQLite file: 30 orders of three shops over a month, an empty table, and a hostile table."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT, day DATE, price DECIMAL(8, 2))")
        rows = [(n, "ABC"[n % 3], f"2025-03-{n:02}", None if n == 7 else n * 1.5) for n in range(1, 31)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE returns (a TEXT, b INTEGER)")
        connection.execute('CREATE TABLE "<script>alert(1)</script>" ("<img src=x onerror=alert(2)>" TEXT, "a|b" INT)')
        evil = ["</title><script>alert(3)</script>", "![x](https://evil.example/x.png)", "a\u202eb", "x\n# y"]
        connection.executemany(
            'INSERT INTO "<script>alert(1)</script>" VALUES (?, ?)', [(text, 1) for text in evil for _ in range(2)]
        )
    return path


@pytest.fixture
def served(mode: str, tmp_path: Path, database: Path) -> Served:
    """The plugin with stats and the database's tables, served to a real client in each protocol era."""

    def serve(
        *, others: Mapping[str, object] | None = None, stats_settings: Mapping[str, Any] | None = None, **settings: Any
    ) -> AbstractAsyncContextManager[Client]:
        client_options = settings.pop("client_options", {})
        plugins = {"stats": stats, "sql": sql} if others is None else dict(others)
        given = {"stats": dict(stats_settings or {}), "sql": {"url": str(database), "max_rows": 200}}
        tables: dict[str, dict[str, Any]] = {name: {"settings": given.get(name, {})} for name in plugins}
        if "stopper" in tables:
            tables["stopper"]["middleware"] = "all"
        return connect(
            {"report": plugin, **plugins},
            mode=settings.pop("mode", mode),
            options={
                "host": {"data_dir": str(tmp_path / "data")},
                "plugins": {**tables, "report": {"settings": settings}},
            },
            **client_options,
        )

    return serve


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder that the kept reports are in."""
    return tmp_path / "data" / "report" / "reports"
