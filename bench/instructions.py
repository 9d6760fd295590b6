"""How many processor instructions a call in memory takes, in thousands: the host compared with the bare SDK.

Unlike a time, the count hardly depends on the machine's other load. It needs valgrind, which makes Python about 50
times slower: the table takes about ten minutes. `--call` is the part that runs under valgrind.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

from calls import REQUESTS, SERVERS
from connecting import Server, connected
from figures import show

CALLS = [name for name in REQUESTS if name.startswith("call")]
WARM_UP, MEASURED = 60, 200
"""Requests before the measured ones, and the measured ones."""


async def call(server: Server, mode: str, request: str, times: int) -> None:
    async with connected(server, "memory", mode) as client:
        for _ in range(WARM_UP):
            await REQUESTS[request](client)
        gc.collect()
        gc.disable()
        for _ in range(times):
            await REQUESTS[request](client)


def counted(server: Server, mode: str, request: str, times: int) -> int:
    """Return the instructions of a whole process that sends the request so often."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        python = [sys.executable, __file__, "--call", server, mode, request, str(times)]
        subprocess.run([*valgrind, f"--log-file={log}", *python], check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
        found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit("valgrind did not print the number of instructions")
    return int(found[1].replace(",", ""))


def each(server: Server, mode: str, request: str) -> int:
    """Return the thousands of instructions of one request."""
    few, many = counted(server, mode, request, 0), counted(server, mode, request, MEASURED)
    return round((many - few) / MEASURED / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--call", nargs=4, metavar=("SERVER", "MODE", "REQUEST", "TIMES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        server, mode, request, times = options.call
        anyio.run(call, server, mode, request, int(times))
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("this needs the program valgrind")
    rows: list[dict[str, Any]] = []
    for mode in ("auto", "legacy"):
        for request in CALLS:
            bare, host = (each(server, mode, request) for server in SERVERS)
            row = {"request": request, "era": mode, "bare, thousands": bare, "host, thousands": host}
            rows.append(row | {"host / bare": round(host / bare, 2)})
    show("Instructions of a request in memory", rows, as_json=options.json)


if __name__ == "__main__":
    main()
