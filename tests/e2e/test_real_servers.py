"""Servers of other people, of every kind and beside plugins, behind one host: listed, called, killed and reloaded."""

from __future__ import annotations

import functools
import http.server
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest
from mcp import Client
from mcp.types import TextContent

from support import node
from support.processes import Cli, Process
from support.realservers import BESIDE_THE_HOST, ON_THEIR_OWN, NoIndexError, environment
from support.talking import failure_of

pytestmark = [pytest.mark.network, pytest.mark.anyio]

LONGEST = 900.0
each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

SHELF = """
from fastmcp import FastMCP

mcp = FastMCP("shelf")


@mcp.tool
def longest(titles: list[str]) -> str:
    \"\"\"Return the longest title.\"\"\"
    return max(titles, key=len)
"""

HEAD = """
[host]
data_dir = "data"
token_budget = 20000
[plugins.stats]
[plugins.files]
settings.roots.notes = { path = "notes" }
"""

FACTORIES = """
[plugins.time]
object = "mcp_server_time.server:create_server"
settings.local_tz = "Europe/Rome"
prefix = "time_"
[plugins.git]
object = "mcp_server_git.server:create_server"
settings.repository = "{folder}/repository"
prefix = "git_"
[plugins.fetch]
object = "mcp_server_fetch.server:create_server"
settings = {{ allow_private_ips = true, ignore_robots_txt = true }}
prefix = "fetch_"
"""

OBJECTS = """
[plugins.shelf]
object = "shelf.py:mcp"
prefix = "shelf_"
[plugins.pandoc]
object = "mcp_pandoc.server:server"
prefix = "pandoc_"
"""

SQLITE = """
[plugins.{name}]
command = ["mcp-server-sqlite", "--db-path", "{name}.sqlite"]
requirements = ["mcp-server-sqlite=={mcp-server-sqlite}", "mcp[cli]=={mcp}"]
prefix = "{name}_"
resources.deny = ["memo://*"]
"""

CALCULATOR = """
[plugins.calculator]
command = ["mcp-server-calculator"]
requirements = ["mcp-server-calculator=={mcp-server-calculator}", "mcp=={mcp}"]
prefix = "calculator_"
"""

CHILDREN = """
[plugins.motherduck]
object = "mcp_server_motherduck.server:create_mcp_server"
settings.db_path = ":memory:"
isolation = "process"
requirements = ["mcp-server-motherduck=={mcp-server-motherduck}", "fastmcp=={fastmcp}"]
prefix = "motherduck_"
[plugins.everything]
command = ["npx", "--no-install", "mcp-server-everything"]
prefix = "everything_"
[plugins.filesystem]
command = ["node_modules/.bin/mcp-server-filesystem", "notes"]
prefix = "filesystem_"
"""

REMOTE = """
[plugins.remote]
url = "{url}"
prefix = "remote_"
resources.deny = ["demo://*"]
"""

Call = tuple[str, dict[str, Any], str]
"""A tool, its arguments, and what its answer contains."""


