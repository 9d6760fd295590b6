"""The transport below a guarded client: checks each hop's URL, bounds bytes and time, keeps credentials at home."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpcore2
import httpx2

from mcp_host.net.errors import RefusedURLError, ResponseTooLargeError
from mcp_host.net.exchange import Exchange, Limits, origin_of

# What a request may say to another origin than the one it was meant for. A list of credentials could not be complete:
# any other header may be one. Cookie and Host are made anew for each hop by httpx2.
_NEUTRAL: Final = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "cookie", "host"}
    | {"content-length", "content-type", "transfer-encoding", "user-agent"}
)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests over a pool whose connections a `GuardedBackend` makes.

    Bodies arrive decoded, without the headers `Content-Encoding` and `Content-Length` of the encoded form, and what
    comes out is counted, so that a small body that unpacks to a large one is stopped at the limit. Both limits hold for
    an exchange as a whole.
    """

    def __init__(self, pool: httpcore2.AsyncConnectionPool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one hop.

        Raises:
            GuardError: The URL, the address, the size or the time is beyond what is allowed.
            httpx2.TransportError: The network's own failures.
        """
        check_url(request.url)
        exchange = Exchange.of(request, self._limits)
        if origin_of(request.url) != exchange.origin:
            for name in set(request.headers) - _NEUTRAL:
                del request.headers[name]
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        hop = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors_of_httpx2(), exchange.clock():
            response = await self._pool.handle_async_request(hop)
        body = _Body(response, exchange)
        try:
            return _decoded(response, body, exchange, head=request.method == "HEAD")
        except BaseException:
            await body.aclose()
            raise

    async def aclose(self) -> None:
        """Close the pool's connections."""
        await self._pool.aclose()


def check_url(url: httpx2.URL) -> None:
    """Refuse a URL that is not for fetching.

    Raises:
        RefusedURLError: The scheme is not http or https, there is no host or no such port, or there is a user name or
            password.
    """
    if not url.scheme or not url.host:
        raise RefusedURLError("only http and https URLs that name a host are fetched")
    if url.scheme not in ("http", "https"):
        raise RefusedURLError(f"only http and https are fetched, not {url.scheme}")
    if url.port is not None and not 0 < url.port < 65536:
        raise RefusedURLError(f"the URL names port {url.port}: ports are 1 to 65535")
    if url.userinfo:
        raise RefusedURLError(f"the URL for {url.host} carries a user name or password, which is not sent")


class _Body(httpx2.AsyncByteStream):
    """The body as it comes from the connection, counted."""

    def __init__(self, response: httpcore2.Response, exchange: Exchange) -> None:
        self._response = response
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
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
    """The body decoded, counted again."""

    def __init__(self, encoded: httpx2.Response, exchange: Exchange) -> None:
        self._encoded = encoded
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with contextlib.aclosing(self._encoded.aiter_bytes()) as parts:
            async for part in parts:
                self._exchange.spend(decoded=len(part))
                yield part

    async def aclose(self) -> None:
        await self._encoded.aclose()


def _decoded(response: httpcore2.Response, body: _Body, exchange: Exchange, *, head: bool) -> httpx2.Response:
    headers = httpx2.Headers(response.headers)
    if not head:
        length = headers.get("content-length", "")
        if length.isdecimal() and exchange.raw + int(length) > exchange.limits.max_bytes:
            raise ResponseTooLargeError(exchange.limits.max_bytes)
    codings = [coding.strip().lower() for coding in headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > 1:
        # The layers between could grow without bound while nothing comes out.
        raise RefusedURLError(f"the response is encoded more than once ({', '.join(codings)[:100]})")
    encoded = httpx2.Response(response.status, headers=headers, stream=body)
    if codings and not head:
        headers = headers.copy()
        del headers["content-encoding"]
        headers.pop("content-length", None)
    return httpx2.Response(
        response.status,
        headers=headers,
        stream=_Decoded(encoded, exchange),
        extensions=dict(response.extensions),
    )


@contextlib.contextmanager
def _errors_of_httpx2() -> Iterator[None]:
    """Raise the errors of the layer below as those of the same name that users of httpx2 know."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error
