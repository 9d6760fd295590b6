"""The transport to a remote server: Streamable HTTP, through the client that is protected against SSRF."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from mcp.client.streamable_http import streamable_http_client

from mcp_host.upstream.child import Streams

_CONNECT, _READ = 30.0, 300.0
"""Seconds to connect, and between two pieces of an answer. The deadline of a call is the host's."""


@asynccontextmanager
async def remote_streams(url: str, headers: Mapping[str, str]) -> AsyncIterator[Streams]:
    """Connect to a remote server for the block, and yield the streams of its messages."""
    timeout = httpx2.Timeout(_CONNECT, read=_READ)
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams
