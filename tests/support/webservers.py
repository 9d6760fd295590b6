"""Web servers and a name server on loopback, for tests of fetching. A test sets all their answers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc
import dns.asyncquery
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSListener


@dataclass(frozen=True)
class Request:
    """A client's request. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    server_name: str | None = None


@dataclass(frozen=True)
class Reply:
    """A server's answer. A body in pieces has no length, and ends with the connection."""

    status: int = 200
    body: bytes | Callable[[], AsyncIterator[bytes]] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    head: bytes | None = None

    def __bytes__(self) -> bytes:
        """The status line and the headers; `head` replaces them."""
        if self.head is not None:
            return self.head
        headers = {"Connection": "close", **self.headers}
        if isinstance(self.body, bytes):
            headers = {"Content-Length": str(len(self.body)), **headers}
        lines = [f"HTTP/1.1 {self.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


Answer = Reply | Callable[[Request], Reply]


def page(html: str, **headers: str) -> Reply:
    return Reply(body=html.encode(), headers={"Content-Type": "text/html; charset=utf-8", **headers})


def text(body: str, kind: str = "text/plain") -> Reply:
    return Reply(body=body.encode(), headers={"Content-Type": f"{kind}; charset=utf-8"})


def redirect(to: str, status: int = 302, **headers: str) -> Reply:
    return Reply(status=status, headers={"Location": to, **headers})


@dataclass
class WebServer:
    """A running server. `routes` may be changed at any time. Any other path is a 404."""

    host: str
    port: int
    routes: dict[str, Answer]
    scheme: str = "http"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    async def serve(self, stream: anyio.abc.ByteStream) -> None:
        self.connections += 1
        try:
            async with stream:
                head = await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", 65536)
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                fields = (line.partition(":") for line in lines)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                name = stream.extra(TLSAttribute.ssl_object, None)
                request = Request(method, target, headers, getattr(name, "asked_for", None))
                self.requests.append(request)
                answer = self.routes.get(target.partition("?")[0], Reply(status=404))
                reply = answer if isinstance(answer, Reply) else answer(request)
                await stream.send(bytes(reply))
                if isinstance(reply.body, bytes):
                    if reply.body:
                        await stream.send(reply.body)
                else:
                    async for piece in reply.body():
                        await stream.send(piece)
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            return  # the client disconnected, which many of these tests do


@asynccontextmanager
async def web_server(
    routes: Mapping[str, Answer] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebServer]:
    """Serve while the block runs."""
    tcp = await anyio.create_tcp_listener(local_host=host, local_port=port)
    port = tcp.extra(anyio.abc.SocketAttribute.local_port)
    listener: anyio.abc.Listener[anyio.abc.ByteStream] = tcp
    if tls is not None:

        def remember(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            connection.asked_for = name  # type: ignore[union-attr]

        tls.sni_callback = remember
        listener = TLSListener(tcp, tls, standard_compatible=False)
    server = WebServer(host, port, dict(routes or {}), "https" if tls else "http")
    with anyio.fail_after(60):  # no test may hang
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.serve)
            yield server
            tasks.cancel_scope.cancel()


@dataclass
class NameServer:
    """A running name server. Each name has a list of answers, one for each query. The last one is repeated."""

    port: int
    answers: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[str]:
        """A `mcp_host.net.Resolver` that asks only this server."""
        query = dns.message.make_query(host, dns.rdatatype.ANY)
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=30)
        found = [str(item) for rrset in reply.answer for item in rrset]
        if not found:
            raise OSError(f"{host}: no such name")
        return found

    def reply(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        host = name.to_text(omit_final_dot=True)
        self.asked.append(host)
        response = dns.message.make_response(query)
        left = self.answers.get(host, [[]])
        for address in left.pop(0) if len(left) > 1 else left[0]:
            kind = "AAAA" if ":" in address else "A"
            response.answer.append(dns.rrset.from_text(name, 0, "IN", kind, address))
        return response.to_wire()


@asynccontextmanager
async def name_server(answers: Mapping[str, Iterable[list[str]]]) -> AsyncIterator[NameServer]:
    """Answer questions over UDP while the block runs."""
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as socket:
        port = socket.extra(anyio.abc.SocketAttribute.local_port)
        server = NameServer(port, {name: list(lists) for name, lists in answers.items()})

        async def answer() -> None:
            async for data, (host, port) in socket:
                await socket.sendto(server.reply(data), host, port)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            yield server
            tasks.cancel_scope.cancel()
