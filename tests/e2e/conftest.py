"""`mcp-host` in a temporary folder with real plugin distributions installed: as a process, or in this one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.invoking import Invoke
from support.processes import Cli, environment_of
from support.sites import Site, source_of

DISTRIBUTIONS = (
    "polled",
    "neighbour",
    "careless",
    "hostile",
    "stopper",
    "doubts",
    "good",
    "noisy",
    "lingering",
    "hanging",
    "vault",
    "frail",
    "broken",
    "future",
)
"""Plugins of support/plugins/."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The backend of every test, in a scope that lets a module share a connected client."""
    return "asyncio"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site directory with those plugins installed; `cli` and `invoke` have it on their path."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder, tmp_path_factory.mktemp("wheels"))
    for name in DISTRIBUTIONS:
        site.plugin(name, source_of(name), requires=("mcp-host>=99" if name == "future" else "mcp-host",))
    return site


@pytest.fixture
def invoke(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Invoke]:
    """Commands in an empty folder of the test's own, in this process."""
    for name in [name for name in os.environ if name.startswith(("MCP_", "GOOD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level
        for name in ("uvicorn", "mcp", "asyncio", "httpx2", "httpcore2", "watchfiles")
    }
    yield Invoke(tmp_path, capfd)
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    # Other tests have plugins of the same names.
    site.forget()


@pytest.fixture
def cli(site: Site, tmp_path: Path) -> Cli:
    """Commands in an empty folder of the test's own."""
    return Cli(tmp_path, environment_of(site.folder, tmp_path))


@pytest.fixture(scope="module")
def module_cli(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Commands in an empty folder that the tests of one module share, and so the time of what they start."""
    folder = tmp_path_factory.mktemp("shared")
    return Cli(folder, environment_of(site.folder, folder), longest=1800)
