"""Installs the npm packages that some tests drive the host with; says why if it cannot, and those tests skip."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.node import MissingError, install

try:
    install()
except MissingError as error:
    print(f"Not installed, so that the tests that need them skip: npm packages ({error})")
