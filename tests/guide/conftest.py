"""What the chapters of the guide share: both protocol eras, a folder of real data, and `mcp-host` as a process."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from e2e.conftest import Cli

SERVERS = Path(__file__).parent / "servers"
"""The plugins, one file a chapter, which docs/howto/port-fastmcp.md shows."""


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    """Protocol 2026-07-28, and the versions with a handshake."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents, a database of users and a dataset."""
    (tmp_path / "readme.md").write_text("# Welcome\n\nThis is a document.\n", encoding="utf-8")
    (tmp_path / "changelog.md").write_text("v1.0.0\n", encoding="utf-8")
    (tmp_path / "sales.csv").write_text("amount\n" + "2\n" * 2500, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "users.db")) as db, db:
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, status TEXT)")
        db.execute("INSERT INTO users VALUES (1, 'Ann', 'active'), (2, 'Bob', 'away')")
    return tmp_path


@pytest.fixture
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """`mcp-host` commands in the test's own folder, with the chapters' modules on the path."""
    home = tmp_path_factory.mktemp("cli")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "PYTHONPATH"))}
    path = {"PYTHONPATH": str(SERVERS), "HOME": str(home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    return Cli(home, kept | path)
