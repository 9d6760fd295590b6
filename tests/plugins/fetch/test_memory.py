"""The largest pages grow the process that serves by less than the bound in the README."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from support.webservers import Reply, web_server

BOUND = 256
"""MiB, for the default of `max_bytes`."""

LARGEST = 10 * 2**20 - 100

PROGRAM = """
import resource, sys
import anyio
from mcp_plugin_fetch.fetcher import Fetcher
from mcp_plugin_fetch.settings import Settings

async def main():
    fetcher = Fetcher(Settings(allow=["127.0.0.1"]))
    await fetcher.fetch(sys.argv[1] + "/small", raw=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    page = await fetcher.fetch(sys.argv[1] + "/", raw=False)
    await fetcher.close()
    unit = 1 if sys.platform == "darwin" else 1024
    print(len(page.text), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit // 2**20)

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'"' + b"x" * LARGEST + b'"'),
        ("application/json", '"\U0001f427'.encode() + b"x" * (LARGEST - 10) + b'"'),
        ("text/html", "<p>\U0001f427 ".encode() + b"word " * (LARGEST // 5 - 10)),
    ],
    ids=["json", "wide", "html"],
)
async def test_a_page_that_unpacks_to_the_largest_size_stays_below_the_bound(kind: str, body: bytes) -> None:
    packed = Reply(body=gzip.compress(body, 1), headers={"Content-Type": kind, "Content-Encoding": "gzip"})
    small = Reply(body=b"<p>x", headers={"Content-Type": kind})
    async with web_server({"/": packed, "/small": small}) as server:
        command = [sys.executable, "-c", PROGRAM, server.url]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(command, capture_output=True, text=True, check=True)
        )
    length, grown = map(int, done.stdout.split())
    assert length > LARGEST * 0.9
    assert grown < BOUND


def test_the_readme_states_the_bound() -> None:
    readme = Path(__file__).parents[3] / "plugins" / "mcp-plugin-fetch" / "README.md"
    assert re.search(rf"less than {BOUND} MiB", readme.read_text(encoding="utf-8"))
