"""The limits of the guarded client's exchanges: bytes, before and after decoding, and seconds."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx2
import pytest

from mcp_host.net import (
    BlockedAddressError,
    ExchangeTimeoutError,
    RefusedURLError,
    ResponseTooLargeError,
    guarded_client,
)
from support.webservers import Reply, redirect, text, web_server

pytestmark = pytest.mark.anyio


# Size and time

LIMIT = 100_000


async def zeros() -> AsyncIterator[bytes]:
    while True:
        yield bytes(10_000)


async def nothing_more() -> AsyncIterator[bytes]:
    yield gzip.compress(b"done")
    while True:
        yield bytes(10_000)


async def endless_gzip() -> AsyncIterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=bytes(LIMIT + 1)),
        Reply(body=b"", headers={"Content-Length": "99999999999"}),
        Reply(body=zeros),
        Reply(body=gzip.compress(bytes(LIMIT + 1)), headers={"Content-Encoding": "gzip"}),
        Reply(body=zlib.compress(bytes(LIMIT + 1)), headers={"Content-Encoding": "deflate"}),
        Reply(body=endless_gzip, headers={"Content-Encoding": "gzip"}),
        Reply(body=nothing_more, headers={"Content-Encoding": "gzip"}),
        Reply(status=302, body=zeros, headers={"Location": "/"}),
        Reply(status=500, body=zeros),
    ],
    ids=["length", "claimed", "endless", "gzip", "deflate", "bomb", "after the end", "redirect", "error"],
)
async def test_a_response_that_is_too_large_is_stopped(reply: Reply) -> None:
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"], max_bytes=LIMIT) as client:
        with pytest.raises(ResponseTooLargeError, match="100,000 bytes"):
            await client.get(server.url)


async def test_a_response_just_below_the_limit_arrives_complete() -> None:
    body = bytes(range(250)) * (LIMIT // 250)
    packed = {"Content-Encoding": "gzip", "Content-Type": "text/x"}
    routes = {"/": Reply(body=body), "/gzip": Reply(body=gzip.compress(body), headers=packed)}
    async with web_server(routes) as server, guarded_client(allow=["127.0.0.1"], max_bytes=LIMIT) as client:
        assert (await client.get(server.url)).content == body
        response = await client.get(f"{server.url}/gzip")
        assert response.content == body
        assert response.headers["content-type"] == "text/x"
        assert "content-encoding" not in response.headers


async def test_the_limit_applies_to_all_redirects_together() -> None:
    hops: dict[str, Any] = {
        f"/{n}": Reply(status=302, body=bytes(LIMIT // 2), headers={"Location": f"/{n + 1}"}) for n in range(3)
    }
    async with web_server(hops) as server, guarded_client(allow=["127.0.0.1"], max_bytes=LIMIT) as client:
        with pytest.raises(ResponseTooLargeError):
            await client.get(f"{server.url}/0")


async def test_a_body_that_is_encoded_twice_is_refused() -> None:
    bomb = Reply(body=gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": "gzip, gzip"})
    async with web_server({"/": bomb}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(RefusedURLError, match=r"more than once \(gzip, gzip\)"):
            await client.get(server.url)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(body=b"short", headers={"Content-Length": "10"}), httpx2.RemoteProtocolError),
        (Reply(body=b"x", headers={"Content-Length": "minus"}), httpx2.RemoteProtocolError),
        (Reply(head=b"SSH-2.0-OpenSSH_9.6\r\n"), httpx2.RemoteProtocolError),
        (Reply(head=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000), httpx2.RemoteProtocolError),
        (Reply(head=b""), httpx2.RemoteProtocolError),
        (Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}), httpx2.DecodingError),
        (redirect("http://[::1"), httpx2.RemoteProtocolError),
    ],
)
async def test_a_broken_answer_is_an_error_of_httpx2(reply: Reply, error: type[Exception]) -> None:
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(error):
            await client.get(server.url)


WHOLE = random.Random(1).randbytes(3000)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def in_pieces(data: bytes, size: int = 1) -> Callable[[], AsyncIterator[bytes]]:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return pieces


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(WHOLE, mtime=0)),
        ("x-gzip", gzip.compress(WHOLE, mtime=0)),
        ("GZIP", gzip.compress(WHOLE[:1000], mtime=0) + gzip.compress(WHOLE[1000:], mtime=0)),
        ("gzip", gzip.compress(WHOLE, mtime=0) + bytes(512)),
        ("deflate", zlib.compress(WHOLE)),
        ("deflate", deflated(WHOLE)),
        ("identity", WHOLE),
    ],
)
@pytest.mark.parametrize("size", [1, 100, 1_000_000])
async def test_an_encoded_body_arrives_whole_however_it_is_cut(coding: str, body: bytes, size: int) -> None:
    reply = Reply(body=in_pieces(body, size), headers={"Content-Encoding": coding})
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        assert (await client.get(server.url)).content == WHOLE


async def test_a_body_that_unpacks_to_much_more_arrives_whole() -> None:
    body = bytes(3_000_000)
    reply = Reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        assert (await client.get(server.url)).content == body


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_an_encoded_body_without_a_byte_is_empty(coding: str) -> None:
    async with (
        web_server({"/": Reply(headers={"Content-Encoding": coding})}) as server,
        guarded_client(allow=["127.0.0.1"]) as client,
    ):
        assert (await client.get(server.url)).content == b""


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(WHOLE, mtime=0)[:300]),
        ("gzip", gzip.compress(WHOLE, mtime=0)[:-1]),
        ("gzip", gzip.compress(WHOLE, mtime=0)[:1]),
        ("gzip", gzip.compress(WHOLE, mtime=0) + gzip.compress(WHOLE, mtime=0)[:-9]),
        ("deflate", zlib.compress(WHOLE)[:-1]),
        ("deflate", deflated(WHOLE)[:-1]),
    ],
)
async def test_an_encoded_body_that_ends_early_is_an_error(coding: str, body: bytes) -> None:
    reply = Reply(body=body, headers={"Content-Encoding": coding})
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(httpx2.DecodingError, match="ends early"):
            await client.get(server.url)


async def test_a_chunked_body_without_an_end_is_an_error() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with web_server({"/": Reply(head=head)}) as server, guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
            await client.get(server.url)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "exi"])
async def test_an_encoding_that_was_not_asked_for_is_an_error_that_names_it(coding: str) -> None:
    packed = {"Content-Encoding": coding}
    routes = {
        "/": Reply(body=b"\x8b\x05\x80", headers=packed),
        "/gone": Reply(status=410, body=b"\x8b\x05\x80", headers=packed),
        "/moved": Reply(status=302, body=b"\x8b\x05\x80", headers={**packed, "Location": "/here"}),
        "/here": text("arrived"),
    }
    async with web_server(routes) as server, guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(httpx2.DecodingError, match=f"encoded as '{coding}', which was not asked for"):
            await client.get(server.url)
        async with client.stream("GET", f"{server.url}/gone") as response:
            assert response.status_code == 410
        assert (await client.get(f"{server.url}/moved")).text == "arrived"
    assert {request.headers["accept-encoding"] for request in server.requests} == {"gzip, deflate"}


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await anyio.sleep(0.02)


async def drip_headers() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X: y\r\n"
        await anyio.sleep(0.02)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=drip),
        Reply(head=b"", body=drip_headers),
        Reply(status=302, body=drip, headers={"Location": "/"}),
        Reply(status=302, headers={"Location": "/"}),
    ],
    ids=["body", "headers", "redirect", "round and round"],
)
async def test_slow_drips_are_stopped_when_the_time_is_up(reply: Reply) -> None:
    async with (
        web_server({"/": reply}) as server,
        guarded_client(allow=["127.0.0.1"], timeout=0.5, max_redirects=1_000_000) as client,
    ):
        with pytest.raises(ExchangeTimeoutError, match=r"within 0\.5 s"):
            await client.get(server.url)


async def read_all(client: httpx2.AsyncClient, url: str) -> list[bytes]:
    async with client.stream("GET", url) as response:
        return [part async for part in response.aiter_bytes()]


async def test_a_streamed_body_has_the_same_time_limit() -> None:
    async with (
        web_server({"/": Reply(body=drip)}) as server,
        guarded_client(allow=["127.0.0.1"], timeout=0.5) as client,
    ):
        with pytest.raises(ExchangeTimeoutError):
            await read_all(client, server.url)


async def test_a_request_that_is_sent_again_begins_with_full_limits() -> None:
    async with web_server({"/": text("hello")}) as server, guarded_client(allow=["127.0.0.1"], max_bytes=8) as client:
        request = client.build_request("GET", server.url)
        for _ in range(3):
            assert (await client.send(request)).text == "hello"


async def test_head_has_no_body_to_limit() -> None:
    reply = Reply(headers={"Content-Length": "99999999999"})
    async with web_server({"/": reply}) as server, guarded_client(allow=["127.0.0.1"], max_bytes=10) as client:
        response = await client.head(server.url)
        assert response.headers["content-length"] == "99999999999"


# Answers that stay open


async def events() -> AsyncIterator[bytes]:
    for _ in range(40):
        yield b"data: " + bytes(LIMIT // 20).replace(b"\0", b"x") + b"\n\n"
        await anyio.sleep(0.02)


async def silence() -> AsyncIterator[bytes]:
    yield b"data: x\n\n"
    await anyio.sleep_forever()


STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


async def test_with_streams_an_event_stream_may_be_longer_and_larger_than_the_limits() -> None:
    allowed: dict[str, Any] = {"allow": ["127.0.0.1"], "max_bytes": LIMIT, "timeout": 0.5}
    async with web_server({"/": Reply(body=events, headers=STREAM)}) as server:
        async with guarded_client(**allowed, streams=True) as client, client.stream("GET", server.url) as response:
            assert sum([len(piece) async for piece in response.aiter_bytes()]) > 2 * LIMIT - 100
        async with guarded_client(**allowed) as client:
            with pytest.raises((ResponseTooLargeError, ExchangeTimeoutError)):
                await client.get(server.url)


async def test_with_streams_each_wait_for_a_piece_is_limited() -> None:
    async with (
        web_server({"/": Reply(body=silence, headers=STREAM)}) as server,
        guarded_client(allow=["127.0.0.1"], timeout=0.2, streams=True) as client,
    ):
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(server.url)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=zeros),
        Reply(body=zeros, headers={"Content-Type": "application/json"}),
        Reply(status=500, body=zeros, headers=STREAM),
        Reply(body=gzip.compress(bytes(LIMIT + 1)), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["no type", "json", "error", "gzip"],
)
async def test_with_streams_any_other_answer_is_limited(reply: Reply) -> None:
    async with (
        web_server({"/": reply}) as server,
        guarded_client(allow=["127.0.0.1"], max_bytes=LIMIT, streams=True) as client,
    ):
        with pytest.raises(ResponseTooLargeError):
            await client.get(server.url)


async def test_with_streams_the_addresses_are_checked() -> None:
    async with web_server({"/": text("x")}) as server, guarded_client(streams=True) as client:
        with pytest.raises(BlockedAddressError):
            await client.get(server.url)
        assert server.connections == 0
