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
    "SELECT string_agg(i::VARCHAR, '') || string_agg(i::VARCHAR, '') AS s FROM range(30000000) t(i)",
    "WITH RECURSIVE r(n, s) AS (SELECT 1, 'xxxxxxxx' UNION ALL SELECT n + 1, s || s FROM r WHERE n < 32) SELECT s FROM r",
    "SELECT replace(replace(replace(s, 'a', s), 'a', s), 'a', s) FROM (SELECT string_agg('a', '') AS s FROM range(3000))",
    "SELECT a.s || b.s FROM (SELECT string_agg(i, ',') s FROM range(9000000) t(i)) a, "
    "(SELECT string_agg(i, ',') s FROM range(9000000) t(i)) b, range(40)",
]


def figure(pid: int, name: str) -> int:
    """Return a figure of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) // 1024


async def test_a_hungry_query_grows_neither_process_beyond_the_limit(engines: Engines) -> None:
    async with engines() as engine:
        for sql in HUNGRY:
            await engine.query("SELECT count(*) FROM penguins")
            assert engine.worker_pid is not None
            pids = (os.getpid(), engine.worker_pid)
            for pid in pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
            idle = [figure(pid, "VmRSS") for pid in pids]
            # The figures of a worker that has ended are gone: it could not grow beyond its limit either.
            watched = Path(f"/proc/{engine.worker_pid}/status")
            try:
                await engine.query(sql)
            except ToolError as error:
                assert "memory" in str(error) or "took longer" in str(error), sql
            assert figure(pids[0], "VmHWM") - idle[0] < LIMIT, sql
            if watched.exists():
                assert figure(pids[1], "VmHWM") - idle[1] < LIMIT, sql
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
