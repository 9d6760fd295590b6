"""Finds the programs that mcp-host runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of a program on PATH or beside this Python, or None."""
    # uv sets its own path in UV for its child processes. Programs of this environment may not be on PATH.
    set_by_uv = environ.get("UV") if name == "uv" else None
    beside = str(Path(sys.executable).parent)
    return set_by_uv or shutil.which(name, path=environ.get("PATH", os.defpath)) or shutil.which(name, path=beside)
