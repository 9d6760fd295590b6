"""The plugin's state: its roots, the threads for its work, and the lock that allows one write at a time."""

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
"""How many calls may use the disk at once. A call that hangs (a lost network drive, for example) keeps its place."""

DOCUMENTS = 2
"""How many documents are read at once, each in a process of its own."""


@dataclass(frozen=True)
class Files:
    """The plugin's state."""

    settings: Settings
    roots: Roots
    ripgrep: str | None
    threads: anyio.CapacityLimiter
    documents: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(DOCUMENTS))
    writing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, settings: Settings, roots: Roots) -> Files:
        """Return the state for these settings."""
        program = shutil.which("rg") if settings.ripgrep else None
        return cls(settings, roots, program, anyio.CapacityLimiter(THREADS))

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread and return its result."""
        return await anyio.to_thread.run_sync(work, limiter=self.threads)

    async def walk(self, work: Callable[[Walk], T]) -> T:
        """Run a walk in a thread and return its result. If the caller is cancelled, the walk stops."""
        walk = Walk(self.settings.max_entries)
        try:
            return await anyio.to_thread.run_sync(partial(work, walk), abandon_on_cancel=True, limiter=self.threads)
        finally:
            walk.stop.set()

    async def write(self, work: Callable[[], T]) -> T:
        """Run work that changes files and return its result. One runs at a time, and always to its end."""

        def alone() -> T:
            with self.writing:
                return work()

        return await self.run(alone)
