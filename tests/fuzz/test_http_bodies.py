"""No HTTP request gets a 5xx, whatever it contains, and a valid request after it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.conftest import EXAMPLES, bounded, seeded
from fuzz.http import LARGEST, HttpHost
from fuzz.payloads import HANDSHAKE, MODERN, dump, payloads, requests, with_wrong_field
from fuzz.wire import settles
from support.sites import Site


@pytest.fixture(scope="module", params=["auto", "legacy"])
def host(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpHost]:
    host = HttpHost(tmp_path_factory.mktemp("http"), site.folder, request.param)
    yield host
    host.close()


def test_every_field_may_have_any_type(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    for message in requests(host.era):
        # Requests are slow, so only every seventh change is tried, or all with MCP_HOST_FUZZ_EXAMPLES.
        for changed in islice(with_wrong_field(message), None, None, 7 if EXAMPLES is None else 1):
            host.post(dump(changed), host.headers_of(message))
        host.probe()
    settles(host.census, before)
    assert "Traceback" not in host.err


def test_bytes_of_all_kinds_do_not_break_the_host(host: HttpHost) -> None:
    host.probe()
    before = host.census()

    @bounded
    @seeded
    @given(payloads(host.era))
    def answered(payload: bytes) -> None:
        host.post(payload, host.headers_of({"method": "tools/call", "params": {"name": "echo"}}))
        host.probe()

    answered()
    settles(host.census, before)
    assert "Traceback" not in host.err


_VALUES = st.one_of(
    st.sampled_from(
        [
            *("", ",", "*/*", "text/html", "application/json", "application/json, text/event-stream;q=0"),
            *("application/json; charset=utf-16", "2", "-1", "1e9", "00", "true", "null", "null, null", "x" * 3000),
            *(
                HANDSHAKE,
                MODERN,
                "2024-11-05",
                "tools/list",
                "echo",
                "=?base64?/w==?=",
                "=?base64?7aCA?=",
                "=?base64?!?=",
            ),
            *("gzip", "100-continue", "close", "upgrade", "h2c", "websocket", "localhost", "http://localhost:1"),
        ]
    ),
    st.text(st.characters(codec="latin-1", min_codepoint=33, exclude_categories=["Cc"]), max_size=20),
)

_NAMES = st.sampled_from(
    [
        *("accept", "content-type", "content-encoding", "mcp-session-id", "mcp-protocol-version", "mcp-method"),
        *("mcp-name", "mcp-param-value", "last-event-id", "origin", "authorization", "expect", "connection", "upgrade"),
        *("cookie", "x-forwarded-for", "traceparent"),
    ]
)


def test_headers_may_be_missing_or_contradict_each_other(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "_meta": host.meta}}

    @bounded
    @given(
        method=st.sampled_from(["POST", "POST", "POST", "DELETE", "PUT", "OPTIONS", "HEAD", "PATCH", "TRACE", "X"]),
        given=st.lists(st.tuples(_NAMES, _VALUES), max_size=4),
        missing=st.sets(_NAMES, max_size=3),
    )
    def answered(method: str, given: list[tuple[str, str]], missing: set[str]) -> None:
        own = [(name.lower(), value) for name, value in host.headers_of(call).items()]
        kept = [(name, value) for name, value in own if name not in missing]
        # A DELETE with the session's id would end the session for the following requests.
        kept = [(name, value) for name, value in kept if method != "DELETE" or name != "mcp-session-id"]
        host.request(method, dump(call), [*kept, *given])
        host.probe()

    answered()
    settles(host.census, before)
    assert "Traceback" not in host.err


def test_bodies_at_the_limit_pass_and_larger_ones_are_refused(host: HttpHost) -> None:
    host.probe()
    before = host.census()
    headers = host.headers_of({"method": "tools/call", "params": {"name": "none"}})
    for size, statuses in ((LARGEST, {200, 400}), (LARGEST + 1, {413}), (LARGEST * 20, {413})):
        for _ in range(3):
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "none", "_meta": host.meta}}
            assert host.post(dump(call).ljust(size), headers).status_code in statuses
            host.probe()
    settles(host.census, before)


def test_an_id_cannot_be_used_twice_at_the_same_time_in_a_session(host: HttpHost) -> None:
    if host.era == "auto":
        # There are no sessions: ids of different requests are independent.
        return
    before = host.census()
    params = {"name": "hold", "arguments": {}, "_meta": {"progressToken": "t"}}
    call = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
    with host.holding(call):
        for _ in range(2):
            answer = host.post(dump(call), host.headers_of(call))
            assert answer.status_code == 400
            assert answer.json()["id"] == 5
            assert "another request in flight has the same id" in answer.json()["error"]["message"]
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        assert host.post(dump(cancelled), host.headers_of(call)).status_code == 202
    settles(host.census, before)
    assert host.post(dump({**call, "params": {"name": "none"}}), host.headers_of(call)).status_code == 200
