"""The transport of a guarded client: checks each hop's URL, limits bytes and time, and protects credentials."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Final

import httpcore2
import httpx2

from mcp_host.net.credentials import HostHeaders
from mcp_host.net.errors import RefusedURLError, ResponseTooLargeError
from mcp_host.net.exchange import Exchange, ExchangeLimits, origin_of
from mcp_host.net.routes import Routes
from mcp_host.net.unpacking import Unpacker

# The headers that are sent to another origin after a redirect. Any other header may be a credential; a list of the
# headers to remove could never be complete. httpx2 makes Cookie and Host new for each hop.
_NEUTRAL: Final = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "cookie", "host"}
    | {"content-length", "content-type", "transfer-encoding", "user-agent"}
)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests over the pools of `routes`, and adds the headers that only their host may get.

    Bodies are returned decoded, without the headers `Content-Encoding` and `Content-Length`. Decoded bytes are counted,
    so that a small body that expands to a large one is stopped at the limit. Both limits apply to the whole exchange.
    """

    def __init__(self, routes: Routes, limits: ExchangeLimits, credentials: Sequence[HostHeaders] = ()) -> None:
        self._routes = routes
        self._limits = limits
        self._credentials = credentials

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one hop.

        Raises:
            GuardError: The URL or the address is refused, or the size or the time is over its limit.
            httpx2.TransportError: The network failed.
        """
        check_url(request.url)
        exchange = Exchange.of(request, self._limits)
        redirected = origin_of(request.url) != exchange.origin
        if redirected:
            for name in set(request.headers) - _NEUTRAL:
                del request.headers[name]
        # Not written into the request: httpx2 copies its headers to the next hop.
        headers = request.headers.copy()
        for each in self._credentials:
            if each.is_for(request.url, redirected=redirected):
                headers.update(each.headers)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        hop = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors_of_httpx2(), exchange.clock():
            pool = await self._routes.pool_for(request.url)
            response = await pool.handle_async_request(hop)
        exchange.is_stream = self._limits.streams and response.status == 200 and _is_event_stream(response)
        body = _Body(response, exchange)
        try:
            return _decoded(response, body, exchange, head=request.method == "HEAD")
        except BaseException:
            await body.aclose()
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        await self._routes.aclose()


def check_url(url: httpx2.URL) -> None:
    """Refuse a URL that is not fetched.

    Raises:
        RefusedURLError: The scheme is not http or https, there is no host, the port is invalid, or the URL contains a
            user name or a password.
    """
    if not url.scheme or not url.host:
        raise RefusedURLError("only http and https URLs with a host are fetched")
    if url.scheme not in ("http", "https"):
        raise RefusedURLError(f"only http and https are fetched, not {url.scheme}")
    if url.port is not None and not 0 < url.port < 65536:
        raise RefusedURLError(f"the URL names port {url.port}: ports are 1 to 65535")
    if url.userinfo:
        raise RefusedURLError(f"the URL for {url.host} contains a user name or a password, which is never sent")


class _Body(httpx2.AsyncByteStream):
    """The body from the connection, with its bytes counted."""

    def __init__(self, response: httpcore2.Response, exchange: Exchange) -> None:
        self._response = response
        self._exchange = exchange

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        parts = self._response.aiter_stream()
        while True:
            with _errors_of_httpx2(), self._exchange.clock():
                part = await anext(parts, None)
            if part is None:
                return
            self._exchange.spend(raw=len(part))
            yield part

    async def aclose(self) -> None:
        with _errors_of_httpx2():
            await self._response.aclose()


class _Decoded(httpx2.AsyncByteStream):
    """The decoded body, with its bytes counted again."""

    def __init__(self, body: _Body, coding: str | None, exchange: Exchange) -> None:
        self._body = body
        self._coding = coding
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = Unpacker(self._coding) if self._coding else None
        async with contextlib.aclosing(self._body.__aiter__()) as parts:
            async for part in parts:
                for piece in (part,) if unpacker is None else unpacker.decode(part):
                    self._exchange.spend(decoded=len(piece))
                    yield piece
        if unpacker is not None:
            unpacker.finish()

    async def aclose(self) -> None:
        await self._body.aclose()


def _is_event_stream(response: httpcore2.Response) -> bool:
    kind: str = httpx2.Headers(response.headers).get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


def _decoded(response: httpcore2.Response, body: _Body, exchange: Exchange, *, head: bool) -> httpx2.Response:
    headers = httpx2.Headers(response.headers)
    if not head:
        length = headers.get("content-length", "")
        if length.isdecimal() and exchange.raw + int(length) > exchange.limits.max_bytes:
            raise ResponseTooLargeError(exchange.limits.max_bytes)
    codings = [coding.strip().lower() for coding in headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > 1:
        # The intermediate data could grow without limit while no decoded byte is counted.
        raise RefusedURLError(f"the response is encoded more than once ({', '.join(codings)[:100]})")
    # The body of a redirect is counted, but nobody reads it.
    coding = codings[0] if codings and not head and not 300 <= response.status < 400 else None
    if coding is not None:
        headers = headers.copy()
        del headers["content-encoding"]
        headers.pop("content-length", None)
    return httpx2.Response(
        response.status,
        headers=headers,
        stream=_Decoded(body, coding, exchange),
        extensions=dict(response.extensions),
    )


@contextlib.contextmanager
def _errors_of_httpx2() -> Iterator[None]:
    """Raise httpcore2's errors as httpx2's errors of the same name."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
        httpcore2.ProxyError,
    ) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error
