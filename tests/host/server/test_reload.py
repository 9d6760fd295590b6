"""A reload serves a whole new catalog or keeps the old one, during calls; unchanged plugins keep their lifespans."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent, TextResourceContents
from pydantic import BaseModel

from mcp_host import Context, Plugin, PluginContext, Tool, hookimpl
from mcp_host.catalog.catalog import Catalog
from mcp_host.config import HostConfig, parse_config
from mcp_host.errors import ConfigError
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.server.reload import Reloader
from support.sites import Site

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Settings(BaseModel, extra="forbid"):
    word: str = "one"


class World:
    """Two plugins (`a` has a recorded lifespan) and a TOML that a test edits."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.events: list[str] = []
        self.gate = anyio.Event()
        self.entered = anyio.Event()
        self.host = Host(self.read(), objects={"a": self.plugin("a"), "b": self.plugin("b")}, adopt=adopt)
        self.server = HostServer(self.host, reloads=True)
        self.reloader = Reloader(self.server, self.read, find=tuple)

    def read(self) -> HostConfig:
        return parse_config(self.text, environ={})

    def plugin(self, name: str) -> Plugin:
        @asynccontextmanager
        async def lifespan(context: PluginContext[Settings]) -> AsyncIterator[str]:
            if context.settings.word == "bad":
                raise RuntimeError("no such word")
            self.events.append(f"start {name} {context.settings.word}")
            yield context.settings.word
            self.events.append(f"stop {name} {context.settings.word}")

        plugin = Plugin(settings=Settings, lifespan=lifespan)

        @plugin.tool(name=f"{name}_say")
        def say(ctx: Context[Settings, str]) -> str:
            return ctx.state

        @plugin.tool(name=f"{name}_wait")
        async def wait(ctx: Context[Settings, str]) -> str:
            self.entered.set()
            await self.gate.wait()
            read = next(iter(await ctx.read_resource(f"{name}://word"))).content
            return f"{ctx.state} {read!s}"

        @plugin.resource(f"{name}://word")
        def word(ctx: Context[Settings, str]) -> str:
            return ctx.state

        @plugin.prompt(name=f"{name}_prompt")
        def prompt() -> str:
            return name

        return plugin


def text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def tools(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]


