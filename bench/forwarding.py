"""What the host adds to a call of another server, in milliseconds: the server's own client compared with the host's.

Both are connected at the same time and measured in turns, so that other load on the machine affects both. The server
is a child process in both cases: one in Python, and `@modelcontextprotocol/server-everything` in Node.js.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from figures import percentile, show

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support import node  # noqa: E402

TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "Python": ("add_async", {"a": 1, "b": 2}),
    "Node": ("get-sum", {"a": 1, "b": 2}),
}


def upstream(kind: str) -> list[str]:
    """Return the command of the other server."""
    if kind == "Python":
        return [sys.executable, str(HERE / "served.py"), "stdio"]
    return [str(node.node()), str(node.packages() / "@modelcontextprotocol/server-everything/dist/index.js")]


@asynccontextmanager
async def connected(command: Sequence[str], mode: str) -> AsyncIterator[tuple[Client, psutil.Process]]:
    """Start a program, and yield a client of it and its process."""
    me = psutil.Process()
    before = {child.pid for child in me.children()}
    parameters = StdioServerParameters(command=command[0], args=list(command[1:]), env=dict(os.environ))
    with open(os.devnull, "w") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
            (process,) = [child for child in me.children() if child.pid not in before]
            yield client, process


async def measure(client: Client, tool: str, arguments: dict[str, Any], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        result = await client.call_tool(tool, arguments)
        taken.append((time.perf_counter() - started) * 1e3)
        assert not result.is_error, result
    return taken


def cpu(process: psutil.Process) -> float:
    """Return the processor time of a process, in milliseconds."""
    times = process.cpu_times()
    return float(times.user + times.system) * 1e3


async def compare(kind: str, mode: str, rounds: int, times: int) -> dict[str, Any]:
    tool, arguments = TOOLS[kind]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder, "mcp-host.toml")
        command = upstream(kind)
        table = f'[host]\nlog_level = "error"\ndata_dir = "data"\n[plugins.it]\ncommand = {json.dumps(command)}\n'
        config.write_text(table, encoding="utf-8")
        host = [sys.executable, "-m", "mcp_host", "run", "--config", str(config), "--transport", "stdio"]
        direct, _ = await stack.enter_async_context(connected(command, mode))
        through, process = await stack.enter_async_context(connected(host, mode))
        taken: dict[str, list[float]] = {"direct": [], "host": []}
        clients = {"direct": direct, "host": through}
        for client in clients.values():
            # On a busy machine, the host first serves without the server.
            while tool not in {each.name for each in (await client.list_tools(cache_mode="bypass")).tools}:
                await anyio.sleep(0.1)
            await measure(client, tool, arguments, times)
        used, added = 0.0, []
        for number in range(rounds):
            gc.collect()
            medians = {}
            for name in clients if number % 2 else reversed(clients):
                began = cpu(process)
                turn = await measure(clients[name], tool, arguments, times)
                used += cpu(process) - began if name == "host" else 0.0
                taken[name] += turn
                medians[name] = percentile(turn, 50)
            added.append(medians["host"] - medians["direct"])
    row: dict[str, Any] = {"server": kind, "client": mode}
    for name, each in taken.items():
        row |= {f"{name} p50": round(percentile(each, 50), 2), f"{name} p99": round(percentile(each, 99), 2)}
    row |= {"added p50": round(percentile(added, 50), 2)}
    return row | {"host CPU": round(used / (rounds * times), 2)}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each client")
    parser.add_argument("--times", type=int, default=50, help="calls a turn")
    parser.add_argument("--server", choices=TOOLS, action="append", help="only this one")
    options = parser.parse_args()
    rows = [
        await compare(kind, mode, options.rounds, options.times)
        for kind in options.server or TOOLS
        for mode in ("auto", "legacy")
    ]
    show("What the host adds to a call of another server (ms)", rows, as_json=options.json)


if __name__ == "__main__":
    anyio.run(main)
