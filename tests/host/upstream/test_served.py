"""What clients of both eras see of a server with faults: its lists, its death, its refusals, its state."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import (
    EmptyResult,
    SubscribeRequest,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from mcp_host.config import load_config
from mcp_host.errors import HostError
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.faultyserver import Faulty, tool
from support.running import left_of
from support.talking import read, refusal, text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])
each_pair = pytest.mark.parametrize(
    ("era", "mode"), [(e, m) for e in ("modern", "handshake") for m in ("auto", "legacy")]
)


def config(faulty: Faulty, *tables: str, head: str = "") -> Path:
    file = faulty.folder.parent / "mcp-host.toml"
    file.write_text("\n".join([f'[host]\ndata_dir = "data"\n{head}', *tables]))
    return file


class Notices:
    """The notices that a client gets of changed lists."""

    def __init__(self) -> None:
        self.count = 0
        self._came = asyncio.Event()

    async def note(self, message: Any) -> None:
        if "list_changed" in getattr(message, "method", ""):
            self.count += 1
            self._came.set()

    async def one(self) -> None:
        with anyio.fail_after(30):
            await self._came.wait()
        self._came.clear()


async def tools(client: Client) -> list[str]:
    return [item.name for item in (await client.list_tools()).tools]


def warnings(host: Host) -> list[str]:
    return [warning.what for record in host.records for warning in record.warnings]


@each_pair
async def test_a_death_is_an_error_of_its_call_alone(faulty: Faulty, era: str, mode: str) -> None:
    async with connect(config(faulty, faulty.table(era)), mode=mode) as client:
        text = await refusal(client, "exit")
        assert text == (
            "The server of faulty ended during this call (its process ended with status 7: these are my last words); "
            "a new one does not have its state"
        )
        assert text_of(await client.call_tool("echo", {"text": "alive"})) == "alive"
        assert (await read(client, "faulty://text")).text == "text of faulty://text"


@each_era
async def test_an_answer_that_is_too_large_is_refused_or_fails_at_once(faulty: Faulty, mode: str) -> None:
    async with connect(config(faulty, faulty.table()), mode=mode) as client:
        result = await client.call_tool("big", {"size": 9_000_000})
        assert len(str(result)) < 9_000_000
        with pytest.raises(Exception, match="the answer of the server is larger than 33554432 bytes"):
            await client.call_tool("long", {"size": 40_000_000, "at": "end"})
        assert text_of(await client.call_tool("echo", {"text": "alive"})) == "alive"


@each_era
async def test_an_error_with_the_code_of_a_closed_connection_is_the_servers_own(faulty: Faulty, mode: str) -> None:
    async with connect(config(faulty, faulty.table()), mode=mode) as client:
        with pytest.raises(Exception, match="this is the server's own error"):
            await client.call_tool("fails", {"code": -32000, "message": "this is the server's own error"})
        assert text_of(await client.call_tool("pid", {})) == str(faulty.pids[0])


@each_era
async def test_a_process_that_reads_no_more_is_replaced_and_the_call_repeated(faulty: Faulty, mode: str) -> None:
    async with connect(config(faulty, faulty.table()), mode=mode) as client:
        await client.call_tool("deaf", {})
        assert text_of(await client.call_tool("pid", {})) == str(faulty.pids[1])


@each_era
@pytest.mark.parametrize("start", ["call", "read", "complete", "subscribe"])
async def test_a_known_server_is_listed_cold_and_started_when_it_is_wanted(
    faulty: Faulty, mode: str, start: str
) -> None:
    file = config(faulty, faulty.table())
    async with connect(file, mode=mode) as client:
        listed = await tools(client)
    async with connect(file, mode=mode) as client:
        assert await tools(client) == listed
        state = json.loads((await read(client, "mcp-host://plugins")).text)["plugins"][0]
        assert state["connection"]["state"] == "cold"
        assert state["connection"]["server"] == "faulty 1.5"
        assert len(faulty.pids) == 1
        if start == "call":
            await client.call_tool("echo", {})
        elif start == "read":
            contents = (await client.read_resource("faulty://pages/one")).contents[0]
            assert isinstance(contents, TextResourceContents)
            assert contents.text == "text of faulty://pages/one"
        elif start == "complete":
            await client.complete(ref={"type": "ref/prompt", "name": "ask"}, argument={"name": "what", "value": "a"})  # type: ignore[arg-type]
        else:
            async with subscribing(client, mode, "faulty://text"):
                await until(lambda: len(faulty.pids) == 2)
        await until(lambda: len(faulty.pids) == 2)


@each_pair
async def test_lists_that_changed_since_the_last_run_reach_clients_after_the_first_call(
    faulty: Faulty, era: str, mode: str
) -> None:
    file = config(faulty, faulty.table(era))
    async with connect(file):
        pass
    faulty.lists(tools=[tool("echo"), tool("new")])
    notices = Notices()
    async with connect(file, mode=mode, message_handler=notices.note) as client, anyio.create_task_group() as group:
        assert "storm" in await tools(client)
        if mode == "auto":
            group.start_soon(_listen, client, notices)
            await asyncio.sleep(0.1)
        await client.call_tool("echo", {})
        await notices.one()
        assert await tools(client) == ["echo", "new"]
        assert (await client.call_tool("new", {})).is_error is False
        group.cancel_scope.cancel()


async def _listen(client: Client, notices: Notices) -> None:
    async with client.listen(tools_list_changed=True) as events:
        async for _ in events:
            notices._came.set()


@asynccontextmanager
async def subscribing(client: Client, mode: str, *uris: str, unsubscribe: bool = True) -> AsyncIterator[None]:
    """Subscribe to resources for the block."""
    if mode == "auto":
        async with client.listen(resource_subscriptions=uris):
            yield
        return
    for uri in uris:
        params = SubscribeRequestParams(uri=uri)
        await client.session.send_request(SubscribeRequest(params=params), EmptyResult)
    yield
    for uri in uris if unsubscribe else ():
        leaving = UnsubscribeRequestParams(uri=uri)
        await client.session.send_request(UnsubscribeRequest(params=leaving), EmptyResult)


def state_of(host: Host) -> str:
    connection = host.records[0].connection
    assert connection is not None
    return connection.state


@each_pair
async def test_a_server_is_ended_as_unused_when_the_last_client_has_unsubscribed(
    faulty: Faulty, era: str, mode: str
) -> None:
    file = config(faulty, faulty.table(era, idle_timeout=0.05))
    async with connect(file):
        pass
    host = make_host(file)
    async with host.running():
        server = HostServer(host)
        async with Client(server, mode=mode) as one, Client(server, mode=mode) as two:
            async with subscribing(two, mode, "faulty://text"):
                async with subscribing(one, mode, "faulty://text", "faulty://pages/one"):
                    await until(lambda: state_of(host) == "up")
                # So many times the idle time passes.
                await asyncio.sleep(0.25)
                assert state_of(host) == "up"
            await until(lambda: state_of(host) == "cold")
        assert len(faulty.pids) == 2


@each_pair
async def test_a_server_is_ended_as_unused_when_the_last_subscribed_session_has_ended(
    faulty: Faulty, era: str, mode: str
) -> None:
    file = config(faulty, faulty.table(era, idle_timeout=0.05))
    async with connect(file):
        pass
    host = make_host(file)
    async with host.running():
        server = HostServer(host)
        async with Client(server, mode=mode) as client, subscribing(client, mode, "faulty://text", unsubscribe=False):
            await until(lambda: state_of(host) == "up")
        await until(lambda: state_of(host) == "cold")


@each_era
async def test_a_subscription_goes_on_at_the_server_that_a_reload_puts_in_its_place(faulty: Faulty, mode: str) -> None:
    file = config(faulty, faulty.table("modern", idle_timeout=0.05))
    async with connect(file):
        pass
    host = make_host(file)
    async with host.running():
        server = HostServer(host, reloads=True)
        async with Client(server, mode=mode) as client, subscribing(client, mode, "faulty://text"):
            await until(lambda: state_of(host) == "up")
            await host.reload(load_config(config(faulty, faulty.table("handshake", idle_timeout=0.05))))
            await until(lambda: "resources/subscribe" in faulty.seen)
            assert state_of(host) == "up"
        await until(lambda: state_of(host) == "cold")


@each_era
async def test_one_client_cannot_subscribe_to_resources_without_an_end(faulty: Faulty, mode: str) -> None:
    faulty.lists(resources=[], resourceTemplates=[{"name": "page", "uriTemplate": "faulty://pages/{name}"}])
    host = make_host(config(faulty, faulty.table()))
    uris = [f"faulty://pages/{number}" for number in range(1001)]
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        with pytest.raises(MCPError, match="Too many subscriptions: at most 1000 resources"):
            async with subscribing(client, mode, *uris):
                pass
        assert text_of(await client.call_tool("echo", {"text": "here"})) == "here"


async def test_a_list_that_clashes_now_is_not_served_and_the_old_one_stays(faulty: Faulty) -> None:
    other = Faulty(faulty.folder.parent / "other")
    other.folder.mkdir()
    other.lists(tools=[tool("taken")], resources=[], resourceTemplates=[], prompts=[])
    host = make_host(config(faulty, other.table(name="other"), faulty.table()))
    async with host.running(), Client(HostServer(host)) as client:
        faulty.lists(tools=[tool("taken"), tool("change")])
        await client.call_tool("change", {})
        with anyio.fail_after(30):
            while not warnings(host):
                await asyncio.sleep(0.02)
        (warning,) = warnings(host)
        assert warning.startswith("what it contributes now is not served:")
        assert "taken" in warning
        assert "echo" in await tools(client)
        assert text_of(await client.call_tool("echo", {"text": "here"})) == "here"
        faulty.lists(tools=[tool("free")])
        await client.call_tool("change", {})
        with anyio.fail_after(30):
            while "free" not in host.catalog.tools:
                await asyncio.sleep(0.02)
        assert warnings(host) == []


async def test_bad_items_are_left_out_with_a_warning_each(faulty: Faulty) -> None:
    faulty.lists(
        tools=[{"name": "no_schema"}, tool("with space"), tool("twice"), tool("twice"), tool("good")],
        resources=[{"name": "bad", "uri": "no-scheme"}, {"name": "good", "uri": "faulty://good"}],
        resourceTemplates=[
            {"name": "bad", "uriTemplate": "faulty://{a"},
            {"name": "t", "uriTemplate": "faulty://t/{a}"},
        ],
        prompts=[{"name": ""}, {"name": "good"}],
    )
    host = make_host(config(faulty, faulty.table()))
    async with host.running():
        contributed = host.records[0].contributed
        assert contributed.tools == ("twice", "good")
        assert contributed.resources == ("faulty://good",)
        assert contributed.templates == ("faulty://t/{a}",)
        assert contributed.prompts == ("good",)
        said = " | ".join(warnings(host))
        bad = (
            "'with space' is left out",
            "'twice' is listed twice",
            "no scheme",
            "faulty://{a",
            "prompt ''",
            "no_schema",
        )
        for what in bad:
            assert what in said, what


async def test_warnings_about_left_out_items_are_those_of_the_last_listing(
    faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    bad, worse, clash = {"name": "no_schema"}, tool("with space"), {"name": "bad", "uri": "no-scheme"}
    faulty.lists(tools=[bad, worse, tool("change")], resources=[clash])
    host = make_host(config(faulty, faulty.table()))

    def logged(what: str) -> int:
        return len([record for record in caplog.records if what in record.getMessage()])

    async with host.running(), Client(HostServer(host)) as client:
        assert len(warnings(host)) == 3
        faulty.lists(tools=[bad, tool("without_space"), tool("change")], resources=[])
        await client.call_tool("change", {})
        await until(lambda: "without_space" in host.catalog.tools)
        (warning,) = warnings(host)
        assert "'no_schema' is left out" in warning
        faulty.lists(tools=[worse, tool("change")], resources=[])
        await client.call_tool("change", {})
        await until(lambda: "without_space" not in host.catalog.tools)
        (warning,) = warnings(host)
        assert "'with space' is left out" in warning
        # One that comes back is new.
        assert (logged("'no_schema' is left out"), logged("'with space' is left out")) == (1, 2)
    again = make_host(config(faulty, faulty.table()))
    assert warnings(again) == [warning]


async def until(there: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not there():
            await asyncio.sleep(0.02)


@each_era
async def test_clients_learn_the_state_and_not_the_process_or_its_command(faulty: Faulty, mode: str) -> None:
    file = config(faulty, faulty.table("modern"))
    async with connect(file, mode=mode) as client:
        await refusal(client, "exit")
        await client.call_tool("echo", {})
        text = (await read(client, "mcp-host://plugins")).text
        (record,) = json.loads(text)["plugins"]
        assert record["connection"] == {
            "state": "up",
            "protocol_version": "2026-07-28",
            "server": "faulty 1.5",
            "restarts": 1,
            "pid": None,
            "retry_in": None,
            "last_end": None,
        }
        assert "faulty.py" not in text
        assert "last words" not in text


async def test_an_eager_server_is_started_with_the_host_each_time(faulty: Faulty) -> None:
    for count in (1, 2):
        async with connect(config(faulty, faulty.table(start="eager"))):
            assert len(faulty.pids) == count


@each_era
@pytest.mark.parametrize("start", ["lazy", "eager"])
async def test_what_a_server_listed_before_is_served_while_it_cannot_start(
    faulty: Faulty, mode: str, start: str
) -> None:
    file = config(faulty, faulty.table(start=start))
    async with connect(file):
        pass
    faulty.lists(tools=[tool("echo"), tool("new")])
    broken = faulty.folder / "broken"
    broken.touch()
    host = make_host(file)
    notices = Notices()
    async with (
        host.running(),
        Client(HostServer(host), mode=mode, message_handler=notices.note) as client,
        anyio.create_task_group() as group,
    ):
        assert "storm" in await tools(client)
        assert "its process ended with status 4: it is broken" in await refusal(client, "echo")
        assert ["it cannot be started" in warning for warning in warnings(host)] == [True]
        if mode == "auto":
            group.start_soon(_listen, client, notices)
            await asyncio.sleep(0.1)
        broken.unlink()
        with anyio.fail_after(30):
            # A server that is started with the host is started again without a call.
            while start == "lazy" and (await client.call_tool("echo", {})).is_error:
                await asyncio.sleep(0.1)
        await notices.one()
        assert await tools(client) == ["echo", "new"]
        assert text_of(await client.call_tool("new", {"text": "here"})) == "here"
        assert warnings(host) == []
        group.cancel_scope.cancel()


async def test_a_mute_server_has_the_start_timeout_of_the_host(faulty: Faulty) -> None:
    host = make_host(config(faulty, faulty.table("mute", required=True), head='start_timeout = "1s"'))
    with pytest.raises(HostError, match=r"the server did not start within 0\.85 s"):
        async with host.running():
            pass


async def test_a_program_that_installs_its_server_has_longer_for_the_first_start(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_host.upstream.plugin._OF_INSTALLING", 1.5)
    npx = faulty.folder / "npx"
    npx.write_text(f"#!/bin/sh\nexec {shlex.join(faulty.command('mute'))}\n")
    npx.chmod(0o700)
    table = f'[plugins.faulty]\ncommand = ["{npx}", "-y", "a-server"]\nrequired = true\n'
    host = make_host(config(faulty, table, head='start_timeout = "1s"'))
    with pytest.raises(HostError, match=r"the server did not start within 1\.5 s") as raised:
        async with host.running():
            pass
    assert "[host] start_timeout" in raised.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "ModuleNotFoundError: No module named 'mcp.server.fastmcp'",
        "AttributeError: 'Server' object has no attribute 'list_tools'",
        "ImportError: cannot import name 'McpError' from 'mcp.shared.exceptions' (/lib/mcp/shared/exceptions.py)",
    ],
)
async def test_a_server_for_mcp_1_that_gets_mcp_2_fails_with_the_hint_that_helps(faulty: Faulty, line: str) -> None:
    host = make_host(config(faulty, faulty.table(f"dies={line}")))
    async with host.running():
        (record,) = host.records
        assert record.problem is not None
        assert line in record.problem.what
        assert "mcp<2" in record.problem.hint


async def test_stopping_the_start_ends_the_servers_and_fails_their_plugins_only(faulty: Faulty) -> None:
    host = make_host(config(faulty, faulty.table("mute", "stubborn")))

    async def stop() -> None:
        await faulty.wrote("seen")
        host.stop_starting()

    async with asyncio.TaskGroup() as group:
        group.create_task(stop())
        async with host.running():
            (record,) = host.records
            assert record.problem is not None
            assert record.problem.what == "it was ended while it started"
            assert left_of(faulty.pids) == []
