"""How long a call takes, in microseconds with the client: the host compared with the bare SDK and the same tools.

Both are connected at the same time and measured in turns, so that other load on the machine affects both.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
from mcp import Client

from connecting import Server, Transport, connected
from figures import percentile, show

SERVERS: tuple[Server, ...] = ("bare", "host")
TRANSPORTS: tuple[Transport, ...] = ("memory", "http", "stdio")

REQUESTS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "call, async tool": lambda client: client.call_tool("add_async", {"a": 1, "b": 2}),
    "call, sync tool": lambda client: client.call_tool("add", {"a": 1, "b": 2}),
    "list 50 tools": lambda client: client.list_tools(cache_mode="bypass"),
}


async def measure(request: Callable[[Client], Awaitable[Any]], client: Client, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        result = await request(client)
        taken.append((time.perf_counter() - started) * 1e6)
        assert not getattr(result, "is_error", False), result
    return taken


async def compare(transport: Transport, mode: str, rounds: int, times: int) -> list[dict[str, Any]]:
    rows = []
    async with AsyncExitStack() as stack:
        clients = {server: await stack.enter_async_context(connected(server, transport, mode)) for server in SERVERS}
        for name, request in REQUESTS.items():
            taken: dict[str, list[float]] = {server: [] for server in SERVERS}
            for client in clients.values():
                await measure(request, client, times)
            for number in range(rounds):
                for server in SERVERS if number % 2 else reversed(SERVERS):
                    gc.collect()
                    taken[server] += await measure(request, clients[server], times)
            bare, host = (percentile(taken[server], 50) for server in SERVERS)
            row = {"request": name, "transport": transport, "era": mode, "bare p50 µs": round(bare)}
            row |= {"host p50 µs": round(host), "host / bare": round(host / bare, 2)}
            row |= {f"{server} p99 µs": round(percentile(taken[server], 99)) for server in SERVERS}
            rows.append(row)
    return rows


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each server")
    parser.add_argument("--times", type=int, default=20, help="requests a turn")
    parser.add_argument("--transport", choices=TRANSPORTS, action="append", help="only this one")
    options = parser.parse_args()
    rows = []
    for transport in options.transport or TRANSPORTS:
        for mode in ("auto", "legacy"):
            rows += await compare(transport, mode, options.rounds, options.times)
    show("What a request costs", rows, as_json=options.json)


if __name__ == "__main__":
    anyio.run(main)
