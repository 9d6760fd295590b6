"""Whether processes run, and their ends as events."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LONGEST = 30.0
"""Seconds in which processes that were told to end must have ended."""


def is_running(pid: int) -> bool:
    """Return whether a process exists and has not ended. A killed one runs for another moment: see `left_of`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not select.select([handle], [], [], 0)[0]
    finally:
        os.close(handle)


def left_of(pids: Iterable[int], longest: float = LONGEST) -> list[int]:
    """Wait until processes have ended, and return those that have not after `longest` seconds in all."""
    until = time.monotonic() + longest
    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
                left.append(pid)
        finally:
            os.close(handle)
    return left


def running_with(text: str) -> list[int]:
    """Return the processes whose command line has the text, without this one."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (each / "cmdline").read_bytes() and int(each.name) != os.getpid():
                found.append(int(each.name))
    return found
