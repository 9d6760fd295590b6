"""Bounds how much the memory of this process may grow. The system enforces it, whatever the engine counts."""

from __future__ import annotations

import contextlib
from pathlib import Path


def bound_memory(growth: int) -> None:
    """Let the process have `growth` more bytes of data than now (Linux). Elsewhere, only DuckDB's own limit holds."""
    try:
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except (ImportError, OSError):
        return
    (kilobytes,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:")]
    most = kilobytes * 1024 + growth
    with contextlib.suppress(ValueError, OSError):  # a lower limit was set from outside
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
