"""Ten real servers: a client that starts them itself, compared with one host. Seconds until all are listed, and memory.

It installs pinned servers from the package index into `.cache/bench`, once; the two in Node.js are those of
tests/clients/package.json. `first` is a host that has never started them, and `lazy` one that knows what they list.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from figures import percentile, show

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import node  # noqa: E402

ENVIRONMENTS = {
    "mcp2": (
        "mcp==2.3.0",
        "mcp-server-time==2026.10.19",
        "mcp-server-git==2026.10.19",
        "mcp-server-fetch==2026.10.24",
        "mcp-server-motherduck==1.1.0",
    ),
    "mcp1": (
        "mcp[cli]==1.30.0",
        "mcp-server-sqlite==2025.4.25",
        "mcp-server-duckdb==1.1.0",
        "mcp-server-calculator==0.2.1",
        "cli-mcp-server==0.2.5",
    ),
}
COMMANDS = {
    "time": ("mcp2", "mcp-server-time"),
    "git": ("mcp2", "mcp-server-git"),
    "fetch": ("mcp2", "mcp-server-fetch"),
    "motherduck": ("mcp2", "mcp-server-motherduck", "--db-path", ":memory:", "--read-write"),
    "sqlite": ("mcp1", "mcp-server-sqlite", "--db-path", "data.sqlite"),
    "duckdb": ("mcp1", "mcp-server-duckdb", "--db-path", "data.duckdb"),
    "calculator": ("mcp1", "mcp-server-calculator"),
    "cli": ("mcp1", "cli-mcp-server"),
}
NODE = {"everything": (), "filesystem": (".",)}


def commands() -> dict[str, list[str]]:
    """Install the servers where they are not installed, and return the command of each."""
    cache = ROOT / ".cache/bench"
    for name, wanted in ENVIRONMENTS.items():
        if not (cache / name / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", cache / name], check=True)
            env = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
            subprocess.run([cache / name / "bin/python", "-m", "pip", "install", "-q", *wanted], check=True, env=env)
            (cache / name / "complete").touch()
    found = {
        name: [str(cache / place / "bin" / program), *words] for name, (place, program, *words) in COMMANDS.items()
    }
    for name, words in NODE.items():
        script = node.packages() / f"@modelcontextprotocol/server-{name}/dist/index.js"
        found[name] = [str(node.node()), str(script), *words]
    return found


@asynccontextmanager
async def connected(command: list[str], folder: str) -> AsyncIterator[Client]:
    env = {**os.environ, "ALLOWED_DIR": folder}
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=folder)
    with open(os.devnull, "w") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            yield client


async def by_client(found: dict[str, list[str]], folder: str, measured: Callable[[], None]) -> None:
    """Start all servers at once, and list them."""

    async def one(command: list[str]) -> None:
        async with connected(command, folder) as client:
            await client.list_tools()
            listed.append(command)
            if len(listed) == len(found):
                measured()
                done.set()
            await done.wait()

    listed: list[list[str]] = []
    done = anyio.Event()
    async with anyio.create_task_group() as together:
        for command in found.values():
            together.start_soon(one, command)


async def by_host(found: dict[str, list[str]], folder: str, start: str, measured: Callable[[], None]) -> None:
    """Start one host, and list until the tools of all servers are there."""
    tables = "".join(
        f'[plugins.{name}]\ncommand = {json.dumps(command)}\nprefix = "{name}_"\nstart = "{start}"\n'
        f'env.ALLOWED_DIR = "."\nresources.deny = ["*"]\n'
        for name, command in found.items()
    )
    Path(folder, "mcp-host.toml").write_text(f'[host]\nlog_level = "error"\ndata_dir = "data"\n{tables}')
    async with connected([sys.executable, "-m", "mcp_host", "run", "--transport", "stdio"], folder) as client:
        while True:
            names = [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]
            if all(any(name.startswith(f"{each}_") for name in names) for each in found):
                break
            await anyio.sleep(0.02)
        measured()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    options = parser.parse_args()
    found = commands()
    taken: dict[str, list[tuple[float, int, float, float]]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            ways: dict[str, Callable[[Callable[[], None]], Awaitable[None]]] = {
                "client": lambda measured: by_client(found, folder, measured),
                "host, first": lambda measured: by_host(found, folder, "lazy", measured),
                "host, lazy": lambda measured: by_host(found, folder, "lazy", measured),
                "host, eager": lambda measured: by_host(found, folder, "eager", measured),
            }
            for way, run in ways.items():
                began = time.perf_counter()

                def measured(way: str = way, began: float = began) -> None:
                    seconds = time.perf_counter() - began
                    children = psutil.Process().children(recursive=True)
                    memory = [child.memory_full_info() for child in children]
                    rss, pss = (sum(getattr(each, key) for each in memory) / 2**20 for key in ("rss", "pss"))
                    taken.setdefault(way, []).append((seconds, len(children), rss, pss))

                await run(measured)
    rows: list[dict[str, Any]] = []
    for way, all_taken in taken.items():
        seconds, processes, rss, pss = (
            percentile([float(each[index]) for each in all_taken], 50) for index in range(4)
        )
        row: dict[str, Any] = {"started by": way, "seconds": round(seconds, 2), "processes": round(processes)}
        rows.append(row | {"RSS MiB": round(rss), "PSS MiB": round(pss)})
    show("Ten servers: time until all are listed, and memory", rows, as_json=options.json)


if __name__ == "__main__":
    anyio.run(main)
