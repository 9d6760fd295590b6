"""Finds a part of the command line by name, so that the rooms above it can contribute without being imported."""

from __future__ import annotations

import importlib
from typing import Any


def find(path: str) -> Any:
    """Return what `package.module:attribute` names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
