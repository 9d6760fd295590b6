"""Notifications of handshake sessions: a client that does not read delays nobody, and loses no change in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.subscriptions import ResourceUpdated, ToolsListChanged

from mcp_host import Plugin
from mcp_host.containment.runner import Work, owned
from mcp_host.server import events
from mcp_host.server.events import EventBus
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import make_host

pytestmark = pytest.mark.anyio

URIS = ("news://a", "news://b")


class Pipe(NotifyOnlyOutbound):
    """The way to a client, which takes notifications only while `reads` is set."""

    def __init__(self, *, reads: bool) -> None:
        self.taken: list[str] = []
        self.reads = anyio.Event()
        if reads:
            self.reads.set()

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: Any = None) -> None:
        await self.reads.wait()
        self.taken.append((params or {}).get("uri", method))

    async def has_taken(self, count: int) -> None:
        with anyio.fail_after(30):
            while len(self.taken) < count:
                await anyio.lowlevel.checkpoint()


def session(bus: EventBus, *, reads: bool) -> tuple[Pipe, Connection]:
    pipe = Pipe(reads=reads)
    connection = Connection.for_loop(pipe)
    bus.add_session(connection)
    for uri in URIS:
        bus.subscribe_resource(connection, uri, None)
    return pipe, connection


async def publish(bus: EventBus, times: int) -> None:
    for number in range(times):
        await bus.publish(ResourceUpdated(uri=URIS[number % 2]))


async def test_a_client_that_does_not_read_delays_neither_the_publisher_nor_the_others() -> None:
    bus = HostServer(make_host(Plugin())).bus
    slow, _ = session(bus, reads=False)
    quick, _ = session(bus, reads=True)
    with anyio.fail_after(30):  # with a wait for each, it would take hours
        await publish(bus, 5000)
        await bus.publish(ToolsListChanged())
    await quick.has_taken(5001)
    assert quick.taken == [*URIS * 2500, "notifications/tools/list_changed"]
    assert not slow.taken
    slow.reads.set()
    # The one on its way, those that wait, and no change is lost.
    await slow.has_taken(102)
    assert slow.taken == [*URIS * 50, URIS[0], "notifications/tools/list_changed"]


async def test_a_client_that_reads_nothing_for_long_gets_no_more_until_it_subscribes_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "_SEND_TIMEOUT", 0.01)
    bus = HostServer(make_host(Plugin())).bus
    pipe, connection = session(bus, reads=False)
    await publish(bus, 50)
    with anyio.fail_after(30):
        while "a client does not read its notifications" not in caplog.text:
            await anyio.lowlevel.checkpoint()
    pipe.reads.set()
    await publish(bus, 50)
    await bus.publish(ToolsListChanged())
    bus.subscribe_resource(connection, URIS[1], None)
    await publish(bus, 2)
    await pipe.has_taken(1)
    assert pipe.taken == [URIS[1]]


async def test_what_a_plugin_publishes_is_sent_in_a_task_that_is_not_the_plugins() -> None:
    host = make_host(Plugin())
    bus = HostServer(host).bus
    async with host.running():
        pipe, _ = session(bus, reads=False)
        (plugin,) = host.plugins
        with owned(Work(plugin, "tool publish")):
            await publish(bus, 1)
        await host._tasks.cancel_left(plugin)
        assert not plugin.left_tasks
        pipe.reads.set()
        await pipe.has_taken(1)
