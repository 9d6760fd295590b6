"""A plain call of a tool over a pipe is answered without the SDK's runner, exactly as with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.elicitation import AcceptedElicitation, CancelledElicitation, DeclinedElicitation
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.runner import ServerRunner
from mcp.types import (
    Annotations,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    ResourceLink,
    TextContent,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)
from opentelemetry import trace
from pydantic import BaseModel

from mcp_host import Context, Plugin, RequestEnded
from mcp_host.calls.peer import Peer
from mcp_host.server.duplex import INLINE, Duplex
from mcp_host.server.hostserver import HostServer
from mcp_host.server.plaincalls import PlainCalls, PlainPipe
from mcp_host.testing import connect, make_host

CLIENT = {"name": "tests", "version": "1"}
ENVELOPE = {
    PROTOCOL_VERSION_META_KEY: "2026-07-28",
    CLIENT_INFO_META_KEY: CLIENT,
    CLIENT_CAPABILITIES_META_KEY: {"elicitation": {"form": {}}},
}
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]


class Choice(BaseModel):
    size: int


async def chosen(kind: str) -> Any:
    return Elicit(f"which size of {kind}?", Choice)


def make_plugin(ended: list[RequestEnded] | None = None) -> Plugin:
    plugin = Plugin()

    @plugin.tool
    def echo(value: Any = None) -> Any:
        return value

    @plugin.tool
    def echoed(value: dict[str, Any]) -> dict[str, Any]:
        return value

    @plugin.tool
    async def texts(count: int) -> list[str]:
        return [f"text {number}" for number in range(count)]

    @plugin.tool
    def refuse() -> str:
        raise ToolError("not today")

    @plugin.tool
    def miss() -> str:
        raise ResourceNotFoundError("no such note")

    @plugin.tool
    async def read(uri: str, ctx: Context) -> str:
        return str([part.content for part in await ctx.read_resource(uri)])

    @plugin.tool
    def crash() -> str:
        raise RuntimeError("a secret of the server")

    @plugin.tool
    async def talk(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "half")
        await ctx.info({"now": "talking"})
        return f"{ctx.protocol_version} {ctx.request_id} {sorted(ctx.request_context.meta or {})}"

    @plugin.tool
    async def order(
        kind: str,
        choice: Annotated[AcceptedElicitation[Choice] | DeclinedElicitation | CancelledElicitation, Resolve(chosen)],
    ) -> str:
        return f"{kind} {choice}"

    @plugin.tool
    def raw(what: str) -> CallToolResult:
        text = TextContent(type="text", text="plain")
        return {
            "picture": CallToolResult(content=[ImageContent(type="image", data="aGk=", mime_type="image/png")]),
            "link": CallToolResult(content=[text, ResourceLink(type="resource_link", name="a", uri="data://a")]),
            "noted": CallToolResult(content=[TextContent(type="text", text="x", annotations=Annotations(priority=1))]),
            "marked": CallToolResult(content=[TextContent(type="text", text="x", _meta={"a": None, "b": 1})]),
            "meta": CallToolResult(content=[text], _meta={"a": {"b": None}}),
            "error": CallToolResult(content=[text], is_error=True, structured_content={"code": 7, "none": None}),
            "list": CallToolResult(content=[text], structured_content=[1, None, "x"]),
            "empty": CallToolResult(content=[]),
        }[what]

    if ended is not None:

        def observe(event: Any) -> None:
            if isinstance(event, RequestEnded):
                ended.append(event)

        plugin.observer(observe)
    return plugin


class Pipe:
    """A client at the other end of a `Duplex`. `talk` sends a call and returns all messages up to its answer."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._numbers = count(1)
        self._written: asyncio.Queue[JSONRPCMessage] = asyncio.Queue()
        self.peer = Peer(self._written.put, inline=INLINE)

    async def request(self, method: str, params: dict[str, Any] | None) -> list[dict[str, Any]]:
        number = next(self._numbers)
        message = JSONRPCRequest(jsonrpc="2.0", id=number, method=method)
        if params is not None:
            message.params = params
        self.peer.receive(message)
        messages: list[dict[str, Any]] = []
        while not messages or messages[-1].get("id") != number:
            written = await self._written.get()
            messages.append(written.model_dump(mode="json", by_alias=True, exclude_unset=True))
        return messages

    async def greet(self) -> None:
        if self.version == "2026-07-28":
            return
        params = {"protocolVersion": self.version, "capabilities": {"elicitation": {}}, "clientInfo": CLIENT}
        await self.request("initialize", params)
        self.peer.receive(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))

    async def call(self, params: dict[str, Any] | None) -> list[dict[str, Any]]:
        if self.version == "2026-07-28" and params is not None and isinstance(params.get("_meta", {}), dict):
            params = {**params, "_meta": {**ENVELOPE, **params.get("_meta", {})}}
        return await self.request("tools/call", params)


