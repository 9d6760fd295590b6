"""A call of another server's tool has the same outcome as one through the SDK's own session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import mcp.types as types
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import JSONRPCMessage
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from pydantic import TypeAdapter, ValidationError

from mcp_host.calls.peer import Peer
from mcp_host.upstream.session import Session

SERVER = {"name": "other", "version": "1"}
RESULT: TypeAdapter[Any] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)


class Other:
    """A session with a server of one protocol version that answers each call with `answer`."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.answer: Any = {}
        self.got: list[Mapping[str, Any] | None] = []
        self._near, self._far = Peer(self._to_far), Peer(self._to_near)
        dispatcher: Any = self._near
        self.session = Session(dispatcher=dispatcher)

    async def _to_far(self, message: JSONRPCMessage) -> None:
        self._far.receive(message)

    async def _to_near(self, message: JSONRPCMessage) -> None:
        self._near.receive(message)

    async def _on_request(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        if method == "initialize":
            return {"protocolVersion": self.version, "capabilities": {"tools": {}}, "serverInfo": SERVER}
        if method == "server/discover":
            return {
                "supportedVersions": [self.version], "capabilities": {"tools": {}}, "serverInfo": SERVER,
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            }  # fmt: skip
        self.got.append(params)
        return dict(self.answer)

    async def _on_notify(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> None:
        pass

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Other]:
        serving = asyncio.create_task(self._far.run(self._on_request, self._on_notify))
        async with self.session:
            if self.version == "2026-07-28":
                await self.session.discover()
            else:
                await self.session.initialize()
            yield self
        self._far.end()
        await serving

    async def outcomes(self, params: dict[str, Any], answer: dict[str, Any]) -> tuple[Any, Any]:
        """Call through the SDK's session, and then directly. An error counts as its type."""
        self.answer = answer
        request = types.CallToolRequest(params=types.CallToolRequestParams.model_validate(params, by_name=False))
        outcomes: list[Any] = []
        for answering in (self.session.send_request(request, RESULT), self.session.call(params)):
            try:
                outcomes.append(await answering)
            except ValidationError as error:
                outcomes.append(type(error))
        return outcomes[0], outcomes[1]


TEXT = {"type": "text", "text": "hello"}
ANSWERS: list[dict[str, Any]] = [
    {"content": []},
    {"content": [TEXT]},
    {"content": [TEXT], "isError": True},
    {"content": [TEXT], "isError": None},
    {"content": [TEXT], "structuredContent": {"a": None, "b": [1.5, "x"]}},
    {"content": [TEXT], "structuredContent": [1]},
    {"content": [TEXT], "structuredContent": "x"},
    {"content": [TEXT], "structuredContent": None},
    {"content": [TEXT], "_meta": {"a": {"b": None}}},
    {"content": [TEXT], "_meta": "x"},
    {"content": [TEXT], "resultType": "complete"},
    {"content": [TEXT], "resultType": 1},
    {"content": [TEXT], "resultType": "of an extension"},
    {"content": [TEXT], "ttlMs": -1, "cacheScope": "nobody"},
    {"content": [TEXT], "more": {"x": 1}},
    {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png", "annotations": {"priority": 0.5}}]},
    {"content": [{"type": "image", "data": "aGk="}]},
    {"content": [{"type": "resource_link", "uri": "data://a", "name": "a", "size": 1}]},
    {"content": [{"type": "resource", "resource": {"uri": "data://a", "text": "x"}}]},
    {"content": [{"type": "video"}]},
    {"content": "hello"},
    {"content": None},
    {},
    {"inputRequests": {}, "requestState": "s", "resultType": "input_required"},
    {"requestState": "s", "resultType": "input_required", "content": []},
]
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_outcome_is_the_same(version: str) -> None:
    async with Other(version).connected() as other:
        for answer in ANSWERS:
            expected, outcome = await other.outcomes({"name": "a", "arguments": {"x": 1}}, answer)
            assert outcome == expected, answer


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_server_gets_the_same(version: str) -> None:
    async with Other(version).connected() as other:
        await other.outcomes({"name": "a", "arguments": {"x": [1, None]}, "_meta": {"own": 1}}, {"content": []})
        through, past = other.got
        assert past == through
        meta = (past or {})["_meta"]
        assert meta["own"] == 1
        of_the_envelope = {PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY}
        assert of_the_envelope <= meta.keys() if version == "2026-07-28" else not of_the_envelope & meta.keys()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
answers = st.fixed_dictionaries(
    {},
    optional={
        "content": st.lists(st.just(TEXT) | json_values, max_size=2),
        "structuredContent": json_values,
        "isError": st.booleans() | json_values,
        "_meta": st.dictionaries(st.text(max_size=5), json_values, max_size=2) | json_values,
        "resultType": st.sampled_from(["complete", "input_required"]) | json_values,
        "requestState": json_values,
        "more": json_values,
    },
)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_the_outcome_of_anything_is_the_same(version: str) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Other(version).connected()) as other:

        @given(answers)
        def same(answer: dict[str, Any]) -> None:
            expected, outcome = portal.call(other.outcomes, {"name": "a"}, answer)
            assert outcome == expected

        same()
