"""The inputs for the host: valid requests, requests with a wrong type in one field, and bytes of all kinds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from fuzz.corpus import CORPUS

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
}

INITIALIZE = {
    "protocolVersion": HANDSHAKE,
    "capabilities": {"roots": {"listChanged": True}},
    "clientInfo": {"name": "fuzz", "version": "1"},
}

PARAMS: dict[str, dict[str, Any]] = {
    "tools/list": {"cursor": "x"},
    "tools/call": {"name": "echo", "arguments": {"value": {"a": [1]}}},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "echo://some/text"},
    "prompts/list": {},
    "prompts/get": {"name": "say", "arguments": {"text": "a"}},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "say"},
        "argument": {"name": "text", "value": "a"},
        "context": {"arguments": {"b": "c"}},
    },
}

HANDSHAKE_PARAMS: dict[str, dict[str, Any]] = {
    "ping": {},
    "initialize": INITIALIZE,
    "logging/setLevel": {"level": "info"},
    "resources/subscribe": {"uri": "echo://fixed"},
    "resources/unsubscribe": {"uri": "echo://fixed"},
    "notifications/cancelled": {"requestId": 7, "reason": "none"},
    "notifications/progress": {"progressToken": 1, "progress": 0.5, "total": 1, "message": "x"},
    "notifications/initialized": {},
    "notifications/roots/list_changed": {},
}

WRONG: Sequence[object] = (
    None, True, 0, -1, 1.5, 10**400, "", "x", "\0", "x" * 5000, [], {}, [[]], {"": None}, 1e308, "\ud800", float("nan"),
)  # fmt: skip


def requests(era: str) -> Iterator[dict[str, Any]]:
    """Yield one valid message for each method, with all members of the era."""
    meta = META if era == "auto" else {"progressToken": "t"}
    if era == "auto":
        yield {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    for method, params in (PARAMS if era == "auto" else {**PARAMS, **HANDSHAKE_PARAMS}).items():
        message = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}
        yield message if method.startswith("notifications/") else {"id": f"of {method}", **message}


def _paths(value: object) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        for path in _paths(inner):
            yield (key, *path)


def with_wrong_field(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the message with each member removed, and with each member replaced by each wrong value.

    `_meta` is the same in all messages, so its members are changed only in one message.
    """
    for path in _paths(message):
        if path[:2] == ("params", "_meta") and path[2:] and message["method"] != "tools/call":
            continue
        for wrong in (*WRONG, ...):
            changed = copy.deepcopy(message)
            parent: Any = changed
            for key in path[:-1]:
                parent = parent[key]
            if wrong is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = wrong
            yield changed


def dump(value: object) -> bytes:
    """Return JSON as a careless client writes it, with `NaN` and halves of surrogate pairs."""
    return json.dumps(value).encode()


_texts = st.text(st.characters(exclude_categories=()), max_size=40)
_numbers = st.integers() | st.floats() | st.sampled_from([2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308])
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_texts, inner, max_size=5),
    max_leaves=20,
)


@st.composite
def _mutated(draw: st.DrawFn, era: str) -> bytes:
    """Return a valid message with one member replaced by any value."""
    message = copy.deepcopy(draw(st.sampled_from(list(requests(era)))))
    path = draw(st.sampled_from(list(_paths(message))))
    parent: Any = message
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = draw(_values)
    return dump(message)


@st.composite
def _broken(draw: st.DrawFn, era: str) -> bytes:
    """Return the bytes of a valid message, with some removed and others inserted."""
    data = dump(draw(st.sampled_from(list(requests(era)))))
    at = draw(st.integers(0, len(data)))
    to = draw(st.integers(at, len(data)))
    return data[:at] + draw(st.binary(max_size=20)) + data[to:]


_deep = st.builds(
    lambda opening, depth, closed: opening * depth + (b"]" * depth if closed and opening == b"[" else b""),
    st.sampled_from([b"[", b'{"a":', b'[{"a":']),
    st.sampled_from([50, 199, 201, 1000, 20_000]),
    st.booleans(),
)

_batches = st.lists(st.sampled_from([*requests("auto"), *requests("legacy")]), max_size=4).map(dump)

_seeds = st.sampled_from(CORPUS)


def payloads(era: str) -> st.SearchStrategy[bytes]:
    """Return a strategy for bytes of all kinds, without line ends, because these separate messages on stdio."""
    anything = st.one_of(
        _mutated(era),
        _broken(era),
        _values.map(dump),
        st.binary(max_size=200),
        _deep,
        _batches,
        st.sampled_from(CORPUS),
    )
    return anything.map(lambda data: data.replace(b"\n", b" "))
