"""Serving one client over stdin and stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

import anyio
from mcp.server.stdio import stdio_server

from mcp_host.server.hostserver import HostServer


async def serve_stdio(server: HostServer, stdout: TextIO) -> None:
    """Serve until stdin ends. `stdout` is the private stream on the real one that `own_stdout` gave.

    Raises:
        StartRefusedError: A required plugin failed to start.
    """
    with _own_stdin() as stdin:
        # The lifespans are entered first: what initialize answers depends on which plugins started.
        async with (
            server.host.running(),
            stdio_server(anyio.wrap_file(stdin), anyio.wrap_file(stdout)) as (read, write),
        ):
            low = server._lowlevel_server
            await low.run(read, write, low.create_initialization_options())


@contextmanager
def _own_stdin() -> Iterator[TextIO]:
    """Yield a private stream on the real stdin; everyone else, child processes too, reads an empty one."""
    saved = os.dup(0)
    os.set_inheritable(saved, False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        # closefd=False: a reader thread may still be blocked on the descriptor when the server ends.
        yield TextIOWrapper(os.fdopen(saved, "rb", closefd=False), encoding="utf-8", errors="replace")
    finally:
        sys.stdout.flush()
        os.dup2(saved, 0)
