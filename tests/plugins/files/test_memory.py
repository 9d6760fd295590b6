"""No call takes much memory, however large the files and their lines are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 256
"""The most MiB that a call may take."""

PROGRAM = """
import json, sys
import anyio
import mcp_plugin_files
from mcp_host.testing import connect

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith(key))

async def main():
    roots = {"docs": {"path": sys.argv[1]}}
    settings = {"roots": roots, "watch": False, "ripgrep": sys.argv[2] == "rg"}
    async with connect(mcp_plugin_files, name="files", settings=settings) as client:
        await client.call_tool("list_files", {})
        await client.call_tool("search_files", {"pattern": "x", "path": "small"})
        before = status("VmRSS")
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        for tool, arguments in json.loads(sys.argv[3]):
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            print(tool, arguments, status("VmHWM") - before)

anyio.run(main)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak memory is read from /proc")
@pytest.mark.parametrize("engine", ["rg", "re2"])
def test_no_call_takes_more_than_256_mib(tmp_path: Path, engine: str) -> None:
    (tmp_path / "small").write_text("x")
    with (tmp_path / "line").open("wb") as file:  # one line of 10 MB
        file.write(b"xy\xc3\xa9 " * 2_000_000)
    with (tmp_path / "lines").open("wb") as file:
        file.write(b"x\n" * 5_000_000)
    with (tmp_path / "huge").open("wb") as file:  # one line of 512 MiB
        for _ in range(512):
            file.write(b"x" * 2**20)
    calls = [
        ["read_file", {"path": "huge"}],
        ["read_file", {"path": "huge", "tail": 5}],
        ["read_file", {"path": ["line", "lines"], "tail": 100_000}],
        ["read_file", {"path": "lines", "start_line": 4_000_000}],
        ["search_files", {"pattern": "."}],
        ["search_files", {"pattern": "x", "context": 20}],
        ["search_files", {"pattern": "(?s).*"}],
        ["search_files", {"pattern": "y\\n|x"}],
        ["search_files", {"pattern": "nowhere\\n"}],
        ["search_files", {"pattern": "$", "ignore_case": True}],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), engine, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peaks = [int(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()]
    assert len(peaks) == len(calls)
    assert max(peaks) < LIMIT, done.stdout