@dataclass
class World:
    """A folder whose mcp-host.toml names servers of every kind, and a host over HTTP that serves it."""

    cli: Cli
    remote: str
    page: str
    process: Process | None = None

    def tables(self, *tables: str, name: str = "sqlite") -> str:
        values = {**ON_THEIR_OWN, **BESIDE_THE_HOST, "folder": self.cli.folder, "url": self.remote, "name": name}
        return "".join(table.format_map(values) for table in tables)

    @property
    def everything(self) -> str:
        return HEAD + self.tables(FACTORIES, OBJECTS, SQLITE, CALCULATOR, CHILDREN, REMOTE)

    def calls(self) -> dict[str, Call]:
        """Return a call for each plugin."""
        notes = self.cli.folder / "notes"
        return {
            "stats": ("calculate_statistics", {"numbers": [1, 2, 6], "operation": "mean"}, "3"),
            "files": ("read_file", {"root": "notes", "path": "first.txt"}, "some text"),
            "time": (
                "time_convert_time",
                {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
                "T21:00:00+09:00",
            ),
            "git": ("git_git_log", {"repo_path": str(self.cli.folder / "repository")}, "the first commit"),
            "fetch": ("fetch_fetch", {"url": self.page}, "some text"),
            "shelf": ("shelf_longest", {"titles": ["a", "bcd", "ef"]}, "bcd"),
            "pandoc": (
                "pandoc_convert-contents",
                {"contents": "x", "output_format": "stone"},
                "Input validation error: 'stone' is not one of",
            ),
            "sqlite": ("sqlite_read_query", {"query": "select 6*7 as answer"}, "42"),
            "calculator": ("calculator_calculate", {"expression": "6*7"}, "42"),
            "motherduck": ("motherduck_execute_query", {"sql": "select 6*7 as answer"}, "42"),
            "everything": ("everything_get-sum", {"a": 2, "b": 3}, "The sum of 2 and 3 is 5."),
            "filesystem": ("filesystem_read_text_file", {"path": str(notes / "first.txt")}, "some text"),
            "remote": ("remote_echo", {"message": "hello"}, "Echo: hello"),
        }

    @property
    def host(self) -> Process:
        assert self.process is not None
        return self.process

    @property
    def pids(self) -> dict[str, int]:
        """Return the process of each server that runs."""
        children = psutil.Process(self.host.process.pid).children()
        lines = {child.pid: " ".join(child.cmdline()) for child in children}
        return {name: pid for name, word in CHILD_PROCESSES.items() for pid, line in lines.items() if word in line}

    def client(self, mode: str) -> Client:
        return Client(self.host.url, mode=mode)


CHILD_PROCESSES = {
    "sqlite": "--db-path sqlite.sqlite",
    "shop": "--db-path shop.sqlite",
    "calculator": "mcp-server-calculator",
    "motherduck": "motherduck/child.toml",
    "everything": "mcp-server-everything",
    "filesystem": "mcp-server-filesystem",
}
"""The servers that are processes of the host, and what is in the command line of each."""

each_child = pytest.mark.parametrize("name", [name for name in CHILD_PROCESSES if name != "shop"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("real")
    try:
        made = environment(tmp_path_factory.mktemp("made"))
        (folder / "node_modules").symlink_to(node.packages())
        programs = node.programs(folder / "programs")
    except (NoIndexError, node.MissingError) as error:
        pytest.skip(str(error))
    (folder / "notes").mkdir()
    (folder / "notes/first.txt").write_text("some text")
    (folder / "shelf.py").write_text(SHELF)
    repository = folder / "repository"
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    commit = ("commit", "--quiet", "--allow-empty", "--message", "the first commit")
    subprocess.run(["git", "-C", repository, *author, *commit], check=True)
    cli = Cli(folder, made.variables(folder, programs), longest=LONGEST, program=(str(made.scripts / "mcp-host"),))
    with serving_files(folder / "notes") as page, serving_everything(cli) as remote:
        world = World(cli, remote, f"{page}/first.txt")
        cli.config(world.everything)
        # It makes the environments, and learns what the servers list.
        checked = cli.run("check", "--json")
        assert [plugin["problem"] for plugin in checked.json["plugins"] if plugin["problem"]] == []
        assert checked.json["ok"], checked.out
        with cli.serve() as world.process:
            yield world


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def serving_everything(cli: Cli) -> Iterator[str]:
    """Serve server-everything over HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(cli.folder / "programs/node"), "node_modules/.bin/mcp-server-everything", "streamableHttp"]
    process = Process(
        command, cli.folder, {**cli.env, "PORT": str(port)}, cli.folder / "everything.log", longest=cli.longest
    )
    try:
        process.until_logged(f"port {port}")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.close()


async def answer(client: Client, call: Call) -> None:
    """Make a call and check its answer."""
    tool, arguments, expected = call
    result = await client.call_tool(tool, arguments)
    assert expected in "\n".join(block.text for block in result.content if isinstance(block, TextContent)), result


@each_era
async def test_every_kind_of_server_is_listed_and_answers(world: World, mode: str) -> None:
    calls = world.calls()
    async with world.client(mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {tool for tool, _, _ in calls.values()} <= names
        async with anyio.create_task_group() as together:
            for call in calls.values():
                together.start_soon(answer, client, call)


@each_era
@each_child
async def test_a_killed_child_costs_the_call_that_it_was_running_and_no_other(
    world: World, mode: str, name: str
) -> None:
    calls = world.calls()
    async with world.client(mode) as client:
        await answer(client, calls[name])
        pid = world.pids[name]
        failed: list[str] = []

        async def fail() -> None:
            tool, arguments, _ = calls[name]
            failed.append(failure_of(await client.call_tool(tool, arguments)))

        async with anyio.create_task_group() as running:
            await stopped(pid)
            try:
                running.start_soon(fail)
                await asked(pid)
                for other in ("stats", "time", "sqlite" if name != "sqlite" else "filesystem"):
                    await answer(client, calls[other])
            finally:
                os.kill(pid, signal.SIGKILL)
        assert f"The server of {name} ended during this call (its process was killed by SIGKILL" in failed[0]
        await answer(client, calls[name])
        assert world.pids[name] != pid


@each_era
@each_child
async def test_a_child_that_is_killed_between_calls_costs_none(world: World, mode: str, name: str) -> None:
    call = world.calls()[name]
    async with world.client(mode) as client:
        await answer(client, call)
        pid = world.pids[name]
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
        await answer(client, call)
        assert world.pids[name] != pid


@each_era
async def test_a_reload_keeps_the_processes_of_the_others_and_loses_no_call(world: World, mode: str) -> None:
    changed = HEAD + world.tables(FACTORIES, OBJECTS, SQLITE, CHILDREN, REMOTE) + world.tables(SQLITE, name="shop")
    calls = world.calls()
    gone_with_it = calls.pop("calculator")
    async with (
        world.client(mode) as client,
        world.client("auto") as other,
        other.listen(tools_list_changed=True) as events,
    ):
        for call in (*calls.values(), gone_with_it):
            await answer(client, call)
        before = world.pids
        ended, served = anyio.Event(), 0

        async def go_on(call: Call) -> None:
            nonlocal served
            while not ended.is_set():
                await answer(client, call)
                served += 1

        async def reloaded(text: str, there: str, gone: str) -> None:
            world.cli.config(text)
            world.host.signal(signal.SIGHUP)
            with anyio.fail_after(LONGEST):
                async for _ in events:
                    names = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
                    if there in names and gone not in names:
                        return

        async with anyio.create_task_group() as running:
            for call in calls.values():
                running.start_soon(go_on, call)
            await reloaded(changed, "shop_read_query", "calculator_calculate")
            ended.set()
        assert served
        await answer(client, ("shop_read_query", {"query": "select 6*7 as answer"}, "42"))
        # A server that is served no longer ends after the calls that it had.
        await gone(before["calculator"])
        after = world.pids
        assert set(before) == CHILD_PROCESSES.keys() - {"shop"}
        assert set(after) == CHILD_PROCESSES.keys() - {"calculator"}
        assert {**before, **after} == {**after, **before}
        await reloaded(world.everything, "calculator_calculate", "shop_read_query")


async def stopped(pid: int) -> None:
    """Stop a process and what it has started, so that it reads nothing any more."""
    os.killpg(pid, signal.SIGSTOP)
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    while any(process.status() != psutil.STATUS_STOPPED for process in processes):
        await anyio.sleep(0.01)


async def asked(pid: int) -> None:
    """Wait until a stopped process has a request in its stdin."""
    stdin = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)
    try:
        readable, _, _ = await anyio.to_thread.run_sync(select.select, [stdin], [], [], LONGEST)
        assert readable
    finally:
        os.close(stdin)


async def gone(pid: int) -> None:
    """Wait until the host has taken notice of the end of a process."""
    with anyio.fail_after(LONGEST):
        while psutil.pid_exists(pid):
            await anyio.sleep(0.01)
