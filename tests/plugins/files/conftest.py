from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

import mcp_plugin_files
from mcp_host.testing import connect
from mcp_plugin_files.roots import Root, Roots
from mcp_plugin_files.settings import Settings

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]
RootOf = Callable[..., Root]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root `docs` in the folder of mcp-host.toml. Beside it are files that nobody may reach."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("OUTSIDE")
    return docs


@pytest.fixture
def served(mode: str, folder: Path) -> Served:
    """The plugin served to a real client in each protocol era, with the root `docs`. `rules` are its settings."""

    def serve(rules: dict[str, Any] | None = None, **settings: Any) -> AbstractAsyncContextManager[Client]:
        given = {"roots": {"docs": {"path": "docs", **(rules or {})}}, "watch": False, **settings}
        return connect(mcp_plugin_files, name="files", settings=given, mode=mode)

    return serve


@pytest.fixture
def root_of(folder: Path) -> RootOf:
    """The root `docs` without a server."""

    def make(**rules: Any) -> Root:
        settings = Settings.model_validate({"roots": {"docs": {"path": str(folder), **rules}}})
        return Roots(settings, folder.parent).get("docs")

    return make


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("files")