@asynccontextmanager
async def pipe(server: HostServer, version: str) -> AsyncIterator[Pipe]:
    client = Pipe(version)
    serving = asyncio.create_task(Duplex(server, client.peer).run())
    try:
        await client.greet()
        yield client
    finally:
        client.peer.end()
        await serving


WAYS = ("handler", "server", "pipe")
"""Plain calls go through the SDK's handler, or only through its runner and middleware, or past these, too."""


@asynccontextmanager
async def every_way(version: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Pipe]]:
    """Yield a client for each of the ways."""
    host = make_host(make_plugin())
    way = {"now": "handler"}
    for owner, ways in ((PlainCalls, ("server", "pipe")), (PlainPipe, ("pipe",))):
        accepts: Any = owner.accepts

        def switched(self: Any, *args: Any, accepts: Any = accepts, ways: Any = ways, **options: Any) -> bool:
            return way["now"] in ways and accepts(self, *args, **options)

        monkeypatch.setattr(owner, "accepts", switched)

    class Switching(Pipe):
        way = "handler"

        async def request(self, method: str, params: dict[str, Any] | None) -> list[dict[str, Any]]:
            way["now"] = self.way
            return await super().request(method, params)

    monkeypatch.setattr(f"{__name__}.Pipe", Switching)
    server = HostServer(host)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(host.running())
        clients = {name: await stack.enter_async_context(pipe(server, version)) for name in WAYS}
        for name, client in clients.items():
            assert isinstance(client, Switching)
            client.way = name
        yield clients


