"""A forward proxy on loopback: CONNECT and requests in absolute form."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener


@dataclass
class ForwardProxy:
    """A running proxy. `names` has the addresses of names that only the proxy knows."""

    port: int
    names: Mapping[str, str] = field(default_factory=dict)
    auth: tuple[str, str] | None = None
    scheme: str = "http"
    asked: list[str] = field(default_factory=list)
    """The first line of each request, without the version."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, client: anyio.abc.ByteStream) -> None:
        async with client:
            received = BufferedByteReceiveStream(client)
            try:
                head = await received.receive_until(b"\r\n\r\n", 65536)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            self.asked.append(f"{method} {target}")
            fields = dict(line.split(": ", 1) for line in lines)
            if self.auth is not None:
                expected = "Basic " + base64.b64encode(":".join(self.auth).encode()).decode()
                if fields.pop("Proxy-Authorization", "") != expected:
                    await client.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    return
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            host = self.names.get(parts.hostname or "", parts.hostname or "")
            try:
                server = await anyio.connect_tcp(host, parts.port or 80)
            except OSError:
                await client.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            async with server:
                if method == "CONNECT":
                    await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                    rest = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""])
                    await server.send(rest.encode("latin-1"))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_copy, received, server)
                    await _copy(server, client)
                    tasks.cancel_scope.cancel()


async def _copy(source: anyio.abc.ByteReceiveStream, target: anyio.abc.ByteSendStream) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # one of the two has closed


@asynccontextmanager
async def forward_proxy(
    *,
    names: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ForwardProxy]:
    """Serve while the block runs."""
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = tcp.extra(anyio.abc.SocketAttribute.local_port)
    listener: anyio.abc.Listener[anyio.abc.ByteStream] = tcp
    if tls is not None:
        listener = TLSListener(tcp, tls, standard_compatible=False)
    proxy = ForwardProxy(port, names or {}, auth, "https" if tls else "http")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        tasks.cancel_scope.cancel()
