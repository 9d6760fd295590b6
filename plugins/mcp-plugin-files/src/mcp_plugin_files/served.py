"""What the plugin holds while it serves: its roots, the threads its work runs in, and the one write at a time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from mcp_plugin_files.listing import Walk
from mcp_plugin_files.roots import Roots
from mcp_plugin_files.settings import Settings

T = TypeVar("T")

THREADS = 8
"""Calls that may be at the disk at once: one that hangs, as on a network drive that is gone, keeps its place."""


@dataclass(frozen=True)
class Files:
    """The plugin's state."""

    settings: Settings
    roots: Roots
    ripgrep: str | None
    threads: anyio.CapacityLimiter
    writing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, settings: Settings, roots: Roots) -> Files:
        """The state for these settings."""
        program = shutil.which("rg") if settings.ripgrep else None
        return cls(settings, roots, program, anyio.CapacityLimiter(THREADS))

    async def run(self, work: Callable[[], T]) -> T:
        """The result of blocking work, in a thread."""
        return await anyio.to_thread.run_sync(work, limiter=self.threads)

    async def walk(self, work: Callable[[Walk], T]) -> T:
        """The result of work that walks, in a thread; cancelling the caller stops the walk."""
        walk = Walk(self.settings.max_entries)
        try:
            return await anyio.to_thread.run_sync(partial(work, walk), abandon_on_cancel=True, limiter=self.threads)
        finally:
            walk.stop.set()

    async def write(self, work: Callable[[], T]) -> T:
        """The result of work that changes files; one runs at a time, to its end."""

        def alone() -> T:
            with self.writing:
                return work()

        return await self.run(alone)
