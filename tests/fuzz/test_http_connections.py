"""Connections that violate HTTP, send half of a request, or are slow: the host keeps serving the others."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fuzz.http import LARGEST, HttpHost
from fuzz.payloads import dump
from fuzz.wire import check_text, settles, strict
from support.sites import Site

LONGEST = 60.0
TIMEOUT = "2s"

BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/none"}'


@pytest.fixture(scope="module", params=["auto", "legacy"])
def host(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpHost]:
    host = HttpHost(tmp_path_factory.mktemp("connections"), site.folder, request.param, TIMEOUT)
    yield host
    host.close()


def head(host: HttpHost, *lines: str, method: str = "POST", drop: str = "") -> bytes:
    """Return a request's head with the era's headers, without `drop`, and with more lines."""
    own = {"Host": host.url.split("/")[2], **host.headers_of({"method": "tools/none", "params": {}})}
    kept = [f"{name}: {value}" for name, value in own.items() if name != drop]
    return "\r\n".join([f"{method} /mcp HTTP/1.1", *kept, *lines, "", ""]).encode("latin-1")


def answer_to(host: HttpHost, *parts: bytes, half_close: bool = False) -> bytes:
    """Send the parts, and return everything the host sends until it closes the connection."""
    with socket.create_connection(host.address, timeout=LONGEST) as connection:
        received = b""
        try:
            for part in parts:
                connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received += data
        except OSError as error:
            # The host may close a refused connection before it has read everything.
            assert error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)  # noqa: PT017
        return received


def check_response(host: HttpHost, received: bytes) -> int | None:
    """Return the status of the first response, if there is any."""
    check_text(received, host.secrets)
    if not received:
        return None
    status_line, _, rest = received.partition(b"\r\n")
    assert status_line.startswith(b"HTTP/1.1 "), received[:500]
    status = int(status_line.split()[1])
    assert status < 500, received[:2000]
    headers, _, body = rest.partition(b"\r\n\r\n")
    if b"application/json" in headers.lower() and b"chunked" not in headers.lower():
        length = int(headers.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        strict(body[:length])
    return status


ALLOWED = {"the same length twice", "a folded header"}
"""Requests that a server may accept (RFC 9112, section 5.2; RFC 9110, section 8.6)."""


def broken(host: HttpHost) -> dict[str, tuple[bytes, ...]]:
    """Return requests that violate RFC 9112, by their error."""
    sized = f"Content-Length: {len(BODY)}"
    chunked = "Transfer-Encoding: chunked"
    return {
        "no length": (head(host), BODY),
        "a negative length": (head(host, "Content-Length: -1"), BODY),
        "no number for a length": (head(host, "Content-Length: 1e3"), BODY),
        "an enormous length": (head(host, "Content-Length: " + "9" * 30), BODY),
        "two lengths": (head(host, sized, "Content-Length: 3"), BODY),
        "the same length twice": (head(host, sized, sized, "Connection: close"), BODY),
        "a length and chunks": (head(host, sized, chunked, "Connection: close"), b"0\r\n\r\n"),
        "chunks of garbage": (head(host, chunked), b"zz\r\n" + BODY),
        "a chunk that is longer than it says": (head(host, chunked), b"2\r\n" + BODY + b"\r\n0\r\n\r\n"),
        "an enormous chunk": (head(host, chunked), b"f" * 40 + b"\r\n" + BODY),
        "endless chunk extensions": (head(host, chunked), b"1;" + b"x" * 200_000),
        "an unknown transfer encoding": (head(host, "Transfer-Encoding: gzip"), BODY),
        "two transfer encodings": (head(host, chunked, chunked), BODY),
        "no host": (head(host, sized, "Connection: close", drop="Host"), BODY),
        "two hosts": (head(host, sized, "Host: evil.example"), BODY),
        "two origins": (head(host, sized, "Origin: http://localhost", "Origin: http://evil.example"), BODY),
        "a header without a colon": (head(host, "nothing"), BODY),
        "a header with a NUL": (head(host, "X: a\0b"), BODY),
        "a folded header": (head(host, sized, "X: a", " b", "Connection: close"), BODY),
        "an endless header": (head(host, "X: " + "x" * 200_000), BODY),
        "thousands of headers": (head(host, *(f"X-{number}: 1" for number in range(20_000))), BODY),
        "a line of garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",),
        "HTTP/0.9": (b"GET /mcp\r\n\r\n",),
        "an absolute target": (b"POST http://evil.example/mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",),
        "a target that is not UTF-8": (b"GET /%ff%00/../mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",),
        "a body that is too large, in chunks": (
            head(host, chunked, "Connection: close"),
            *[b"10000\r\n" + b" " * 0x10000 + b"\r\n"] * (LARGEST // 0x10000 + 1),
            b"0\r\n\r\n",
        ),
    }  # fmt: skip


def test_requests_that_break_the_rules_are_refused(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    for what, parts in broken(host).items():
        for half_close in (False, True):
            status = check_response(host, answer_to(host, *parts, half_close=half_close))
            assert status is None or status >= 400 or what in ALLOWED, f"{what}: {status}"
        host.probe()
    settles(host.census, before)


def test_incomplete_requests_leave_nothing(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    whole = head(host, f"Content-Length: {len(BODY)}") + BODY
    for length in range(0, len(whole), 5):
        with socket.create_connection(host.address, timeout=LONGEST) as connection:
            connection.sendall(whole[:length])
    host.probe()
    settles(host.census, before)
    assert "Traceback" not in host.err


def test_slow_senders_get_408_or_are_disconnected(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    sized = head(host, f"Content-Length: {len(BODY)}")
    chunked = head(host, "Transfer-Encoding: chunked")
    with ExitStack() as stack:
        slow = []
        for data in [b"", b"P", sized[:-2], sized, sized + BODY[:5], chunked, chunked + b"5\r\n{"] * 10:
            connection = stack.enter_context(socket.create_connection(host.address, timeout=LONGEST))
            connection.sendall(data)
            slow.append((data, connection))
        # Others are served meanwhile.
        host.probe()
        for data, connection in slow:
            received = b""
            while part := connection.recv(65536):
                received += part
            if b"\r\n\r\n" in data:
                assert check_response(host, received) == 408
                assert b"did not arrive within 2 s" in received
            else:
                assert received == b""
    settles(host.census, before)


def test_pipelined_requests_are_answered_in_order(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    requests = []
    for number in range(20):
        call = {"jsonrpc": "2.0", "id": number, "method": "tools/none", "params": {"_meta": host.meta}}
        last = ["Connection: close"] if number == 19 else []
        requests.append(head(host, f"Content-Length: {len(dump(call))}", *last) + dump(call))
    received = answer_to(host, b"".join(requests))
    check_response(host, received)
    places = [received.find(f'"id":{number},'.encode()) for number in range(20)]
    assert -1 not in places
    assert places == sorted(places)
    settles(host.census, before)


def test_streams_whose_reader_leaves_are_removed(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    for _ in range(4):
        if host.era == "legacy":
            request = head(host, method="GET")
        else:
            params = {"_meta": host.meta, "notifications": {"toolsListChanged": True}}
            listen = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
            request = head(host, f"Content-Length: {len(dump(listen))}", drop="Mcp-Method").replace(
                b"\r\n\r\n", b"\r\nMcp-Method: subscriptions/listen\r\n\r\n"
            ) + dump(listen)
        with socket.create_connection(host.address, timeout=LONGEST) as connection:
            connection.sendall(request)
            assert check_response(host, connection.recv(65536)) == 200
        # A session has one stream at a time.
        settles(host.census, before)
    assert "Traceback" not in host.err
