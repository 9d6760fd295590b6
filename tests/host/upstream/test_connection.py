"""The life of a connection: its start, its end, the pauses between, and what it reports."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import mcp.types as types
import pytest
from mcp.shared.exceptions import MCPError

from mcp_host.errors import HostError, RefusedError
from mcp_host.upstream.child import ChildState, child_peer
from mcp_host.upstream.connection import Connection
from mcp_host.upstream.definitions import Definitions
from mcp_host.upstream.source import Pace, Source
from support.faultyserver import Faulty, tool
from support.running import left_of

pytestmark = pytest.mark.anyio

log = logging.getLogger("mcp_host.plugin.faulty")

QUICK = Pace(first_delay=0.01, longest_delay=0.05, debounce=0.05)
each_era = pytest.mark.parametrize("era", ["modern", "handshake"])


class Nobody:
    """Nobody to ask."""

    async def elicit(self, context: Any, params: Any) -> Any:
        return types.ErrorData(code=-32600, message="nobody")

    sample = elicit

    async def list_roots(self, context: Any) -> Any:
        return types.ErrorData(code=-32600, message="nobody")

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        return None


class Kept:
    """A connection, and what it has reported."""

    def __init__(self, faulty: Faulty, *words: str, known: Definitions | None = None, **source: Any) -> None:
        self.faulty = faulty
        self.lists: list[Definitions] = []
        self.updated: list[str] = []
        self.trouble: list[str | None] = []
        self._reported = asyncio.Event()
        command = faulty.command(*words)

        def connect(state: ChildState) -> Any:
            return child_peer(command, dict(os.environ), faulty.folder, log, state)

        self.connection = Connection(
            "faulty",
            Source(connect, **{"pace": QUICK, **source}),
            log,
            asked=Nobody(),
            known=known,
            on_lists=partial(self._note, self.lists),
            on_updated=partial(self._note, self.updated),
            on_trouble=self.trouble.append,
        )

    async def _note(self, noted: list[Any], item: Any) -> None:
        noted.append(item)
        self._reported.set()

    async def reported(self, noted: list[Any], count: int) -> None:
        """Wait until so many were reported."""
        with anyio.fail_after(30):
            while len(noted) < count:
                self._reported.clear()
                await self._reported.wait()

    async def call(self, name: str, **arguments: Any) -> str:
        session = await self.connection.session()
        with self.connection.in_use():
            params = types.CallToolRequestParams(name=name, arguments=arguments)
            result = await session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        (block,) = result.content
        assert isinstance(block, types.TextContent)
        return block.text

    async def killed(self) -> None:
        """Make a call in which the server dies."""
        with pytest.raises(MCPError):
            await self.call("kill")

    async def until(self, state: str) -> None:
        with anyio.fail_after(30):
            await self.connection._until(lambda: self.connection.state.state == state)


@asynccontextmanager
async def kept(faulty: Faulty, *words: str, **options: Any) -> AsyncIterator[Kept]:
    made = Kept(faulty, *words, **options)
    async with made.connection.kept():
        yield made


async def known_of(faulty: Faulty, *words: str) -> Definitions:
    """Return what the server lists, as an earlier run of the host learned it."""
    async with kept(faulty, *words) as made:
        known = made.connection.lists.known
    assert known is not None
    for file in faulty.folder.iterdir():
        file.unlink()
    return known


# Starting


@each_era
async def test_the_state_of_a_running_server_is_known(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era) as made:
        state = made.connection.state
        assert state.state == "up"
        assert state.protocol_version == ("2026-07-28" if era == "modern" else "2025-11-25")
        assert state.server == "faulty 1.5"
        assert state.pid == faulty.pids[0]
        assert (state.restarts, state.retry_in, state.last_end) == (0, None, None)
    assert left_of(faulty.pids) == []


async def test_a_server_that_dies_at_start_is_reported_with_its_status_and_last_words(faulty: Faulty) -> None:
    with pytest.raises(HostError) as failure:
        async with kept(faulty, "dies"):
            pass
    assert failure.value.what == "the server did not start: its process ended with status 3: cannot find the database"
    assert faulty.pids == faulty.pids[:1]


async def test_a_program_that_cannot_be_run_is_reported(faulty: Faulty) -> None:
    program = faulty.folder / "program"
    program.write_text("this is no program")
    made = Kept(faulty)
    state = ChildState()
    source = Source(lambda _: child_peer([str(program)], {}, faulty.folder, log, state), pace=QUICK)
    made.connection._source = source
    with pytest.raises(HostError, match=r"the server did not start: PermissionError: .*Permission denied"):
        async with made.connection.kept():
            pass


async def test_a_mute_server_is_waited_for_briefly_and_reported_when_its_time_is_over(faulty: Faulty) -> None:
    pace = Pace(start=0.5, first_start=0.1, first_delay=30)
    async with kept(faulty, "mute", pace=pace) as made:
        assert made.connection.state.state == "starting"
        assert made.trouble == []
        await made.until("waiting")
        assert made.trouble == ["it cannot be started: it did not answer within 0.5 s"]
        with pytest.raises(RefusedError, match=r"not running \(it did not answer within 0.5 s\); it can be started"):
            await made.call("echo")
    assert left_of(faulty.pids) == []


async def test_a_server_that_the_host_needs_is_waited_for_until_its_time_is_over(faulty: Faulty) -> None:
    with pytest.raises(HostError, match=r"the server did not start within 0\.3 s"):
        async with kept(faulty, "mute", must_start=True, pace=Pace(start=0.3, first_start=0.01)):
            pass
    assert left_of(faulty.pids) == []


async def test_a_server_that_the_host_needs_is_started_with_it_although_its_lists_are_known(faulty: Faulty) -> None:
    known = await known_of(faulty)
    async with kept(faulty, known=known, must_start=True) as made:
        assert made.connection.state.state == "up"
    with pytest.raises(HostError, match="cannot find the database"):
        async with kept(faulty, "dies", known=known, must_start=True):
            pass


async def test_a_slow_server_is_listed_when_it_comes(faulty: Faulty) -> None:
    async with kept(faulty, "held", pace=Pace(first_start=0.05)) as made:
        assert made.lists == []
        (faulty.folder / "go").touch()
        await made.reported(made.lists, 1)
        assert "echo" in [item.name for item in made.lists[0].tools]
        assert await made.call("echo", text="here") == "here"


@each_era
async def test_a_server_that_is_slower_than_the_sdk_waits_is_understood_in_its_era(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    monkeypatch.setattr("mcp.client.session.DISCOVER_TIMEOUT_SECONDS", 0.001)
    async with kept(faulty, era, "held", pace=Pace(first_start=0.05)) as made:
        monkeypatch.undo()
        (faulty.folder / "go").touch()
        await made.reported(made.lists, 1)
        assert faulty.seen[:2] == ["server/discover", "initialize"]
        assert len(faulty.pids) == 1
        assert await made.call("echo", text="here") == "here"


async def test_an_older_server_is_not_asked_for_the_newer_version_again(faulty: Faulty) -> None:
    known = await known_of(faulty, "handshake")
    async with kept(faulty, "handshake", known=known, is_lazy=False) as made:
        await made.until("up")
        assert "server/discover" not in faulty.seen
        assert made.lists == []


async def test_a_server_that_speaks_a_newer_version_than_before_is_still_understood(faulty: Faulty) -> None:
    known = await known_of(faulty, "handshake")
    async with kept(faulty, "modern", known=known, is_lazy=False) as made:
        await made.until("up")
        assert made.connection.state.protocol_version == "2026-07-28"


# Lazy


@each_era
async def test_a_known_server_is_started_by_the_first_call(faulty: Faulty, era: str) -> None:
    known = await known_of(faulty, era)
    async with kept(faulty, era, known=known) as made:
        assert made.connection.state.state == "cold"
        assert made.connection.state.server == "faulty 1.5"
        assert faulty.pids == []
        first, second = await asyncio.gather(made.call("echo", text="a"), made.call("echo", text="b"))
        assert (first, second) == ("a", "b")
        assert len(faulty.pids) == 1
        assert made.lists == []


@each_era
async def test_what_has_changed_since_is_reported_after_the_start(faulty: Faulty, era: str) -> None:
    known = await known_of(faulty, era)
    faulty.lists(tools=[tool("echo"), tool("other")])
    async with kept(faulty, era, known=known) as made:
        await made.call("echo")
        await made.reported(made.lists, 1)
        assert [item.name for item in made.lists[0].tools] == ["echo", "other"]


@each_era
async def test_a_subscription_starts_a_known_server_and_is_made_again_after_its_death(faulty: Faulty, era: str) -> None:
    known = await known_of(faulty, era)
    subscribing = "subscriptions/listen" if era == "modern" else "resources/subscribe"
    async with kept(faulty, era, known=known) as made:
        made.connection.watch("faulty://text")
        await made.until("up")
        await subscribed(made, subscribing, 1 + (era == "modern"))
        await made.call("update")
        await made.reported(made.updated, 1)
        await made.killed()
        # Nobody calls: it is started because of the subscription.
        await made.until("waiting")
        await made.until("up")
        await subscribed(made, subscribing, 2 * (1 + (era == "modern")))
        await made.call("update")
        await made.reported(made.updated, 2)
        assert made.updated == ["faulty://text"] * 2


@each_era
async def test_a_server_is_ended_as_unused_after_its_last_subscription_has_ended(faulty: Faulty, era: str) -> None:
    known = await known_of(faulty, era)
    async with kept(faulty, era, known=known, idle_timeout=0.05) as made:
        first, second = (made.connection.watch("faulty://text") for _ in range(2))
        await made.until("up")
        first()
        first()
        assert len(made.connection.subscriptions) == 1
        second()
        await made.until("cold")
        assert len(faulty.pids) == 1


@each_era
async def test_the_server_learns_what_is_subscribed_to_and_what_is_no_longer(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era) as made:
        release = {uri: made.connection.watch(uri) for uri in ("faulty://a", "faulty://b")}
        if era == "modern":
            # One stream for the lists, one for both resources, and another one for the resource that is left.
            begun, ended, times = "subscriptions/listen", "subscriptions/listen ended", (2, 3)
        else:
            begun, ended, times = "resources/subscribe", "resources/unsubscribe", (2, 2)
        await subscribed(made, begun, times[0])
        release["faulty://a"]()
        await subscribed(made, begun, times[1])
        await subscribed(made, ended, 1)
        await made.call("update", uri="faulty://b")
        await made.reported(made.updated, 1)
        release["faulty://b"]()
        await subscribed(made, ended, 2)
        assert made.faulty.seen.count(begun) == times[1]
        await made.call("update", uri="faulty://b")
        if era == "modern":
            assert made.updated == ["faulty://b"]


async def test_no_more_than_a_thousand_resources_of_a_server_are_followed(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(faulty) as made:
        releases = [made.connection.watch(f"faulty://{number}") for number in range(1002)]
        assert len(made.connection.subscriptions) == 1000
        assert "changes of 'faulty://1001' are not reported: 1000 resources are followed" in caplog.text
        for release in releases:
            release()
        assert len(made.connection.subscriptions) == 0


async def subscribed(made: Kept, method: str, count: int) -> None:
    with anyio.fail_after(30):
        while made.faulty.seen.count(method) < count:
            await made.call("echo")


async def test_an_unused_server_is_ended_and_started_again_by_a_call(faulty: Faulty) -> None:
    known = await known_of(faulty)
    async with kept(faulty, known=known, idle_timeout=0.05) as made:
        await made.call("echo")
        await made.until("cold")
        assert left_of(faulty.pids) == []
        assert made.connection.state.pid is None
        assert await made.call("echo", text="again") == "again"
        assert len(faulty.pids) == 2
        assert made.trouble == [None, None]


@each_era
async def test_a_server_in_use_or_subscribed_to_is_not_ended_as_unused(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era, idle_timeout=0.05) as made:
        calling = asyncio.create_task(made.call("wait"))
        await faulty.wrote("waiting")
        # So many times the idle time passes.
        for _ in range(5):
            await asyncio.wait({calling}, timeout=0.05)
        assert made.connection.state.state == "up"
        calling.cancel()
        made.connection.watch("faulty://text")
        await asyncio.wait({calling})
        for _ in range(5):
            await asyncio.wait({asyncio.ensure_future(asyncio.sleep(0.05))})
        assert made.connection.state.state == "up"
        assert len(faulty.pids) == 1


# Death


@each_era
async def test_the_call_after_a_death_is_answered_by_a_new_process(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era) as made:
        first = await made.call("pid")
        with pytest.raises(MCPError, match="Connection closed"):
            await made.call("exit")
        assert await made.call("pid") != first
        assert made.connection.state.restarts == 1
        assert made.connection.state.last_end == "its process ended with status 7: these are my last words"


@each_era
async def test_a_call_right_after_a_kill_is_never_lost(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era) as made:
        for _ in range(5):
            os.kill(int(await made.call("pid")), signal.SIGKILL)
            # Whether the host has seen the death already is a matter of time. It never waits in vain.
            with anyio.fail_after(10), suppress(MCPError):
                assert await made.call("echo", text="here") == "here"
            assert await made.call("echo", text="here") == "here"


async def test_all_calls_that_run_end_with_their_server(faulty: Faulty) -> None:
    async with kept(faulty) as made:
        calls = [asyncio.create_task(made.call("wait")) for _ in range(5)]
        await faulty.wrote("waiting")
        os.kill(faulty.pids[0], signal.SIGKILL)
        with anyio.fail_after(10):
            ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, MCPError) for error in ended)


async def test_a_server_that_dies_in_each_call_is_started_after_longer_and_longer_pauses(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    pace = Pace(first_delay=0.01, longest_delay=0.04, worth_waiting=5)
    async with kept(faulty, pace=pace) as made:
        for _ in range(5):
            await made.killed()
        await made.until("waiting")
    pauses = [record.args[1] for record in caplog.records if isinstance(record.args, tuple) and len(record.args) == 2]
    assert len(pauses) == 5
    for pause, middle in zip(pauses, (0.01, 0.02, 0.04, 0.04, 0.04), strict=True):
        assert isinstance(pause, float)
        assert 0.75 * middle <= pause <= 1.25 * middle
    assert len(set(pauses)) == 5


async def test_a_server_that_answers_before_it_dies_is_started_again_without_longer_pauses(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    pace = Pace(first_delay=0.01, longest_delay=20, worth_waiting=1)
    async with kept(faulty, pace=pace) as made:
        for _ in range(5):
            assert await made.call("echo", text="here") == "here"
            await made.killed()
        await made.until("waiting")
    pauses = [record.args[1] for record in caplog.records if isinstance(record.args, tuple) and len(record.args) == 2]
    assert all(isinstance(pause, float) and pause <= 0.0125 for pause in pauses)


async def test_a_call_does_not_wait_for_a_start_that_is_far(faulty: Faulty) -> None:
    async with kept(faulty, pace=Pace(first_delay=20)) as made:
        await made.killed()
        await made.until("waiting")
        left = made.connection.state.retry_in
        assert left is not None
        assert 10 < left < 30
        text = r"The server of faulty is not running \(its process was killed by SIGKILL\); it can be started again in"
        with pytest.raises(RefusedError, match=text):
            await made.call("echo")


async def test_a_server_that_dies_too_often_is_given_up(faulty: Faulty) -> None:
    pace = Pace(first_delay=0.001, longest_delay=0.001, most_ends=4)
    async with kept(faulty, pace=pace) as made:
        for _ in range(4):
            await made.killed()
        await made.until("stopped")
        text = "it has ended 4 times, too often, and is not started again: its process was killed by SIGKILL"
        assert made.trouble[-1] == text
        with pytest.raises(RefusedError, match="it is not started again"):
            await made.call("echo")
        assert len(faulty.pids) == 4


async def test_deaths_long_ago_are_forgotten(faulty: Faulty) -> None:
    pace = Pace(first_delay=0.001, longest_delay=0.001, most_ends=3, within=0.0)
    async with kept(faulty, pace=pace) as made:
        for _ in range(5):
            await made.killed()
        assert await made.call("echo", text="here") == "here"


async def test_a_lazy_server_is_cold_after_its_death_until_it_is_wanted(faulty: Faulty) -> None:
    known = await known_of(faulty)
    async with kept(faulty, known=known) as made:
        await made.killed()
        await made.until("cold")
        assert len(faulty.pids) == 1
        assert await made.call("echo", text="here") == "here"


async def test_an_eager_server_is_started_again_by_itself(faulty: Faulty) -> None:
    async with kept(faulty, is_lazy=False) as made:
        await made.killed()
        await made.until("waiting")
        await made.until("up")
        assert len(faulty.pids) == 2


async def test_a_server_that_ends_after_its_listing_is_listed_and_its_calls_are_refused_in_time(faulty: Faulty) -> None:
    pace = Pace(first_delay=0.01, longest_delay=30, worth_waiting=0.05)
    async with kept(faulty, "ends-after-listing", pace=pace) as made:
        assert made.connection.lists.known is not None
        with anyio.fail_after(20), pytest.raises((RefusedError, MCPError)):
            await made.call("echo")


async def test_a_server_that_cannot_be_started_any_more_fails_the_call_with_its_last_words(faulty: Faulty) -> None:
    known = await known_of(faulty)
    async with kept(faulty, "dies", known=known) as made:
        with pytest.raises(RefusedError, match="ended with status 3: cannot find the database"):
            await made.call("echo")
        assert made.trouble == ["it cannot be started: its process ended with status 3: cannot find the database"]


async def test_a_process_that_reads_its_stdin_no_longer_is_replaced(faulty: Faulty) -> None:
    async with kept(faulty) as made:
        await made.call("deaf")
        session = await made.connection.session()
        with pytest.raises(MCPError, match="Session terminated"):
            await made.call("echo")
        made.connection.lost(session, "Session terminated")
        assert await made.call("echo", text="here") == "here"
        assert made.connection.state.last_end == "its process does not read its stdin any more"
    assert left_of(faulty.pids) == []


async def test_other_calls_of_a_lost_session_get_their_own_answers(faulty: Faulty) -> None:
    async with kept(faulty) as made:
        session = await made.connection.session()
        calling = asyncio.create_task(made.call("big", size=20_000_000))
        await asyncio.sleep(0)
        made.connection.lost(session, "Session not found")
        assert await made.call("echo", text="new") == "new"
        assert len(await calling) == 20_000_000
        assert len(faulty.pids) == 2


# Lists


@each_era
async def test_fifty_notices_of_changed_lists_are_one(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era, pace=Pace(debounce=0.4)) as made:
        listed = faulty.seen.count("tools/list")
        faulty.lists(tools=[tool("storm"), tool("echo")])
        await made.call("storm")
        await made.reported(made.lists, 2)
        assert [item.name for item in made.lists[1].tools] == ["storm", "echo"]
        # A second listing would come before the answers to these.
        for _ in range(10):
            await made.call("echo")
        assert faulty.seen.count("tools/list") == listed + 1


@each_era
async def test_a_notice_without_a_change_is_not_passed_on(faulty: Faulty, era: str) -> None:
    async with kept(faulty, era) as made:
        await made.call("change")
        with anyio.fail_after(30):
            while faulty.seen.count("prompts/list") < 2:
                await made.call("echo")
        faulty.lists(prompts=[])
        await made.call("change")
        await made.reported(made.lists, 2)
        assert made.lists[1].prompts == ()


async def test_a_list_that_cannot_be_read_is_left_out(faulty: Faulty, caplog: pytest.LogCaptureFixture) -> None:
    faulty.lists(prompts={"not": "a list"})
    with pytest.raises(HostError, match="the server did not start: its answer does not fit the protocol: prompts"):
        async with kept(faulty):
            pass


async def test_a_list_of_tools_that_is_refused_fails_the_start(faulty: Faulty) -> None:
    with pytest.raises(HostError, match="the server did not start: the list is lost"):
        async with kept(faulty, "no-tools"):
            pass


async def test_pages_are_followed_to_a_bound(faulty: Faulty) -> None:
    async with kept(faulty, "pages=150") as made:
        assert len(made.lists[0].tools) == 150
        assert made.lists[0].left_out == ()
    async with kept(faulty, "pages=300") as made:
        assert len(made.lists[0].tools) == 200
        assert made.lists[0].left_out == ("its list of tools has more than 200 pages; the rest is left out",)


async def test_a_page_that_comes_again_ends_the_list(faulty: Faulty) -> None:
    async with kept(faulty, "loop") as made:
        assert "echo" in [item.name for item in made.lists[0].tools]
        (what,) = made.lists[0].left_out
        assert what.startswith("its list of tools names a page twice")


async def test_an_item_that_does_not_fit_is_left_out_with_a_reason(faulty: Faulty) -> None:
    faulty.lists(tools=[{"name": "no_schema"}, tool("good"), {"inputSchema": {"type": "object"}}, "text", tool("last")])
    async with kept(faulty) as made:
        assert [item.name for item in made.lists[0].tools] == ["good", "last"]
        assert len(made.lists[0].left_out) == 3
        assert "'no_schema' is left out: inputSchema: Field required" in made.lists[0].left_out[0]
        faulty.lists(tools=[{"name": f"no_schema{number}"} for number in range(100)])
        await made.call("change")
        await made.reported(made.lists, 2)
        assert len(made.lists[1].left_out) == 21
        assert made.lists[1].left_out[-1] == "80 more of its items are left out"


# The end


async def test_a_server_that_is_being_started_is_ended_at_once(faulty: Faulty) -> None:
    async def keep() -> None:
        async with kept(faulty, "mute", "stubborn"):
            raise AssertionError("it was up")

    keeper = asyncio.create_task(keep())
    await faulty.wrote("seen")
    keeper.cancel()
    await asyncio.wait({keeper})
    assert keeper.cancelled()
    assert left_of(faulty.pids) == []


async def test_fifty_restarts_leave_nothing_behind(faulty: Faulty) -> None:
    pace = Pace(first_delay=0.001, longest_delay=0.001, most_ends=1000)
    async with kept(faulty, pace=pace) as made:
        for _ in range(5):
            await made.killed()
        await made.call("echo")
        gc.collect()
        files, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            await made.killed()
        await made.call("echo")
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert len(os.listdir("/proc/self/fd")) <= files
        assert len(asyncio.all_tasks()) <= tasks
        assert grown < 500_000
        assert made.connection.state.restarts == 55
