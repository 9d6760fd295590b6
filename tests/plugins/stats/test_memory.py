"""No query makes the host's process or the worker grow by more than `memory_limit`, measured by their peaks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mcp_host import ToolError
from mcp_plugin_stats.engine import Engine

Engines = Callable[..., AbstractAsyncContextManager[Engine]]

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in /proc")]

LIMIT = 256
"""MiB, the default."""

HUNGRY = [
    "SELECT s FROM (SELECT list(i) AS s FROM range(3000000) t(i)), range(5)",
    "SELECT map_from_entries(list({'k': i, 'v': i})) AS m FROM range(2000000) t(i)",
    "SELECT string_agg(i::VARCHAR, '') || string_agg(i::VARCHAR, '') AS s FROM range(90000000) t(i)",
    "WITH RECURSIVE r(n, s) AS (SELECT 1, 'xxxxxxxx' UNION ALL SELECT n + 1, s || s FROM r WHERE n < 32) "
    "SELECT s FROM r",
    "SELECT replace(replace(replace(s, 'a', s), 'a', s), 'a', s) FROM "
    "(SELECT string_agg('a', '') AS s FROM range(3000))",
]


def figure(pid: int, name: str) -> int:
    """Return a figure of a process in MiB, or 0 if it has ended. Then it did not grow beyond its limit."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:")), 0)


async def test_a_hungry_query_grows_neither_process_beyond_the_limit(engines: Engines) -> None:
    async with engines() as engine:
        for sql in HUNGRY:
            await engine.query("SELECT count(*) FROM penguins")
            assert engine.worker_pid is not None
            pids = (os.getpid(), engine.worker_pid)
            for pid in pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
            idle = [figure(pid, "VmRSS") for pid in pids]
            with pytest.raises(ToolError, match=r"memory|took longer"):
                await engine.query(sql)
            for pid, before in zip(pids, idle, strict=True):
                assert figure(pid, "VmHWM") - before < LIMIT, sql
        table, _ = await engine.query("SELECT count(*) FROM penguins")
        assert table.rows == [[344]]


async def test_a_large_file_is_loaded_within_the_limit(engines: Engines, tmp_path: Path) -> None:
    with (tmp_path / "d.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(f"c{n}" for n in range(30)) + "\n")
        file.writelines(",".join(f"{row * n % 9973}x{n}" for n in range(30)) + "\n" for row in range(60_000))
    async with engines(datasets={"d": "d.csv"}) as engine:
        assert (await engine.dataset("d")).rows == 60_000
        assert engine.worker_pid is not None
        assert figure(engine.worker_pid, "VmHWM") < LIMIT + 150
