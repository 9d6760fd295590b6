"""Connects a client to each compared server: the host and the bare SDK, over every transport."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

import served
from mcp_host.testing import connect

Server = Literal["host", "bare"]
Transport = Literal["memory", "stdio", "http"]

HERE = Path(__file__).parent

CONFIG = """
[host]
log_level = "error"
[plugins.hanging]
object = "served:hanging"
[plugins.quick]
object = "served:quick"
"""
"""Nothing is tuned: all limits have their defaults."""


@asynccontextmanager
async def connected(server: Server, transport: Transport, mode: str) -> AsyncIterator[Client]:
    """Start the server, and yield a client connected to it in the protocol era `mode`."""
    if transport == "memory":
        memory: Any = (
            connect({"hanging": served.hanging, "quick": served.quick}, mode=mode)
            if server == "host"
            else Client(served.bare, mode=mode)
        )
        async with memory as client:
            yield client
        return
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "mcp-host.toml")
        config.write_text(CONFIG, encoding="utf-8")
        host = ["-m", "mcp_host", "run", "--config", str(config), "--transport", transport]
        env = {**os.environ, "PYTHONPATH": str(HERE)}
        if transport == "stdio":
            args = host if server == "host" else [str(HERE / "served.py"), "stdio"]
            parameters = StdioServerParameters(command=sys.executable, args=args, env=env)
            with open(os.devnull, "w") as errors:
                async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
                    yield client
            return
        port = _free_port()
        args = [*host, "--port", str(port)] if server == "host" else [str(HERE / "served.py"), "http", str(port)]
        with _process(args, env):
            await _accepting(f"http://127.0.0.1:{port}/mcp")
            async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
                yield client


@contextmanager
def _process(args: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *args], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            # The bare SDK waits for threads that hang.
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _accepting(url: str) -> None:
    with anyio.fail_after(30):
        async with httpx2.AsyncClient() as http:
            while True:
                try:
                    await http.get(url)
                    return
                except httpx2.TransportError:
                    await anyio.sleep(0.05)
