"""The seeds: inputs that once caused an error, or that are difficult for a parser. Every run begins with them.

Add here what a longer run finds (`MCP_HOST_FUZZ_EXAMPLES=5000`).
"""

from __future__ import annotations

import json
from typing import Any


def _request(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping", **members}).encode()


def _call(name: str, arguments: object = None) -> bytes:
    return _request(method="tools/call", params={"name": name, "arguments": {} if arguments is None else arguments})


CORPUS: list[bytes] = [
    # Not JSON
    b"",
    b" ",
    b"\0",
    b"{",
    b"}",
    b'{"jsonrpc":"2.0","id":1,"method":"ping"',
    b'{"jsonrpc":"2.0","id":1,"method":"ping"}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}',
    b"'{}'",
    b"GET / HTTP/1.1\r",
    b"Content-Length: 2\r",
    # Not UTF-8
    b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
    b'{"jsonrpc":"2.0","id":"\xc3","method":"ping"}',
    # Halves of surrogate pairs, which a response would repeat
    _request(method="\ud800"),
    _request(id="\udfff"),
    _call("\ud800"),
    _call("echo", {"value": "\ud83d"}),
    _call("echo", {"\udc00": 1}),
    _request(method="resources/read", params={"uri": "echo://some/\ud800"}),
    _request(method="prompts/get", params={"name": "\ud800"}),
    # Numbers that JSON or a double does not have
    _call("echo", {"value": float("nan")}),
    _call("echo", {"value": float("-inf")}),
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"value":1e999}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":1e400}}}',
    b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 4300 + b',"method":"ping"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 4301 + b',"method":"ping"}',
    # Invalid ids
    _request(id=None),
    _request(id=True),
    _request(id=1.0),
    _request(id=1.5),
    _request(id=[]),
    _request(id={}),
    _request(id=""),
    _request(id="_GET_stream"),
    # A cancellation with an invalid id once ended the reader: the id was looked up, and an object has no hash
    _request(method="notifications/cancelled", params={"requestId": {}}),
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[[]]}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":null}',
    # Messages of the wrong kind
    b"[]",
    b"[1]",
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    b'{"jsonrpc":"2.0"}',
    b'{"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    b'{"id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"result":{}}',
    b'{"jsonrpc":"2.0","id":"none","result":null}',
    b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{},"error":{"code":1,"message":"x"}}',
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"tools/list"}',
    b'{"__proto__":{},"jsonrpc":"2.0","id":1,"method":"ping"}',
    # Unknown methods
    _request(method=""),
    _request(method="__class__"),
    _request(method="tools/call\0"),
    _request(method="rpc.discover"),
    _request(method="notifications/initialized"),
    _request(method="notifications/none"),
    # Deep
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"[" * 5_000 + b"]" * 5_000,
    _call("echo", {"value": json.loads("[" * 150 + "]" * 150)}),
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 190 + b"1" + b"}" * 191,
]
