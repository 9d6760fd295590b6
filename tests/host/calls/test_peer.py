"""Two peers at the ends of one pipe: requests both ways, cancellation, progress, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    REQUEST_TIMEOUT,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)
from opentelemetry import trace
from pydantic import TypeAdapter

from mcp_host.calls.peer import Inbound, Peer

pytestmark = pytest.mark.anyio


class Ends:
    """A peer that asks, one that answers, and everything that was written."""

    def __init__(self, **options: Any) -> None:
        self.written: list[JSONRPCMessage] = []
        self.asks = Peer(self._to_answers)
        self.answers = Peer(self._to_asks, **options)
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.order: list[str] = []
        self.cancelled: list[str] = []

    async def _to_answers(self, message: JSONRPCMessage) -> None:
        self.written.append(message)
        self.answers.receive(message)

    async def _to_asks(self, message: JSONRPCMessage) -> None:
        self.written.append(message)
        self.asks.receive(message)

    async def on_request(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        self.order.append(method)
        match method:
            case "echo":
                return dict(params or {})
            case "wait":
                self.began.set()
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.cancelled.append(method)
                    raise
                return {"waited": True}
            case "back":
                return dict(await inbound.send_raw_request("echo", {"of": "back"}))
            case "progress":
                for number in range(3):
                    await inbound.progress(number, 3, f"step {number}")
                return {}
            case "one way":
                inbound.one_way = True
                assert not inbound.transport.can_send_request
                return dict(await inbound.send_raw_request("echo", {}))
            case "unfit":
                TypeAdapter(int).validate_python("a secret text")
            case "refused":
                raise MCPError(-32099, "refused", {"because": 1})
        raise ValueError("a secret text")

    async def on_notify(self, inbound: Any, method: str, params: Mapping[str, Any] | None) -> None:
        self.order.append(method)
        if method == "bad":
            raise ValueError("a bad handler")

    def sent(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.written if isinstance(message, kind)]


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[Ends]:
    ends = Ends(**options)
    tasks = [asyncio.create_task(peer.run(ends.on_request, ends.on_notify)) for peer in (ends.asks, ends.answers)]
    try:
        yield ends
    finally:
        for peer in (ends.asks, ends.answers):
            peer.end()
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()


async def test_requests_go_both_ways_and_results_come_back() -> None:
    async with connected() as ends:
        assert await ends.asks.send_raw_request("echo", {"a": [1, None]}) == {"a": [1, None]}
        assert await ends.asks.send_raw_request("echo", None) == {}
        assert await ends.asks.send_raw_request("back", None) == {"of": "back"}
        first = ends.sent(JSONRPCRequest)[1].model_dump(exclude_unset=True)
        assert first == {"jsonrpc": "2.0", "id": 2, "method": "echo"}


async def test_what_comes_before_run_is_answered_by_it() -> None:
    ends = Ends()
    asking = asyncio.create_task(ends.asks.send_raw_request("echo", {"a": 1}))
    await asyncio.sleep(0)
    assert ends.order == []
    tasks = [asyncio.create_task(peer.run(ends.on_request, ends.on_notify)) for peer in (ends.answers, ends.asks)]
    assert await asking == {"a": 1}
    ends.asks.end()
    ends.answers.end()
    await asyncio.wait(tasks)


@pytest.mark.parametrize(
    ("method", "code", "text", "data"),
    [
        ("refused", -32099, "refused", {"because": 1}),
        ("unfit", INVALID_PARAMS, "Invalid request parameters", ""),
        ("crash", INTERNAL_ERROR, "Internal server error", None),
    ],
)
async def test_an_error_of_the_handler_has_a_code_and_no_text_of_a_crash(
    method: str, code: int, text: str, data: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected() as ends:
        with pytest.raises(MCPError) as caught:
            await ends.asks.send_raw_request(method, None)
        assert (caught.value.code, caught.value.message, caught.value.data) == (code, text, data)
        assert ("a secret text" in caplog.text) == (method == "crash")


async def test_an_inline_request_is_answered_before_the_next_message_is_looked_at() -> None:
    async with connected(inline=frozenset({"wait"})) as ends:
        waiting = asyncio.create_task(ends.asks.send_raw_request("wait", None))
        await ends.began.wait()
        later = asyncio.create_task(ends.asks.send_raw_request("echo", None))
        await ends.asks.notify("note", None)
        again = asyncio.create_task(ends.asks.send_raw_request("wait", None))
        await asyncio.sleep(0)
        assert ends.order == ["wait"]
        ends.go_on.set()
        await asyncio.gather(waiting, later, again)
        assert ends.order == ["wait", "note", "echo", "wait"]


async def test_a_cancelled_caller_cancels_the_request_which_gets_no_answer() -> None:
    async with connected() as ends:
        asking = asyncio.create_task(ends.asks.send_raw_request("wait", None))
        await ends.began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (notice,) = ends.sent(JSONRPCNotification)
        assert (notice.method, notice.params["requestId"]) == ("notifications/cancelled", 1)
        assert await ends.asks.send_raw_request("echo", None) == {}
        assert ends.cancelled == ["wait"]
        assert [answer.id for answer in ends.sent(JSONRPCResponse)] == [2]
        assert ends.sent(JSONRPCError) == []


async def test_a_request_that_is_cancelled_before_its_handler_began_leaves_nothing() -> None:
    async with connected() as ends:
        await ends.asks.send_raw_request("echo", None)
        ends.answers.receive(JSONRPCRequest(jsonrpc="2.0", id=5, method="wait"))
        params = {"requestId": 5}
        ends.answers.receive(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))
        assert await ends.asks.send_raw_request("echo", None) == {}
        assert ends.answers._running == {}
        assert "wait" not in ends.order


async def test_a_request_may_not_be_cancelled_if_the_protocol_forbids_it() -> None:
    async with connected() as ends:
        asking = asyncio.create_task(ends.asks.send_raw_request("wait", None, {"cancel_on_abandon": False}))
        await ends.began.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert ends.sent(JSONRPCNotification) == []


@pytest.mark.parametrize(("asked", "cancelled"), [(7, "7"), ("7", 7), ("a", "a"), (0, 0)])
async def test_an_id_may_be_a_number_or_its_text(asked: int | str, cancelled: int | str) -> None:
    async with connected() as ends:
        ends.answers.receive(JSONRPCRequest(jsonrpc="2.0", id=asked, method="wait"))
        await ends.began.wait()
        params = {"requestId": cancelled}
        ends.answers.receive(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))
        await ends.asks.send_raw_request("echo", None)
        assert ends.cancelled == ["wait"]


async def test_the_ids_500_and_its_text_are_two_requests() -> None:
    async with connected() as ends:
        for request_id in (500, "500"):
            ends.answers.receive(JSONRPCRequest(jsonrpc="2.0", id=request_id, method="wait"))
        await ends.began.wait()
        params = {"requestId": "500"}
        ends.answers.receive(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))
        ends.go_on.set()
        await ends.asks.send_raw_request("echo", None)
        assert [answer.id for answer in ends.sent(JSONRPCResponse)] == [500, 1]


async def test_an_answer_with_the_id_as_a_text_and_one_to_nothing() -> None:
    async with connected() as ends:
        asking = asyncio.create_task(ends.asks.send_raw_request("wait", None))
        await ends.began.wait()
        ends.asks.receive(JSONRPCResponse(jsonrpc="2.0", id=99, result={}))
        ends.asks.receive(JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=-32700, message="what?")))
        ends.asks.receive(JSONRPCResponse(jsonrpc="2.0", id="1", result={"early": True}))
        assert await asking == {"early": True}


async def test_an_answer_that_does_not_come_in_time_is_not_waited_for() -> None:
    async with connected() as ends:
        with pytest.raises(MCPError, match="Request 'wait' timed out") as caught:
            await ends.asks.send_raw_request("wait", None, {"timeout": 0.01})
        assert caught.value.code == REQUEST_TIMEOUT
        assert ends.sent(JSONRPCNotification)[0].params["requestId"] == 1


async def test_progress_comes_to_who_asked_for_it() -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with connected() as ends:
        await ends.asks.send_raw_request("progress", None)
        assert ends.sent(JSONRPCNotification) == []
        await ends.asks.send_raw_request("progress", {"_meta": {"own": 1}}, {"on_progress": note})
        assert ends.sent(JSONRPCRequest)[1].params == {"_meta": {"own": 1, "progressToken": 2}}
    assert seen == [(0, 3, "step 0"), (1, 3, "step 1"), (2, 3, "step 2")]


async def test_a_message_may_forbid_requests_back() -> None:
    async with connected() as ends:
        with pytest.raises(MCPError, match="echo"):
            await ends.asks.send_raw_request("one way", None)
    inbound = Inbound(ends.asks, 1, None)
    inbound.closed = True
    with pytest.raises(NoBackChannelError):
        await inbound.send_raw_request("echo", None)


async def test_a_failure_of_a_notification_s_handler_is_logged_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected() as ends:
        await ends.asks.notify("bad", {})
        assert await ends.asks.send_raw_request("echo", None) == {}
    assert "the handler of bad failed" in caplog.text


async def test_at_the_end_who_waits_fails_and_who_answers_is_cancelled() -> None:
    async with connected() as ends:
        asking = asyncio.create_task(ends.asks.send_raw_request("wait", None))
        await ends.began.wait()
        ends.answers.end()
        with pytest.raises(MCPError, match="Connection closed"):
            await asking
        ends.asks.end()
        with pytest.raises(MCPError) as caught:
            await ends.asks.send_raw_request("echo", None)
        assert caught.value.code == CONNECTION_CLOSED
        await ends.asks.notify("note", None)
    assert ends.cancelled == ["wait"]
    assert [answer.error.code for answer in ends.sent(JSONRPCError)] == [CONNECTION_CLOSED]
    assert "note" not in ends.order


async def test_an_own_id_is_used_once_at_a_time() -> None:
    async with connected() as ends:
        asking = asyncio.create_task(ends.asks.send_raw_request("wait", None, {"request_id": 1}))
        await ends.began.wait()
        with pytest.raises(ValueError, match="already in flight"):
            await ends.asks.send_raw_request("echo", None, {"request_id": 1})
        assert await ends.asks.send_raw_request("echo", None) == {}
        ends.go_on.set()
        assert await asking == {"waited": True}
        assert [request.id for request in ends.sent(JSONRPCRequest)] == [1, 2]


async def test_a_trace_goes_on_at_the_other_end() -> None:
    ids = trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1))
    async with connected() as ends:
        with trace.use_span(trace.NonRecordingSpan(ids)):
            result = await ends.asks.send_raw_request("echo", {"_meta": {"own": 1}})
    assert result["_meta"] == {"own": 1, "traceparent": f"00-{1:032x}-{2:016x}-01"}


async def test_whether_the_other_end_asked_for_progress_is_seen() -> None:
    peer = Ends().asks
    assert Inbound(peer, 1, {"_meta": {"progressToken": 0}}).progress_token == 0
    assert Inbound(peer, 1, {"_meta": {}}).progress_token is None
