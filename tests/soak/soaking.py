"""Soaks a host process: rounds of load and reloads. After each round, it waits until the host is idle, and counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import psutil
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from soak.load import Tally, act

TESTS = Path(__file__).parents[1]

CONFIG = """
[host]
log_level = "warning"
limits.failures = 5
limits.cooldown = "200ms"
[transport]
session_idle_timeout = "2s"
port = 0
[plugins.stats]
settings.digits = {digits}
[plugins.probe]
object = "soak.plugins:probe"
[plugins.rude]
object = "soak.plugins:rude"
[plugins.shaky]
object = "soak.plugins:shaky"
enabled = {shaky}
limits.result_size = 50_000
"""


@dataclass(frozen=True)
class Sample:
    """What the process uses: `rss` in MiB, descriptors, and the counts of the census."""

    rss: float
    fds: int
    tasks: int
    threads: int
    sessions: int
    listeners: int
    notified: int
    objects: int


@dataclass
class Soaked:
    """The result of a soak. `quiet` has one idle sample for each round, `busy` the samples taken under load."""

    tally: Tally = field(default_factory=Tally)
    quiet: list[Sample] = field(default_factory=list)
    busy: list[Sample] = field(default_factory=list)
    with_a_session: Sample | None = None
    """Taken while one client has a session: it shows that sessions are counted."""
    reloads: int = 0
    seconds: float = 0.0
    exit_code: int | None = None

    def drift(self, name: str) -> float:
        """Return the median of the last third of the quiet samples minus that of the first third, without warm-up."""
        values: list[float] = [getattr(sample, name) for sample in self.quiet[1:]]
        third = max(1, len(values) // 3)
        return median(values[-third:]) - median(values[:third])

    def report(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds),
            "actions": dict(sorted(self.tally.done.items())),
            "wrong": self.tally.wrong,
            "reloads": self.reloads,
            "exit_code": self.exit_code,
            "drift": {name: round(self.drift(name), 1) for name in Sample.__dataclass_fields__},
            "first": asdict(self.quiet[1]),
            "last": asdict(self.quiet[-1]),
            "busiest": {name: max(getattr(s, name) for s in self.busy) for name in Sample.__dataclass_fields__}
            if self.busy
            else {},
        }


def environment(folder: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MCP_", "COVERAGE_"))}
    return {**env, "PYTHONPATH": str(TESTS), "HOME": str(folder), "NO_COLOR": "1"}


def configure(folder: Path, *, digits: int = 2, shaky: bool = True) -> Path:
    path = folder / "mcp-host.toml"
    new = folder / "new.toml"
    new.write_text(CONFIG.format(digits=digits, shaky=str(shaky).lower()), encoding="utf-8")
    new.replace(path)
    return path


async def take(client: Client, process: psutil.Process) -> Sample:
    result = await client.call_tool("census", {})
    assert not result.is_error, result
    assert result.structured_content is not None
    with process.oneshot():
        return Sample(
            rss=round(process.memory_info().rss / 2**20, 1), fds=process.num_fds(), **result.structured_content
        )


async def quiet(client: Client, process: psutil.Process, baseline: int) -> Sample:
    """Wait until all idle sessions are closed and no task is left, and take a sample."""
    sample = await take(client, process)
    with anyio.move_on_after(60):
        while sample.sessions or sample.listeners or sample.tasks > baseline:
            await anyio.sleep(0.1)
            sample = await take(client, process)
    return sample


@contextmanager
def _served(folder: Path) -> Iterator[tuple[psutil.Popen, str]]:
    args = [sys.executable, "-m", "mcp_host", "run", "--config", str(configure(folder)), "--transport", "http"]
    with (folder / "stderr.txt").open("w") as errors:
        process = psutil.Popen(
            args, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        for line in process.stdout:
            if "Serving " in line:
                url = line.split(" at ")[1].strip()
                break
        else:
            raise AssertionError((folder / "stderr.txt").read_text())
        yield process, url
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


async def soak_http(
    folder: Path, rounds: int, seconds: float, *, at_least: float = 0, after: Callable[[Soaked], None] | None = None
) -> Soaked:
    """Serve over HTTP for so many rounds of load, each of so many seconds. The load comes from another process.

    There are more rounds if they took less than `at_least` seconds. `after` is called after each of them.
    """
    soaked = Soaked()
    started = anyio.current_time()
    with _served(folder) as (process, url):
        async with Client(url) as client:
            baseline = 1_000_000
            while len(soaked.quiet) < rounds or anyio.current_time() - started < at_least:
                async with _loading(url, seconds, soaked):
                    await _watch(client, process, folder, seconds, soaked)
                configure(folder)
                process.send_signal(signal.SIGHUP)
                sample = await quiet(client, process, baseline)
                baseline = min(baseline, sample.tasks)
                soaked.quiet.append(sample)
                soaked.seconds = anyio.current_time() - started
                if after is not None:
                    after(soaked)
            async with Client(url, mode="legacy"):
                soaked.with_a_session = await take(client, process)
        process.send_signal(signal.SIGTERM)
        soaked.exit_code = await anyio.to_thread.run_sync(process.wait)
    soaked.seconds = anyio.current_time() - started
    return soaked


@asynccontextmanager
async def _loading(url: str, seconds: float, soaked: Soaked) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "soak", "load", url, str(seconds)]
    process = await anyio.open_process(command, env={**os.environ, "PYTHONPATH": str(TESTS)}, stderr=None)
    try:
        yield
        assert process.stdout is not None
        report = json.loads(b"".join([chunk async for chunk in process.stdout]))
        tally = Tally()
        tally.done.update(report["done"])
        tally.wrong += report["wrong"]
        soaked.tally.add(tally)
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def _watch(client: Client, process: psutil.Popen, folder: Path, seconds: float, soaked: Soaked) -> None:
    """Take samples and reload with a changed configuration while the load runs."""
    ends = anyio.current_time() + seconds
    while anyio.current_time() < ends:
        soaked.busy.append(await take(client, process))
        soaked.reloads += 1
        configure(folder, digits=soaked.reloads % 9, shaky=soaked.reloads % 3 > 0)
        process.send_signal(signal.SIGHUP)
        await anyio.sleep(min(1.5, seconds / 4))


async def soak_stdio(folder: Path, clients: int, rounds: int, number: int) -> list[Soaked]:
    """Serve one client after another over stdio, in both eras in turn, for so many rounds of so many actions."""
    all_soaked = []
    for each in range(clients):
        era = ("modern", "legacy")[each % 2]
        soaked = Soaked()
        started = anyio.current_time()
        args = ["-m", "mcp_host", "run", "--config", str(configure(folder)), "--transport", "stdio"]
        parameters = StdioServerParameters(command=sys.executable, args=args, env=environment(folder), cwd=folder)
        with (folder / f"stderr-{each}.txt").open("w") as errors:
            mode = "auto" if era == "modern" else "legacy"
            before = set(psutil.Process().children())
            async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
                (process,) = set(psutil.Process().children()) - before
                baseline = 1_000_000
                for _ in range(rounds):
                    await act(client, soaked.tally, era, number)
                    sample = await quiet(client, process, baseline)
                    baseline = min(baseline, sample.tasks)
                    soaked.quiet.append(sample)
        soaked.exit_code = None if process.is_running() else 0
        soaked.seconds = anyio.current_time() - started
        all_soaked.append(soaked)
    return all_soaked