def comparable(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without what differs from call to call: the ids of errors and the sealed state."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: "sealed" if key == "requestState" else cleaned(each) for key, each in value.items()}
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        return re.sub(r"error [0-9a-f]{8}", "error ID", value) if isinstance(value, str) else value

    return [cleaned(message) for message in messages]


RAW = ("picture", "link", "noted", "marked", "meta", "error", "list", "empty")

CALLS: list[dict[str, Any] | None] = [
    {"name": "echo", "arguments": {"value": {"a": [1, None, "ü", 1.5]}}},
    {"name": "echo", "arguments": {}},
    {"name": "echo", "arguments": None},
    {"name": "echo"},
    {"name": "echoed", "arguments": {"value": {"deep": {"none": None}}}},
    {"name": "echoed", "arguments": {"value": 1}},
    {"name": "texts", "arguments": {"count": 3}},
    {"name": "texts", "arguments": {"count": "many"}},
    {"name": "refuse"},
    {"name": "miss"},
    {"name": "read", "arguments": {"uri": "nothing://here"}},
    {"name": "crash"},
    {"name": "nothing"},
    {"name": "talk"},
    {"name": "talk", "_meta": {"progressToken": "t"}},
    {"name": "talk", "_meta": {"progressToken": 5, "own": {"x": 1}}},
    {"name": "talk", "_meta": {"progressToken": True}},
    {"name": "talk", "_meta": {"progressToken": [1]}},
    {"name": "talk", "_meta": {"progress_token": "t"}},
    {"name": "talk", "_meta": {LOG_LEVEL_META_KEY: "debug"}},
    {"name": "talk", "_meta": {LOG_LEVEL_META_KEY: "loud"}},
    {"name": "talk", "_meta": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
    {"name": "talk", "_meta": {CLIENT_INFO_META_KEY: {"name": 1}}},
    {"name": "talk", "_meta": {CLIENT_CAPABILITIES_META_KEY: None}},
    {"name": "talk", "_meta": {PROTOCOL_VERSION_META_KEY: "1999-01-01"}},
    {"name": "talk", "_meta": {PROTOCOL_VERSION_META_KEY: 7}},
    {"name": "talk", "_meta": None},
    {"name": "talk", "_meta": []},
    *({"name": "raw", "arguments": {"what": what}} for what in RAW),
    {"name": "order", "arguments": {"kind": "box"}, "requestState": "forged"},
    {"name": "echo", "requestState": None},
    {"name": "echo", "inputResponses": {}},
    {"name": "echo", "task": {"ttl": 1}},
    {"name": "echo", "more": 1},
    {"name": 1},
    {"name": None},
    {"name": "echo", "arguments": []},
    {"name": "echo", "arguments": "x"},
    {},
    None,
]


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_all_ways_answer_the_same(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [*CALLS]
    if version == "2026-07-28":
        # A client of the handshake versions would be asked by a request.
        calls.append({"name": "order", "arguments": {"kind": "box"}})
    async with every_way(version, monkeypatch) as clients:
        for params in calls:
            expected, *others = [comparable(await client.call(params)) for client in clients.values()]
            for answer in others:
                assert answer == expected, params


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["name", "arguments", "_meta", "requestState", "task", "progressToken"]) | st.text(max_size=5)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["echo", "echoed", "talk", "none"]) | json_values,
        "arguments": st.fixed_dictionaries({"value": json_values}) | json_values,
        "_meta": st.dictionaries(keys, json_values, max_size=3) | json_values,
        "more": json_values,
    },
)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_all_ways_answer_the_same_to_anything(version: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, asyncio.Runner() as runner:
        ways = every_way(version, monkeypatch)
        clients = runner.run(ways.__aenter__())

        @given(parameters)
        def same(params: dict[str, Any]) -> None:
            expected, *others = [comparable(runner.run(client.call(params))) for client in clients.values()]
            for answer in others:
                assert answer == expected

        same()
        runner.run(ways.__aexit__(None, None, None))


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_plain_call_is_seen_by_observers_and_not_by_the_runner(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[RequestEnded] = []
    seen: list[str] = []
    usual = ServerRunner._on_request

    async def noted(self: Any, inbound: Any, method: str, params: Any) -> Any:
        seen.append(method)
        return await usual(self, inbound, method, params)

    monkeypatch.setattr(ServerRunner, "_on_request", noted)
    host = make_host(make_plugin(ended))
    async with host.running(), pipe(HostServer(host), version) as client:
        await client.call({"name": "echo", "arguments": {"value": "x"}})
        await client.call({"name": "refuse", "_meta": {"progressToken": 1}})
    assert "tools/call" not in seen
    calls = [(each.name, each.outcome, each.protocol_version) for each in ended if each.method == "tools/call"]
    assert calls == [("echo", "ok", version), ("refuse", "error", version)]


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_any_transport_a_plain_call_does_not_reach_the_handler(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    usual = HostServer._handle_call_tool

    async def noted(self: Any, context: Any, params: Any) -> Any:
        seen.append(params.name)
        return await usual(self, context, params)

    monkeypatch.setattr(HostServer, "_handle_call_tool", noted)
    async with connect(make_plugin(), mode=mode) as client:
        assert (await client.call_tool("echo", {"value": "x"})).structured_content == {"result": "x"}
        assert seen == []
        await client.session.send_request(
            CallToolRequest(params=CallToolRequestParams(name="echo", input_responses={})), CallToolResult
        )
    assert seen == ["echo"]


@pytest.mark.anyio
async def test_a_question_is_answered_in_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with every_way("2026-07-28", monkeypatch) as clients:
        past = clients["pipe"]
        call = {"name": "order", "arguments": {"kind": "box"}}
        asked = (await past.call(call))[-1]["result"]
        assert asked["resultType"] == "input_required"
        ((key, _),) = asked["inputRequests"].items()
        answers = {key: {"action": "accept", "content": {"size": 3}}}
        done = await past.call({**call, "inputResponses": answers, "requestState": asked["requestState"]})
    assert "size=3" in done[-1]["result"]["content"][0]["text"]


@pytest.mark.anyio
async def test_before_the_handshake_a_call_is_refused() -> None:
    host = make_host(make_plugin())
    async with host.running():
        client = Pipe("2025-11-25")
        serving = asyncio.create_task(Duplex(HostServer(host), client.peer).run())
        (answer,) = await client.call({"name": "echo"})
        client.peer.end()
        await serving
    assert answer["error"]["message"] == "Invalid request parameters"


@pytest.mark.anyio
async def test_with_a_tracer_no_call_passes_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host(make_plugin())
    async with host.running():
        plain = PlainPipe(HostServer(host), None)
        assert plain.accepts({"name": "echo"}, modern=False)
        monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
        assert not plain.accepts({"name": "echo"}, modern=False)
