"""Fixtures that every test shares."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from support.sites import Site

# No test may fail for being slow on a busy machine.
hypothesis.settings.register_profile("mcp-host", deadline=None)
hypothesis.settings.load_profile("mcp-host")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command run in this process does to the root logger."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site directory that this process imports from until the test ends."""
    folder, wheels = tmp_path / "site", tmp_path / "wheels"
    folder.mkdir()
    wheels.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # Whatever another test imported under these names was another plugin.
    for name in [name for name in sys.modules if name.startswith("mcp_plugin_")]:
        monkeypatch.delitem(sys.modules, name)
    installed = Site(folder, wheels)
    yield installed
    installed.forget()
