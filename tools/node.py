"""Installs the npm packages that some tests need; if it cannot, it prints why, and those tests are skipped."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.node import MissingError, install

try:
    install()
except MissingError as error:
    print(f"Not installed, so the tests that need them are skipped: npm packages ({error})")
