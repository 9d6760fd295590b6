"""A call that runs until its server lets it go."""

from __future__ import annotations

from typing import Any

import anyio
from mcp import Client


class Held:
    """A call over HTTP that has reported to be running."""

    def __init__(self) -> None:
        self.running = anyio.Event()
        self.result: Any = None

    async def call(self, client: Client, tool: str) -> None:
        self.result = await client.call_tool(tool, {}, progress_callback=self._progress)

    async def _progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.running.set()