@each_era
async def test_plugins_are_added_reconfigured_renamed_and_removed_while_serving(mode: str) -> None:
    world = World("[plugins.a]\n")
    async with world.host.running(), Client(world.server, mode=mode) as client:
        assert await tools(client) == ["a_say", "a_wait"]
        world.text = "[plugins.a]\n[plugins.b]\nprefix = 'x_'\n"
        assert await world.reloader.reload()
        assert await tools(client) == ["a_say", "a_wait", "x_b_say", "x_b_wait"]
        world.text = "[plugins.b]\nprefix = 'y_'\nsettings.word = 'two'\n[plugins.a]\n"
        assert await world.reloader.reload()
        assert await tools(client) == ["y_b_say", "y_b_wait", "a_say", "a_wait"]
        assert text(await client.call_tool("y_b_say", {})) == "two"
        world.text = "[plugins.b]\nprefix = 'y_'\nsettings.word = 'two'\n[plugins.a]\nenabled = false\n"
        assert await world.reloader.reload()
        assert await tools(client) == ["y_b_say", "y_b_wait"]
        while "stop a one" not in world.events:
            await anyio.lowlevel.checkpoint()
    assert world.events == [
        "start a one",
        "start b one",
        "start b two",
        "stop b one",
        "stop a one",
        "stop b two",
    ]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("[plugins.a]\n[plugins.b]\nsettings.word = 'bad'\n", "RuntimeError: no such word"),
        ("[plugins.a]\n[plugins.b]\nsettings.wrd = 1\n", "unknown key 'wrd'"),
        ("[plugins.a]\n[plugins.c]\n", "plugin 'c' is not installed"),
        ("[plugins.a]\nprefx = 1\n", "unknown key 'prefx'"),
        ("[plugins.a", "invalid TOML"),
    ],
)
async def test_a_configuration_that_cannot_be_served_changes_nothing_and_the_log_says_why(
    broken: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("[plugins.a]\n")
    async with world.host.running(), Client(world.server) as client:
        before, records = world.host.catalog, world.host.records
        world.text = broken
        assert not await world.reloader.reload()
        assert world.host.catalog is before
        assert world.host.records == records
        assert text(await client.call_tool("a_say", {})) == "one"
        contents = (await client.read_resource("mcp-host://plugins")).contents[0]
        assert isinstance(contents, TextResourceContents)
        assert why not in contents.text
        assert why in str(world.host.reload_problem)
        (logged,) = [message for message in caplog.messages if message.startswith("not reloaded")]
        error_id = re.findall(r"\(error ([0-9a-f]{8})\)", logged)[0]
        assert why in logged
        assert json.loads(contents.text)["reload_problem"]["what"] == (
            f"the new configuration is not served (error {error_id}; the server's log has the details)"
        )
        world.text = "[plugins.a]\n"
        assert await world.reloader.reload()
        assert world.host.reload_problem is None
    assert world.events == ["start a one", "stop a one"]


async def test_a_plugin_that_clashes_in_the_new_configuration_keeps_serving_in_the_old_one() -> None:
    world = World("[plugins.a]\n")
    clash = Plugin()
    clash.tool(name="a_say")(lambda: "clash")
    world.host._objects["clash"] = clash
    async with world.host.running(), Client(world.server) as client:
        world.text = "[plugins.clash]\n[plugins.a]\n"
        assert not await world.reloader.reload()
        assert world.host.records[0].problem is None
        assert text(await client.call_tool("a_say", {})) == "one"


class Stuck:
    """A plugin whose hook, or the reading of what it returned, hangs until `release`."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.calls = 0
        self.release = threading.Event()

    def wait(self) -> None:
        self.calls += 1
        assert self.release.wait(60)

    @hookimpl
    def mcp_settings(self) -> type[BaseModel]:
        if self.where == "settings":
            self.wait()
        return Settings

    @hookimpl
    def mcp_tools(self) -> Iterator[Tool]:
        if self.where == "tools":
            self.wait()
        yield Tool(lambda: "x", name="stuck_say")
        if self.where == "items":
            self.wait()


@pytest.mark.parametrize("where", ["settings", "tools", "items"])
async def test_a_hook_that_hangs_does_not_hold_up_calls_or_later_reloads(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World("[plugins.a]\n")
    stuck = world.host._objects["stuck"] = Stuck(where)
    head = "[host]\nstart_timeout = '2s'\n"
    async with world.host.running(), Client(world.server) as client:
        world.text = f"{head}[plugins.a]\n[plugins.stuck]\n"
        assert not await world.reloader.reload()
        assert stuck.calls == 1
        assert "it was not loaded within 2 s; the log has the line where it hangs" in caplog.text
        with anyio.fail_after(30):
            while "what was served before still is" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        assert text(await client.call_tool("a_say", {})) == "one"
        world.text = f"{head}[plugins.a]\n[plugins.b]\n"
        assert await world.reloader.reload()
        assert text(await client.call_tool("b_say", {})) == "one"
        stuck.release.set()
        world.text = f"{head}[plugins.a]\n[plugins.stuck]\n"
        assert await world.reloader.reload()
        assert text(await client.call_tool("stuck_say", {})) == "x"


async def test_the_end_of_the_host_does_not_wait_for_a_hook_that_hangs() -> None:
    world = World("[plugins.a]\n")
    stuck = world.host._objects["stuck"] = Stuck("tools")
    async with world.host.running():
        world.text = "[plugins.a]\n[plugins.stuck]\n"
        reloading = asyncio.create_task(world.reloader.reload())
        while not stuck.calls:
            await anyio.lowlevel.checkpoint()
    assert world.events == ["start a one", "stop a one"]
    await asyncio.wait([reloading])
    assert reloading.cancelled()
    stuck.release.set()


@each_era
async def test_a_call_in_flight_finishes_on_the_generation_it_started_in(mode: str) -> None:
    world = World("[plugins.a]\n")
    async with world.host.running(), Client(world.server, mode=mode) as client:
        results: list[str] = []

        async def call() -> None:
            results.append(text(await client.call_tool("a_wait", {})))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await world.entered.wait()
            world.text = "[plugins.a]\nsettings.word = 'two'\n"
            assert await world.reloader.reload()
            assert text(await client.call_tool("a_say", {})) == "two"
            assert "stop a one" not in world.events, "the old lifespan is left after its last call, not before"
            world.gate.set()
        assert results == ["one one"], "what a call reads in turn comes from its own generation"
        while "stop a one" not in world.events:
            await anyio.lowlevel.checkpoint()


async def test_clients_of_2026_are_notified_once_for_each_changed_list() -> None:
    world = World("[plugins.a]\n")
    async with (
        world.host.running(),
        Client(world.server) as client,
        client.listen(tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True) as subscription,
    ):
        world.text = "[plugins.a]\ntools.deny = ['a_wait']\n"
        assert await world.reloader.reload()
        world.text = "[plugins.a]\ntools.deny = ['a_wait']\n[plugins.b]\nresources.deny = ['*']\ntools.deny = ['*']\n"
        assert await world.reloader.reload()
        seen = []
        with anyio.fail_after(5):
            async for event in subscription:
                seen.append(type(event).__name__)
                if len(seen) == 2:
                    break
        assert seen == ["ToolsListChanged", "PromptsListChanged"]


async def test_handshake_clients_are_notified_once_for_each_changed_list() -> None:
    world = World("[plugins.a]\n")
    seen: list[str] = []
    both = anyio.Event()

    async def handle(message: Any) -> None:
        seen.append(message.method)
        if len(seen) == 3:
            both.set()

    async with world.host.running(), Client(world.server, mode="legacy", message_handler=handle) as client:
        assert client.server_capabilities.prompts is not None
        assert await world.reloader.reload(), "the same configuration changes nothing"
        world.text = "[plugins.a]\n[plugins.b]\n"
        assert await world.reloader.reload()
        with anyio.fail_after(5):
            await both.wait()
    assert sorted(seen) == [
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/tools/list_changed",
    ]


async def test_a_change_that_needs_a_restart_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    world = World("[plugins.a]\n")
    world.text = "[transport]\nport = 9\n[plugins.a]\n"
    assert await world.reloader.reload()
    assert "[transport] has changed" in caplog.text


async def test_a_plugin_with_new_code_is_loaded_again() -> None:
    world = World("[plugins.a]\n")
    async with world.host.running():
        assert await world.reloader.reload(changed={"a"})
        while "stop a one" not in world.events:
            await anyio.lowlevel.checkpoint()
    assert world.events == ["start a one", "start a one", "stop a one", "stop a one"]


async def test_a_plugin_that_already_failed_may_fail_again() -> None:
    world = World("[plugins.a]\n[plugins.c]\n")
    async with world.host.running(), Client(world.server) as client:
        world.text = "[plugins.a]\n[plugins.c]\n[plugins.b]\n"
        assert await world.reloader.reload()
        assert "b_say" in await tools(client)
        assert [record.failed for record in world.host.records] == [False, True, False]


async def test_a_storm_of_reloads_loses_no_call_and_leaks_nothing() -> None:
    """200 reloads during constant calls: results are right, no list is mixed, every started plugin is stopped."""
    world = World("[plugins.a]\n")
    stop = False
    calls = 0

    async def hammer(client: Client) -> None:
        nonlocal calls
        while not stop:
            assert text(await client.call_tool("a_say", {})) == "one"
            names = await tools(client)
            assert names in (["a_say", "a_wait"], ["a_say", "a_wait", "b_say", "b_wait"]), names
            calls += 1

    async with world.host.running(), Client(world.server) as modern, Client(world.server, mode="legacy") as legacy:
        tasks, files = len(asyncio.all_tasks()), open_files()
        catalogs, plugins = alive(Catalog), alive(LoadedPlugin)
        async with anyio.create_task_group() as group:
            for client in (modern, legacy, modern, legacy):
                group.start_soon(hammer, client)
            for number in range(200):
                world.text = "[plugins.a]\n" + ("[plugins.b]\n" if number % 2 == 0 else "")
                assert await world.reloader.reload()
            stop = True
        while world.host._retiring:
            await anyio.lowlevel.checkpoint()
        assert calls > 0
        assert len(asyncio.all_tasks()) <= tasks
        assert open_files() == files
        # Each reload made a catalog, and every second reload a plugin. Only the served ones are left in memory.
        await tools(modern)
        assert alive(Catalog) <= catalogs
        assert alive(LoadedPlugin) <= plugins
        assert world.host.catalog.generation == 201
    starts = [event for event in world.events if event.startswith("start b")]
    stops = [event for event in world.events if event.startswith("stop b")]
    assert len(starts) == len(stops) == 100
    assert world.events.count("start a one") == 1, "an unchanged plugin is not started again"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def alive(kind: type) -> int:
    gc.collect()
    return sum(1 for found in gc.get_objects() if type(found) is kind)


def test_read_errors_are_config_errors() -> None:
    with pytest.raises(ConfigError):
        parse_config("[plugins.a", environ={})


VERSIONED = """
from mcp_host import Plugin

plugin = Plugin()


@plugin.tool
def version() -> str:
    return {!r}
"""


@pytest.mark.parametrize("upgraded", [VERSIONED.format("2.0"), "raise ImportError"])
async def test_after_an_upgrade_the_record_has_the_version_whose_code_runs(site: Site, upgraded: str) -> None:
    site.plugin("versioned", VERSIONED.format("1.0"), version="1.0")
    config = site.config("[plugins.versioned]")
    host = Host(config, installed=site.discover(), adopt=adopt)
    server = HostServer(host, reloads=True)
    reloader = Reloader(server, lambda: config, find=site.discover)
    async with host.running(), Client(server) as client:
        shutil.rmtree(site.folder / "mcp_plugin_versioned-1.0.dist-info")
        site.plugin("versioned", upgraded, version="2.0")
        for _ in range(2):
            assert await reloader.reload()
            assert text(await client.call_tool("version", {})) == "1.0"
            (record,) = host.records
            assert record.version == "1.0"
            (warning,) = record.warnings
            assert warning.what == "version 2.0 is installed, but the code of version 1.0 still runs"
            assert warning.hint == "restart the host"
        # With its code given as changed, the new version is imported, or the old one is still served.
        imported = upgraded != "raise ImportError"
        assert await reloader.reload(["versioned"]) == imported
        assert host.records[0].version == ("2.0" if imported else "1.0")
        assert text(await client.call_tool("version", {})) == host.records[0].version
