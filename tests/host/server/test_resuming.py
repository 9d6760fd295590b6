"""The events that are kept for clients whose connection broke: of which session, in which order, how many."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.streamable_http import EventMessage
from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse

from mcp_host.server.http.resuming import EventLog, SessionEvents

pytestmark = pytest.mark.anyio


def note(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": text})


def result(text: str, id: str = "1") -> JSONRPCResponse:
    return JSONRPCResponse(jsonrpc="2.0", id=id, result={"text": text})


class Client:
    """A client that reconnected with this last event id: what it gets, and whether its stream has ended."""

    def __init__(self, events: SessionEvents, last: str) -> None:
        self.got: list[EventMessage] = []
        self.ended = False
        self._task = asyncio.create_task(self._come_back(events, last))

    async def _come_back(self, events: SessionEvents, last: str) -> None:
        await events.replay_events_after(last, self._take)
        self.ended = True

    async def _take(self, event: EventMessage) -> None:
        await asyncio.sleep(0)
        self.got.append(event)

    async def messages(self) -> list[JSONRPCMessage]:
        # Nothing here waits for I/O, so a dozen turns of the loop are enough.
        turns, before = 0, -1
        while turns < 12:
            turns = turns + 1 if len(self.got) == before else 0
            before = len(self.got)
            await asyncio.sleep(0)
        return [event.message for event in self.got]

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def replay(events: SessionEvents, last: str) -> tuple[list[JSONRPCMessage], bool]:
    """Return what such a client gets immediately, and whether its stream then ends."""
    client = Client(events, last)
    messages = await client.messages()
    await client.leave()
    return messages, client.ended


async def test_a_client_gets_the_missed_messages_and_the_new_ones_until_the_response() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    await events.store_event("2", note("of another call"))
    first = await events.store_event("1", note("one"))
    await events.store_event("1", note("two"))
    assert await replay(events, start) == ([note("one"), note("two")], False)
    assert await replay(events, first) == ([note("two")], False)
    last = await events.store_event("1", result("done"))
    assert await replay(events, first) == ([note("two"), result("done")], True)
    assert await replay(events, last) == ([], False)


async def test_an_error_ends_a_stream_like_a_response() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    error = JSONRPCError.model_validate({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no"}})
    await events.store_event("1", error)
    assert await replay(events, start) == ([error], True)


async def test_replayed_events_keep_their_ids() -> None:
    events = EventLog().session()
    start = await events.store_event("a b/ü", None)
    ids = [await events.store_event("a b/ü", note(text)) for text in ("one", "two")]
    client = Client(events, start)
    await client.messages()
    ids.append(await events.store_event("a b/ü", note("three")))
    await client.messages()
    assert [event.event_id for event in client.got] == ids
    await client.leave()


async def test_sessions_with_equal_stream_names_do_not_share_events() -> None:
    log = EventLog()
    ann, bob = log.session(), log.session()
    start = await ann.store_event("1", None)
    await ann.store_event("1", note("for Ann"))
    await bob.store_event("1", note("for Bob"))
    assert await replay(ann, start) == ([note("for Ann")], False)
    assert await replay(bob, start) == ([note("for Bob")], False)


async def test_a_session_keeps_its_newest_events_up_to_its_size_limit() -> None:
    log = EventLog(session_bytes=10_000)
    busy, quiet = log.session(), log.session()
    before = await quiet.store_event("1", None)
    await quiet.store_event("1", note("kept"))
    start = await busy.store_event("1", None)
    for number in range(100):
        await busy.store_event("1", note(f"{number}"))
    messages, ended = await replay(busy, start)
    assert not ended
    assert 5 < len(messages) < 20
    assert messages == [note(f"{number}") for number in range(100 - len(messages), 100)]
    assert await replay(quiet, before) == ([note("kept")], False)


async def test_all_sessions_keep_their_newest_events_up_to_the_total_size_limit() -> None:
    log = EventLog(total_bytes=10_000)
    sessions = [log.session() for _ in range(100)]
    starts = [await session.store_event("1", None) for session in sessions]
    for session in sessions:
        await session.store_event("1", note("hello"))
    assert log.size <= 10_000
    kept = [bool((await replay(*pair))[0]) for pair in zip(sessions, starts, strict=True)]
    assert kept == [False] * (100 - len(log)) + [True] * len(log)
    assert len(log) > 5


async def test_a_message_that_is_too_large_to_keep_does_not_remove_others() -> None:
    log = EventLog(session_bytes=10_000)
    events = log.session()
    start = await events.store_event("1", None)
    await events.store_event("1", note("small"))
    await events.store_event("1", note("x" * 10_000))
    assert await replay(events, start) == ([note("small")], False)


async def test_the_events_of_a_session_are_dropped_with_it() -> None:
    log = EventLog()
    events, other = log.session(), log.session()
    await events.store_event("1", note("one"))
    await other.store_event("1", note("two"))
    del events
    gc.collect()
    assert len(log) == 1
    assert 0 < log.size < 1000


@given(st.text())
async def test_an_unknown_event_id_gets_nothing(last: str) -> None:
    events = EventLog().session()
    await events.store_event("1", note("one"))
    messages, _ = await replay(events, last)
    assert messages == [] or last == "0-1"


async def test_an_event_stored_during_the_replay_is_sent_after_it_and_only_once() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    await events.store_event("1", note("one"))
    client = Client(events, start)
    while not client.got:
        await asyncio.sleep(0)
        await events.store_event("1", note("meanwhile"))
    await events.store_event("1", result("done"))
    first, *between, last = await client.messages()
    assert (first, last) == (note("one"), result("done"))
    assert between
    assert all(message == note("meanwhile") for message in between)
    assert len({event.event_id for event in client.got}) == len(client.got)
    assert client.ended


async def test_the_stream_of_a_client_that_does_not_read_ends_and_it_can_reconnect() -> None:
    events = EventLog().session()
    client = Client(events, await events.store_event("1", None))
    await client.messages()
    for number in range(500):
        await events.store_event("1", note(f"{number}"))
    await client.messages()
    assert client.ended
    last = client.got[-1].event_id
    assert last is not None
    await events.store_event("1", result("done"))
    rest, ended = await replay(events, last)
    got = [event.message for event in client.got] + rest
    assert got == [*(note(f"{number}") for number in range(500)), result("done")]
    assert ended


async def test_only_the_newest_client_of_a_stream_gets_its_events() -> None:
    events = EventLog().session()
    start = await events.store_event("1", None)
    older, newer = Client(events, start), Client(events, start)
    await newer.messages()
    assert older.ended
    await events.store_event("1", result("done"))
    assert await newer.messages() == [result("done")]
    assert newer.ended


async def test_the_end_of_a_session_ends_its_streams_and_drops_its_events() -> None:
    log = EventLog()
    events = log.session()
    client = Client(events, await events.store_event("1", None))
    await client.messages()
    assert not client.ended
    await events.store_event("1", note("kept no longer"))
    assert len(log) == 1
    events.close()
    await client.messages()
    assert client.ended
    assert (len(log), log.size) == (0, 0)


async def test_a_response_too_large_to_keep_is_sent_to_connected_clients_and_an_error_to_later_ones() -> None:
    events = EventLog(session_bytes=10_000).session()
    start = await events.store_event("1", None)
    client = Client(events, start)
    await client.messages()
    await events.store_event("1", result("x" * 10_000))
    assert await client.messages() == [result("x" * 10_000)]
    ([answer], ended) = await replay(events, start)
    assert isinstance(answer, JSONRPCError)
    assert "too many to keep" in answer.error.message
    assert answer.id == "1"
    assert ended
