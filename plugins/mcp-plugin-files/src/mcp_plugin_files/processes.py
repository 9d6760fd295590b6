"""Runs a program that always ends with the block that uses it."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import Process


@asynccontextmanager
async def running(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: int = subprocess.DEVNULL, keep: Sequence[int] = ()
) -> AsyncIterator[Process]:
    """Run a program with this environment. It inherits the open files in `keep` under their own numbers."""
    process = await anyio.open_process(command, stdin=stdin, env=environment, pass_fds=tuple(keep))
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()
