"""`create_app` in the process of another server: it follows its file, and it stops as `mcp-host run` does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.client.subscriptions import ToolsListChanged
from mcp.types import TextContent

from mcp_host.asgi import create_app
from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.server.draining import before_the_outer_server_stops
from support.held import Held

if TYPE_CHECKING:
    from support.processes import Cli, Process

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

OPEN = "[transport]\ninsecure = true\n"


@dataclass(frozen=True)
class Outer:
    """A server that serves the app of a folder, and its exit status after SIGTERM."""

    name: str
    status: int

    @contextmanager
    def serving(self, cli: Cli, arguments: str = "", trace: Path | None = None) -> Iterator[tuple[Process, str]]:
        """Serve the folder's mcp-host.toml with these further arguments of `create_app`. Yields the URL, too."""
        call = f'create_app("mcp-host.toml"{arguments})'
        (cli.folder / "main.py").write_text(
            "import logging\n\nfrom mcp_host.asgi import create_app\n\n"
            f"logging.basicConfig(level=logging.INFO)\napp = {call}\n"
        )
        environment = {"GOOD_TRACE": str(trace)} if trace is not None else {}
        if self.name == "uvicorn":
            program = replace(cli, program=(sys.executable, "-m", "uvicorn"))
            with program.start("main:app", "--port", "0", env=environment) as process:
                process.until_logged("Uvicorn running on ")
                yield process, process.err.partition("Uvicorn running on ")[2].split()[0] + "/mcp"
            return
        program = replace(cli, program=(sys.executable, "-m", "gunicorn"))
        options = ("--worker-class", "uvicorn_worker.UvicornWorker", "--bind", "127.0.0.1:0", "--no-control-socket")
        with program.start("main:app", *options, env=environment) as process:
            process.until_logged("Application startup complete")
            yield process, process.err.partition("Listening at: ")[2].split()[0] + "/mcp"


each_server = pytest.mark.parametrize(
    # uvicorn raises the signal again at its end.
    "outer",
    [Outer("uvicorn", -signal.SIGTERM), Outer("gunicorn", 0)],
    ids=lambda outer: outer.name,
)


@pytest.fixture
def trace(cli: Cli) -> Path:
    return cli.folder / "trace"


async def ended(process: Process) -> int:
    return await anyio.to_thread.run_sync(process.wait)


@each_server
async def test_an_open_stream_does_not_delay_the_stop(cli: Cli, trace: Path, outer: Outer) -> None:
    cli.config(OPEN + "[plugins.good]")
    with outer.serving(cli, trace=trace) as (process, url):
        async with (
            Client(url) as modern,
            Client(url, mode="legacy") as legacy,
            modern.listen(tools_list_changed=True),
        ):
            await legacy.list_tools()
            process.signal(signal.SIGTERM)
            assert await ended(process) == outer.status
    assert trace.read_text() == "start\nstop\n"


@each_era
@each_server
async def test_a_call_in_flight_is_answered_before_the_end(cli: Cli, trace: Path, outer: Outer, mode: str) -> None:
    cli.config(OPEN + "[plugins.good]")
    held = Held()
    with outer.serving(cli, trace=trace) as (process, url):
        async with Client(url, mode=mode) as client, anyio.create_task_group() as group:
            await client.list_tools()  # the client would ask for it after the call
            group.start_soon(held.call, client, "take_a_while")
            await held.running.wait()
            process.signal(signal.SIGTERM)
        assert await ended(process) == outer.status
        assert "Traceback" not in process.err
    (block,) = held.result.content
    assert isinstance(block, TextContent)
    assert block.text == "done"
    assert trace.read_text() == "start\ndone\nstop\n"


@each_era
@each_server
async def test_a_call_that_outlasts_the_grace_period_is_cut_off(cli: Cli, trace: Path, outer: Outer, mode: str) -> None:
    cli.config(f'[host]\nshutdown_timeout = "200ms"\n{OPEN}[plugins.good]')
    held = Held()
    with outer.serving(cli, trace=trace) as (process, url):
        try:
            async with Client(url, mode=mode) as client, anyio.create_task_group() as group:
                group.start_soon(held.call, client, "hold")
                await held.running.wait()
                process.signal(signal.SIGTERM)
        except* Exception:
            held.result = "cut off"
        assert held.result == "cut off" or held.result.is_error
        assert await ended(process) == outer.status
        assert "Traceback" not in process.err
    assert trace.read_text() == "start\nholding\nlet go\nstop\n"


@each_server
async def test_the_app_follows_its_file(cli: Cli, outer: Outer) -> None:
    cli.config(OPEN + "[plugins.good]\n")
    with outer.serving(cli, ", reload=True") as (process, url):
        async with Client(url) as client, client.listen(tools_list_changed=True) as changes:
            before = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
            cli.config(OPEN + '[plugins.good]\ntools.deny = ["add"]\n')
            with anyio.fail_after(30):
                async for change in changes:
                    if isinstance(change, ToolsListChanged):
                        break
            after = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
        assert before - after == {"add"}
        # A file that is not valid changes nothing.
        cli.config(OPEN + "[plugins.good]\nnothing = 1\n")
        process.until_logged("not reloaded, the old configuration is still served")
        async with Client(url) as client:
            assert (await client.call_tool("greet", {"name": "you"})).content


async def test_a_hangup_reloads_the_app_if_nothing_else_handles_it(cli: Cli) -> None:
    cli.config(OPEN + "[plugins.good]\n")
    with Outer("uvicorn", -signal.SIGTERM).serving(cli, ", reload=True") as (process, url):
        async with Client(url) as client:
            process.signal(signal.SIGHUP)
            process.until_logged("reloaded: good")
            await client.list_tools(cache_mode="bypass")


async def test_the_handler_of_another_program_stays(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: seen.append(number))
    try:
        app = create_app(cli.config(OPEN), reload=True)
        async with app.running():
            signal.raise_signal(signal.SIGHUP)
        assert seen == [signal.SIGHUP]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        async with create_app(cli.config(OPEN), reload=True).running():
            assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_second_signal_reaches_the_outer_server_at_once() -> None:
    seen: list[int] = []
    answered, told = anyio.Event(), anyio.Event()

    def outer(number: int, frame: object) -> None:
        seen.append(number)
        if answered.is_set():
            told.set()

    before = signal.signal(signal.SIGTERM, outer)
    try:
        with before_the_outer_server_stops(answered.wait):
            signal.raise_signal(signal.SIGTERM)
            await anyio.lowlevel.checkpoint()
            assert seen == []
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
            answered.set()
            with anyio.fail_after(30):
                await told.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_a_file_there_is_nothing_to_follow() -> None:
    with pytest.raises(HostError, match="no file to follow"):
        create_app(parse_config(OPEN, environ={}), reload=True)
