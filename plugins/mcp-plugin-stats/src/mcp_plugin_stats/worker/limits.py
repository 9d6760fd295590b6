"""Bounds how much the memory of this process may grow, whatever the engine counts (Linux).

Two rules hold it. A thread looks at the resident memory and ends the process when it has grown too much. In addition
the system refuses single allocations that are much too large. The system's limit alone does not do: it counts what
allocators reserve and never use, which is three times as much.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

EVERY: Final = 0.01
"""Seconds between two looks."""

NEAR: Final = 0.7
"""The part of the growth at which the process ends. The rest is for what is allocated between two looks."""

RESERVED: Final = 4
"""How many times the growth may be reserved."""

STATUS: Final = Path("/proc/self/status")


def bound_memory(growth: int) -> None:
    """Let the process grow by `growth` bytes from now on. Elsewhere than on Linux, only DuckDB's own limit holds."""
    if not STATUS.exists():
        return
    import resource

    most = _bytes("VmData") + RESERVED * growth
    with contextlib.suppress(ValueError, OSError):  # a lower limit was set from outside
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allowed = _bytes("VmRSS") + int(NEAR * growth)
    threading.Thread(target=_watch, args=(allowed,), name="memory", daemon=True).start()


def _watch(allowed: int) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    pause = threading.Event()
    with open("/proc/self/statm", "rb", buffering=0) as file:
        while not pause.wait(EVERY):
            file.seek(0)
            if int(file.read(100).split()[1]) * page > allowed:
                os._exit(1)  # the host's process reports it to the caller, and starts another worker


def _bytes(name: str) -> int:
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
