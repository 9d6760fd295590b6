"""A plugin whose contributions change while it serves: `PluginContext.refresh`."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import Client
from mcp.server.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp.types import TextContent

from mcp_host import Context, Event, Plugin, PluginContext, Reloaded, Resource, SchemaTool, Tool, hookimpl
from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.served import Parts
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import make_host

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


def text(result: Any) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def tools(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


def answering(answer: str) -> Callable[[], str]:
    return lambda: answer


class Devices:
    """Contributes a tool, a resource and a prompt for each device that is plugged in."""

    def __init__(self, *devices: str) -> None:
        self.devices = list(devices)
        self.context: PluginContext[Any] | None = None
        self.threads: set[int] = set()
        self.broken: Exception | None = None

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> list[Tool | SchemaTool]:
        self.context = plugin
        self.threads.add(threading.get_ident())
        if self.broken is not None:
            raise self.broken
        return [Tool(answering(f"this is {name}"), name=name) for name in self.devices]

    @hookimpl
    def mcp_resources(self) -> list[Resource]:
        return [Resource(f"device://{name}", answering(name)) for name in self.devices if name != "quiet"]

    @hookimpl
    @asynccontextmanager
    async def mcp_lifespan(self, plugin: PluginContext[Any]) -> AsyncIterator[None]:
        yield

    async def refresh(self) -> bool:
        assert self.context is not None
        return await self.context.refresh()


def other() -> Plugin:
    plugin = Plugin()

    @plugin.tool
    def taken() -> str:
        return "the other one's"

    return plugin


def serving(devices: Devices, **more: Plugin) -> tuple[Host, HostServer]:
    host = make_host({"devices": devices, **more})
    return host, HostServer(host)


@each_era
async def test_what_a_plugin_contributes_now_is_served_from_the_next_request_on(mode: str) -> None:
    devices = Devices("lamp")
    host, server = serving(devices, other=other())
    async with host.running(), Client(server, mode=mode) as client:
        assert await tools(client) == ["lamp", "taken"]
        devices.devices = ["lamp", "fan"]
        assert await devices.refresh()
        assert await tools(client) == ["lamp", "fan", "taken"]
        assert text(await client.call_tool("fan", {})) == "this is fan"
        assert [str(resource.uri) for resource in (await client.list_resources()).resources][1:] == [
            "device://lamp",
            "device://fan",
        ]
        assert host.records[0].contributed.tools == ("lamp", "fan")
        devices.devices = []
        assert await devices.refresh()
        assert await tools(client) == ["taken"]
        assert "Unknown tool: fan" in str(await error_of(client, "fan"))


async def error_of(client: Client, name: str) -> Exception:
    with pytest.raises(Exception, match="Unknown tool") as caught:
        await client.call_tool(name, {})
    return caught.value


async def test_the_hooks_are_asked_in_a_thread_of_the_plugin() -> None:
    devices = Devices("lamp")
    host, _ = serving(devices)
    async with host.running():
        devices.threads.clear()
        assert await devices.refresh()
    assert devices.threads
    assert threading.get_ident() not in devices.threads


@each_era
async def test_a_clash_keeps_the_old_parts_and_warns_until_it_is_gone(mode: str) -> None:
    devices = Devices("lamp")
    host, server = serving(devices, other=other())
    async with host.running(), Client(server, mode=mode) as client:
        devices.devices = ["lamp", "taken"]
        assert not await devices.refresh()
        assert await tools(client) == ["lamp", "taken"]
        assert text(await client.call_tool("taken", {})) == "the other one's"
        (warning,) = host.records[0].warnings
        assert warning.what.startswith("what it contributes now is not served: tool 'taken' of plugin")
        assert [record.failed for record in host.records] == [False, False]
        devices.devices = ["lamp", "fan"]
        assert await devices.refresh()
        assert await tools(client) == ["lamp", "fan", "taken"]
        assert host.records[0].warnings == ()


@pytest.mark.parametrize("error", [RuntimeError("no bus"), ValueError("no bus")])
async def test_a_hook_that_fails_keeps_the_old_parts(error: Exception) -> None:
    devices = Devices("lamp")
    host, server = serving(devices)
    async with host.running(), Client(server) as client:
        devices.broken = error
        assert not await devices.refresh()
        assert await tools(client) == ["lamp"]
        assert "no bus" in host.records[0].warnings[0].what
        assert not host.records[0].failed


async def test_an_item_that_cannot_be_served_keeps_the_old_parts() -> None:
    devices = Devices("lamp")
    host, server = serving(devices)
    async with host.running(), Client(server) as client:
        devices.devices = ["lamp", "not a name"]
        assert not await devices.refresh()
        assert await tools(client) == ["lamp"]


async def test_clients_of_2026_are_notified_once_of_each_list_that_is_different() -> None:
    devices = Devices("lamp")
    host, server = serving(devices)
    async with (
        host.running(),
        Client(server) as client,
        client.listen(tools_list_changed=True, resources_list_changed=True, prompts_list_changed=True) as events,
    ):
        devices.devices = ["lamp", "quiet"]
        assert await devices.refresh()
        with anyio.fail_after(10):
            assert isinstance(await anext(events), ToolsListChanged)
            devices.devices = ["lamp", "quiet", "fan"]
            assert await devices.refresh()
            seen = {type(await anext(events)), type(await anext(events))}
    assert seen == {ToolsListChanged, ResourcesListChanged}


async def test_handshake_clients_are_notified_once_of_each_list_that_is_different() -> None:
    devices = Devices("lamp")
    host, server = serving(devices)
    seen: list[str] = []
    arrived = asyncio.Event()

    async def note(message: Any) -> None:
        seen.append(type(message).__name__)
        arrived.set()

    async with host.running(), Client(server, mode="legacy", message_handler=note) as client:
        devices.devices = ["lamp", "quiet"]
        assert await devices.refresh()
        with anyio.fail_after(10):
            await arrived.wait()
        await client.list_tools()
    assert seen == ["ToolListChangedNotification"]


@each_era
async def test_a_request_can_refresh_its_own_plugin_and_ends_as_it_began(mode: str) -> None:
    plugin = Plugin()

    @plugin.tool
    async def plug_in(name: str, ctx: Context) -> bool:
        plugin.tool(name)(lambda: f"this is {name}")
        return await ctx.plugin.refresh()

    host = make_host(plugin)
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        assert text(await client.call_tool("plug_in", {"name": "fan"})) == "true"
        assert text(await client.call_tool("fan", {})) == "this is fan"


async def test_a_lifespan_can_refresh_before_it_has_started() -> None:
    plugin = Plugin()
    names: list[str] = []

    @asynccontextmanager
    async def lifespan(context: PluginContext[Any]) -> AsyncIterator[None]:
        names.append("found")
        plugin.tool("found")(lambda: "found while starting")
        assert await context.refresh()
        yield

    plugin.lifespan = lifespan
    host = make_host(plugin)
    assert list(host.catalog.tools) == []
    with anyio.fail_after(20):
        async with host.running(), Client(HostServer(host)) as client:
            assert await tools(client) == ["found"]
            assert text(await client.call_tool("found", {})) == "found while starting"
            assert host.records[0].contributed.tools == ("found",)


async def test_200_refreshes_under_calls_lose_none_and_leave_nothing_behind() -> None:
    devices = Devices("lamp", "fan")
    host, server = serving(devices, other=other())
    stop = False
    calls = 0

    async def hammer(client: Client) -> None:
        nonlocal calls
        while not stop:
            assert text(await client.call_tool("lamp", {})) == "this is lamp"
            assert text(await client.call_tool("taken", {})) == "the other one's"
            assert await tools(client) in (["lamp", "fan", "taken"], ["lamp", "taken"])
            calls += 1

    async with host.running(), Client(server) as modern, Client(server, mode="legacy") as legacy:
        await devices.refresh()
        tasks, files = len(asyncio.all_tasks()), open_files()
        catalogs, parts = alive(Catalog), alive(Parts)
        async with anyio.create_task_group() as group:
            for client in (modern, legacy, modern, legacy):
                group.start_soon(hammer, client)
            for number in range(200):
                devices.devices = ["lamp"] if number % 2 == 0 else ["lamp", "fan"]
                assert await devices.refresh()
            stop = True
        await tools(modern)
        assert calls > 0
        assert len(asyncio.all_tasks()) <= tasks
        assert open_files() == files
        assert alive(Catalog) <= catalogs
        assert alive(Parts) <= parts


async def test_observers_see_a_refresh_that_is_served_and_one_that_is_not() -> None:
    devices, watcher = Devices("lamp"), Plugin()
    events: list[Event] = []
    watcher.observer(events.append)
    host, _ = serving(devices, other=other(), watcher=watcher)
    async with host.running():
        assert await devices.refresh()
        devices.devices = ["taken"]
        assert not await devices.refresh()
    served, refused = (event for event in events if isinstance(event, Reloaded))
    assert served == Reloaded(served=True, plugins=("devices", "other", "watcher"), problem=None, refreshed="devices")
    assert (refused.served, refused.refreshed) == (False, "devices")
    assert "taken" in (refused.problem or "")


async def test_a_context_without_a_host_refreshes_nothing() -> None:
    devices = Devices("lamp")
    host, _ = serving(devices)
    assert devices.context is not None
    async with host.running():
        pass
    plain = PluginContext("p", None, devices.context.log, devices.context.host, devices.context._data_dir)
    assert not await plain.refresh()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def alive(kind: type) -> int:
    gc.collect()
    return sum(1 for found in gc.get_objects() if type(found) is kind)


async def test_a_hook_that_hangs_keeps_what_was_served_and_does_not_hold_up_another_refresh() -> None:
    gate = threading.Event()

    class Slow(Devices):
        @hookimpl
        def mcp_prompts(self) -> list[Any]:
            if "slow" in self.devices:
                assert gate.wait(60)
            return []

    devices = Slow("lamp")
    host = make_host({"devices": devices}, options={"host": {"start_timeout": "2s"}})
    async with host.running():
        assert devices.context is not None
        devices.devices.append("slow")
        assert not await devices.context.refresh()
        assert "its hooks did not return within 2 s" in host.records[0].warnings[0].what
        devices.devices[:] = ["lamp", "fan"]
        assert await devices.context.refresh()
        assert not host.records[0].warnings
    gate.set()
