"""How long a plugin's calls take while 45 calls of another plugin hang: the host compared with the bare SDK.

One client runs idle and hung rounds in turn, so that other load on the machine affects both. A call without a result
after 5 s counts as 5 s and ends its round. `None` means not measured: when its threads hang, the bare SDK does not read
stdin any more.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import Client, MCPError

from connecting import Server, Transport, connected
from figures import percentile, show

HUNG = 45
AT_ONCE = {"hang": HUNG, "hang_thread": 40}
"""How many calls hang at the same time. There are at most 40 threads, in anyio's pool and with `limits.threads`."""
LONGEST = 5.0
TOOLS = ("add", "add_async")


@asynccontextmanager
async def hanging(client: Client, tool: str) -> AsyncIterator[None]:
    """Let 45 calls of the tool hang during the block."""
    ended = 0

    async def hang() -> None:
        nonlocal ended
        result = await client.call_tool(tool, {})
        assert not result.is_error, result
        ended += 1

    async with anyio.create_task_group() as group:
        for _ in range(HUNG):
            group.start_soon(hang)
        with anyio.fail_after(30):
            while await held(client) < AT_ONCE[tool]:
                await anyio.lowlevel.checkpoint()
        yield
        while ended < HUNG:
            # Calls that waited for a thread hang after the first ones are released.
            await client.call_tool("release", {})
    assert not await held(client)


async def held(client: Client) -> int:
    result = await client.call_tool("held", {})
    assert result.structured_content is not None
    count: int = result.structured_content["result"]
    return count


async def measure(client: Client, tool: str, times: int) -> list[float]:
    """Return the milliseconds of each call."""
    taken: list[float] = []
    gc.collect()
    for _ in range(times):
        started = time.perf_counter()
        try:
            result = await client.call_tool(tool, {"a": 1, "b": 2}, read_timeout_seconds=LONGEST)
        except MCPError:
            return [*taken, LONGEST * 1000]
        assert not result.is_error, result
        taken.append((time.perf_counter() - started) * 1000)
    return taken


async def compare(server: Server, transport: Transport, mode: str, rounds: int, times: int) -> list[dict[str, Any]]:
    taken: dict[tuple[str, str], list[float]] = {(tool, when): [] for tool in TOOLS for when in ("idle", *AT_ONCE)}
    async with connected(server, transport, mode) as client:
        for tool in TOOLS:
            await measure(client, tool, times)
        for _ in range(rounds):
            for fault in AT_ONCE:
                if fault == "hang_thread" and (server, transport) == ("bare", "stdio"):
                    # Its stdin is read in a thread of the same pool, so not even `release` would be answered.
                    continue
                for tool in TOOLS:
                    taken[tool, "idle"] += await measure(client, tool, times)
                async with hanging(client, fault):
                    for tool in TOOLS:
                        taken[tool, fault] += await measure(client, tool, times)
    rows = []
    for tool in TOOLS:
        idle, hung, threads = (taken[tool, when] for when in ("idle", "hang", "hang_thread"))
        row: dict[str, Any] = {"server": server, "transport": transport, "era": mode, "tool": tool}
        for name, samples in (("idle", idle), ("tasks", hung), ("threads", threads)):
            row[f"{name} p50"] = round(percentile(samples, 50), 2) if samples else None
            row[f"{name} p99"] = round(percentile(samples, 99), 2) if samples else None
        worst = max(percentile(samples, 99) for samples in (hung, threads) if samples)
        rows.append(row | {"p99 / idle": round(worst / percentile(idle, 99), 2)})
    return rows


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=40, help="calls of each tool a round")
    parser.add_argument("--server", choices=["host", "bare"], action="append", help="only this one")
    parser.add_argument("--transport", choices=["http", "stdio"], action="append", help="only this one")
    options = parser.parse_args()
    rows = []
    routes: list[tuple[Transport, str]] = [("http", "auto"), ("http", "legacy"), ("stdio", "auto"), ("stdio", "legacy")]
    for transport, mode in routes:
        if options.transport and transport not in options.transport:
            continue
        for server in options.server or ("host", "bare"):
            rows += await compare(server, transport, mode, options.rounds, options.times)
    show(f"Milliseconds of a call while {HUNG} calls of a neighbour hang", rows, as_json=options.json)


if __name__ == "__main__":
    anyio.run(main)
