"""A server with faults in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.faultyserver import Faulty


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    folder = tmp_path / "faulty"
    folder.mkdir()
    return Faulty(folder)
