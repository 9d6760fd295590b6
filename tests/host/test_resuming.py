"""What is kept for clients whose connection broke: whose it is, in which order, and how much of it."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.streamable_http import EventMessage
from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from mcp_host.server.resuming import EventLog, SessionEvents

pytestmark = pytest.mark.anyio


def note(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": text})


def result(text: str, id: str = "1") -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=id, result={"text": text})


async def replay(events: SessionEvents, last: str) -> tuple[list[JSONRPCMessage], str | None]:
    """What a client gets that comes back with this last event id, and the stream it stays on."""
    sent: list[EventMessage] = []

    async def send(event: EventMessage) -> None:
        sent.append(event)

    stream = await events.replay_events_after(last, send)
    return [event.message for event in sent], stream


async def test_a_client_gets_what_followed_on_its_stream_and_stays_on_it_until_the_answer() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    await events.store_event("2", note("of another call"))
    first = await events.store_event("1", note("one"))
    await events.store_event("1", note("two"))
    assert await replay(events, start) == ([note("one"), note("two")], "1")
    assert await replay(events, first) == ([note("two")], "1")
    last = await events.store_event("1", result("done"))
    assert await replay(events, first) == ([note("two"), result("done")], None)
    assert await replay(events, last) == ([], "1")


async def test_an_error_ends_a_stream_as_an_answer_does() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    error = JSONRPCError.model_validate({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no"}})
    await events.store_event("1", error)
    assert await replay(events, start) == ([error], None)


async def test_replayed_events_have_the_ids_they_were_sent_with() -> None:
    events = EventLog().session()
    start = await events.store_event("a b/ü", None)
    ids = [await events.store_event("a b/ü", note(text)) for text in ("one", "two")]
    sent: list[str | None] = []

    async def send(event: EventMessage) -> None:
        sent.append(event.event_id)

    assert await events.replay_events_after(start, send) == "a b/ü"
    assert sent == ids


async def test_no_session_gets_what_was_sent_to_another_on_a_stream_of_the_same_name() -> None:
    log = EventLog()
    ann, bob = log.session(), log.session()
    start = await ann.store_event("1", None)
    await ann.store_event("1", note("for Ann"))
    await bob.store_event("1", note("for Bob"))
    assert await replay(ann, start) == ([note("for Ann")], "1")
    assert await replay(bob, start) == ([note("for Bob")], "1")


async def test_a_session_keeps_its_newest_events_within_its_bytes() -> None:
    log = EventLog(session_bytes=10_000)
    busy, quiet = log.session(), log.session()
    before = await quiet.store_event("1", None)
    await quiet.store_event("1", note("kept"))
    start = await busy.store_event("1", None)
    for number in range(100):
        await busy.store_event("1", note(f"{number}"))
    messages, stream = await replay(busy, start)
    assert stream == "1"
    assert 5 < len(messages) < 20
    assert messages == [note(f"{number}") for number in range(100 - len(messages), 100)]
    assert await replay(quiet, before) == ([note("kept")], "1")


async def test_all_sessions_together_keep_their_newest_events_within_all_bytes() -> None:
    log = EventLog(total_bytes=10_000)
    sessions = [log.session() for _ in range(100)]
    starts = [await session.store_event("1", None) for session in sessions]
    for session in sessions:
        await session.store_event("1", note("hello"))
    assert log.size <= 10_000
    kept = [bool((await replay(*pair))[0]) for pair in zip(sessions, starts, strict=True)]
    assert kept == [False] * (100 - len(log)) + [True] * len(log)
    assert len(log) > 5


async def test_a_message_too_large_to_keep_drives_out_no_other() -> None:
    log = EventLog(session_bytes=10_000)
    events = log.session()
    start = await events.store_event("1", None)
    await events.store_event("1", note("small"))
    await events.store_event("1", note("x" * 10_000))
    assert await replay(events, start) == ([note("small")], "1")


async def test_the_events_of_a_session_are_forgotten_with_it() -> None:
    log = EventLog()
    events, other = log.session(), log.session()
    await events.store_event("1", note("one"))
    await other.store_event("1", note("two"))
    del events
    gc.collect()
    assert len(log) == 1
    assert 0 < log.size < 1000


@given(st.text())
async def test_an_id_that_was_never_given_brings_nothing(last: str) -> None:
    events = EventLog().session()
    await events.store_event("1", note("one"))
    messages, _ = await replay(events, last)
    assert messages == [] or last == "0-1"
