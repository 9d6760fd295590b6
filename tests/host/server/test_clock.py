"""The clock on the wall may jump: deadlines, pauses and sessions do not depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import anyio
import pytest
from mcp.types import TextContent

from mcp_host import Plugin
from mcp_host.testing import connect

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
YEAR = 365 * 24 * 3600.0


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Moves the clock by so many seconds."""
    moved, now = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + moved[0])
    yield lambda seconds: moved.append(moved.pop() + seconds)
    monkeypatch.undo()


@each_era
@pytest.mark.parametrize("seconds", [YEAR, -YEAR, 3600, -3600], ids=["+year", "-year", "+hour", "-hour"])
async def test_calls_go_on_when_the_clock_jumps(mode: str, seconds: float, jump: Callable[[float], None]) -> None:
    plugin, go_on = Plugin(), anyio.Event()

    @plugin.tool(timeout=30)
    async def wait() -> str:
        jump(seconds)
        await anyio.lowlevel.checkpoint()
        go_on.set()
        return "waited"

    @plugin.tool(timeout=0.2)
    async def hang() -> str:
        jump(seconds)
        await anyio.sleep_forever()
        return ""

    @plugin.tool
    def fail() -> str:
        raise RuntimeError

    options = {"plugins": {"plugin": {"limits": {"failures": 2, "cooldown": "300s"}}}}
    async with connect(plugin, mode=mode, options=options) as client:
        waited = await client.call_tool("wait", {})
        assert isinstance(waited.content[0], TextContent)
        assert waited.content[0].text == "waited"
        stopped = await client.call_tool("hang", {})
        assert "did not finish within 0.2 s" in str(stopped.content)
        await client.call_tool("fail", {})
        # The pause after failures in a row is neither over nor longer.
        jump(seconds)
        paused = await client.call_tool("wait", {})
        assert "is paused after 2 failures in a row; it is tried again in" in str(paused.content)
        assert " 300 s" in str(paused.content) or " 299 s" in str(paused.content)
