"""After any input on stdin, a valid request is answered, and every line on stdout is JSON-RPC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given

from fuzz.conftest import bounded, seeded
from fuzz.payloads import dump, payloads, requests, with_wrong_field
from fuzz.wire import StdioHost, settles
from support.sites import Site

LARGEST = 256 * 1024


@pytest.fixture(scope="module", params=["auto", "legacy"])
def host(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioHost]:
    folder = tmp_path_factory.mktemp("stdio")
    text = f"[host]\nlog_level = 'error'\n[transport]\nmax_request_size = {LARGEST}\n[plugins.echo]\n"
    (folder / "mcp-host.toml").write_text(text, encoding="utf-8")
    host = StdioHost(folder, site.folder, request.param)
    yield host
    host.close()


def test_every_field_may_have_any_type(host: StdioHost) -> None:
    host.probe()
    before = host.census()
    for message in requests(host.era):
        for changed in with_wrong_field(message):
            host.send(dump(changed))
        host.probe()
    settles(host.census, before)
    assert "Traceback" not in host.err


def test_bytes_of_all_kinds_do_not_break_the_host(host: StdioHost) -> None:
    host.probe()
    before = host.census()

    @bounded
    @seeded
    @given(payloads(host.era))
    def answered(payload: bytes) -> None:
        host.send(payload)
        host.probe()

    answered()
    settles(host.census, before)
    assert "Traceback" not in host.err


def test_lines_that_are_too_long_are_skipped(host: StdioHost) -> None:
    host.probe()
    before = host.census()
    for _ in range(20):
        host.send(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * LARGEST * 4 + b'"}')
        (answer,) = host.probe()
        assert answer["error"]["message"] == f"The message is larger than {LARGEST} bytes"
    settles(host.census, before)


def test_a_line_may_come_byte_by_byte(host: StdioHost) -> None:
    for byte in b'{"jsonrpc":"2.0","id":"slow","method":"tools/none"}':
        host.send_raw(bytes([byte]))
    host.send_raw(b"\n")
    assert [answer["id"] for answer in host.probe()] == ["slow"]


def test_an_id_cannot_be_used_twice_at_the_same_time(host: StdioHost) -> None:
    before = host.census()
    params = {"name": "hold", "arguments": {}, "_meta": {**host.meta, "progressToken": "t"}}
    call = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
    host.send(dump(call), dump(call), dump(call))
    refused = [message for message in host.probe() if "error" in message]
    assert [answer["id"] for answer in refused] == [None, None]
    assert all("another request in flight has the same id" in answer["error"]["message"] for answer in refused)
    host.send(dump({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}))
    settles(host.census, before)
    host.send(dump({"jsonrpc": "2.0", "id": 5, "method": "tools/none"}))
    assert [answer["id"] for answer in host.probe()] == [5]
