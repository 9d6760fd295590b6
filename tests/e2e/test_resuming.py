"""`resumable = true`: a client that comes back gets the rest of its own stream, and of no other stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

if TYPE_CHECKING:
    from support.processes import Cli, Process

VERSION = "2025-11-25"
LONGEST = 60.0


@pytest.fixture(scope="module")
def served(module_cli: Cli) -> Iterator[Process]:
    module_cli.config("[transport]\nresumable = true\n[plugins.good]\n[plugins.polled]\n")
    with module_cli.serve() as process:
        yield process


class Session:
    """A session of a client that drops its streams."""

    def __init__(self, url: str) -> None:
        accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": VERSION}
        self.client = httpx2.Client(headers=accept, timeout=LONGEST)
        self.url = url
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = self.client.post(self.url, json=message)
        self.client.headers["Mcp-Session-Id"] = answer.headers["mcp-session-id"]
        self.client.post(self.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})

    def start(self, tool: str, **arguments: Any) -> str:
        """Call a tool as request 1, disconnect at once, and return the id of the event to resume from."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        with self.client.stream("POST", self.url, json=message) as answer:
            lines = answer.iter_lines()
            event = next(lines).removeprefix("id: ")
            assert next(lines) == "data: "
            assert next(lines) == "retry: 1000"
        return event

    def call(self, tool: str) -> None:
        """Call a tool as a request of its own, to its end."""
        params = {"name": tool, "arguments": {}}
        self.client.post(self.url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})

    def come_back(self, last: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ask once for what followed an event, and yield each event's id and message until the stream ends."""
        with self.client.stream("GET", self.url, headers={"Last-Event-ID": last}) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    last = line.removeprefix("id: ")
                elif line.startswith("data: {"):
                    yield last, json.loads(line.removeprefix("data: "))

    def rest(self, last: str) -> list[dict[str, Any]]:
        """Come back as often as it takes to get the answer: the server may not have noticed yet that we had left."""
        seen: list[dict[str, Any]] = []
        while not seen or "result" not in seen[-1]:
            for id, message in self.come_back(last):
                last = id
                seen.append(message)
                if "result" in message:
                    break
        return seen


@pytest.fixture
def connect() -> Iterator[Callable[[Process], Session]]:
    sessions: list[Session] = []

    def connect(process: Process) -> Session:
        sessions.append(Session(process.url))
        return sessions[-1]

    yield connect
    for session in sessions:
        session.client.close()


def test_a_client_that_comes_back_gets_the_rest(served: Process, connect: Callable[[Process], Session]) -> None:
    session = connect(served)
    *progress, answer = session.rest(session.start("work", steps=3))
    assert [message["params"]["progress"] for message in progress] == [1, 2, 3]
    assert answer["result"]["content"][0]["text"] == "worked"


def test_a_stream_whose_answer_was_sent_again_ends(served: Process, connect: Callable[[Process], Session]) -> None:
    session = connect(served)
    start = session.start("work", steps=1)
    session.rest(start)
    # To its end: the server closes it.
    *_, (_, answer) = session.come_back(start)
    assert answer["result"]["content"][0]["text"] == "worked"


def test_no_client_gets_what_another_was_sent(served: Process, connect: Callable[[Process], Session]) -> None:
    ann, bob = connect(served), connect(served)
    start = ann.start("greet", name="Ann")
    ann.rest(start)
    bob.start("greet", name="Bob")
    (answer,) = bob.rest(start)
    assert answer["result"]["content"][0]["text"] == "Hello, Bob!"
    (answer,) = ann.rest(start)
    assert answer["result"]["content"][0]["text"] == "Hello, Ann!"


def test_a_caller_comes_back_after_its_stream_was_ended(served: Process, connect: Callable[[Process], Session]) -> None:
    session = connect(served)
    start = session.start("send_away", times=2)
    came = []
    # The first stream has ended. This one ends after the nudge, when the tool ends it.
    for event in session.come_back(start):
        came.append(event)
        if len(came) == 1:
            session.call("nudge")
    session.call("nudge")
    *more, answer = session.rest(came[-1][0])
    assert [message["params"]["progress"] for message in [*(message for _, message in came), *more]] == [1, 2]
    assert answer["result"]["content"][0]["text"] == "here again"


def test_the_end_of_a_session_ends_its_resumed_streams(served: Process, connect: Callable[[Process], Session]) -> None:
    session = connect(served)
    last = session.start("hold")
    seen = []
    for _, message in session.come_back(last):
        seen.append(message["params"]["message"])
        assert session.client.delete(session.url).status_code == 200
    assert seen == ["holding"]


def test_without_the_setting_no_stream_can_be_resumed(cli: Cli, connect: Callable[[Process], Session]) -> None:
    cli.config("[transport]\n[plugins.good]\n")
    with cli.serve() as process:
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        answer = connect(process).client.post(process.url, json=message)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert not [line for line in answer.text.splitlines() if line.startswith(("id:", "retry:"))]


@pytest.mark.parametrize("key", ["stateless", "json_response"])
def test_the_setting_is_refused_where_no_stream_can_be_resumed(key: str, cli: Cli) -> None:
    cli.config(f"[transport]\n{key} = true\nresumable = true\n")
    done = cli.run("check")
    assert done.code == 2
    assert f"'resumable': has no effect with {key} = true" in done.err
    assert "transport.resumable" in done.err
