"""`faulty.py` as a plugin of a host: its table, and what it leaves in its folder."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from watchfiles import awatch

PROGRAM = Path(__file__).with_name("faulty.py")


@dataclass(frozen=True)
class Faulty:
    """One `faulty.py`, with a folder of its own."""

    folder: Path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-I", str(PROGRAM), str(self.folder), *words]

    def table(self, *words: str, name: str = "faulty", **keys: Any) -> str:
        """Return its table in the TOML."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        return "\n".join([f"[plugins.{name}]", f"command = {json.dumps(self.command(*words))}", *lines, ""])

    def _lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    @property
    def pids(self) -> list[int]:
        """The process ids of all its starts."""
        return [int(line) for line in self._lines("starts")]

    @property
    def seen(self) -> list[str]:
        """The methods of the requests that it got."""
        return self._lines("seen")

    def lists(self, **lists: Any) -> None:
        """Replace some of its lists."""
        draft = self.folder / "lists.draft"
        draft.write_text(json.dumps(lists))
        draft.rename(self.folder / "lists.json")

    async def wrote(self, name: str) -> str:
        """Wait until it has written a file, and return the text."""
        file = self.folder / name
        with anyio.fail_after(30):
            async for _ in awatch(self.folder, step=10, debounce=10, rust_timeout=100, yield_on_timeout=True):
                if file.exists():
                    break
        return file.read_text()


def tool(name: str, **more: Any) -> dict[str, Any]:
    """Return the definition of a tool."""
    return {"name": name, "inputSchema": {"type": "object"}, **more}
