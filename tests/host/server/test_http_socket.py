"""The socket that HTTP is served on."""

from __future__ import annotations

import asyncio
import socket

import anyio
import pytest

from mcp_host.config import parse_config
from mcp_host.server.http.app import _bind

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_small_responses_are_sent_immediately(host: str) -> None:
    """Without TCP_NODELAY the second small write of a response waits until the client acknowledges the first."""
    config = parse_config(f'[transport]\nkind = "http"\nhost = "{host}"\nport = 0\n', source="test", environ={})
    accepted: asyncio.Queue[int] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    listener = _bind(config.transport)
    async with await asyncio.start_server(serve, sock=listener) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        with anyio.fail_after(30):
            assert await accepted.get()
        writer.close()
        await writer.wait_closed()
