"""`mcp-host dev`: serves while the author writes a plugin."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mcp_host.cli.common import (
    ConfigOption,
    DisableOption,
    FileArgument,
    LogLevelOption,
    command_stdout,
    file_or_config,
    load_host,
    read_config,
)
from mcp_host.cli.output import problem_text, write
from mcp_host.cli.run import announce, until_stopped
from mcp_host.containment.process import OwnProcess, own_process
from mcp_host.errors import HostError

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.plugins.discovery import InstalledPlugin
    from mcp_host.server.host import Host

_INSPECTOR_ORIGINS = ["http://localhost:6274", "http://127.0.0.1:6274"]
"""The origins of the Inspector's page, which sends requests to the server from the browser."""


def dev(
    file: FileArgument = None,
    config: ConfigOption = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option("--plugin", metavar="DIR", help="Also serve the plugins of this project, installed or not."),
    ] = None,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="DIST", help="Install this distribution first.")
    ] = None,
    with_editable: Annotated[
        list[str] | None, typer.Option("--with-editable", metavar="DIR", help="Install this project in place first.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", metavar="N", help="0 takes any free one.")] = None,
    inspector: Annotated[bool, typer.Option(help="Open the MCP Inspector on the server.")] = True,
    log_level: LogLevelOption = None,
    disable: DisableOption = None,
) -> None:
    """Serve over HTTP while you write a plugin.

    Each time mcp-host.toml or the code of an enabled plugin is written, the changed plugins are loaded again without a
    restart, and clients are notified. Callers see the text of crashes, and the log has the tracebacks.
    """
    config = file_or_config(file, config)
    _install(with_ or (), with_editable or (), config)
    with command_stdout() as stdout, own_process() as process:
        extra = _projects(plugin or ())
        read = partial(_read, config, [each.name for each in extra], port, log_level, disable or [])
        host = load_host(read(), extra=extra, process=process)
        process.run(until_stopped(_serve(host, process, read, extra, inspector, stdout), process))


def _read(
    path: Path | None, names: Sequence[str], port: int | None, log_level: str | None, disable: list[str]
) -> HostConfig:
    flags: dict[str, dict[str, Any]] = {
        "transport": {"kind": "http", "port": port},
        "host": {"debug": True, "log_level": log_level},
    }
    found = read_config(path, flags=flags, disable=[name for name in disable if name not in names])
    cors = [*found.transport.cors, *_INSPECTOR_ORIGINS]
    plugins: dict[str, Any] = {name: {} for name in names if name not in found.plugins and name not in disable}
    more = {**flags, "transport": {**flags["transport"], "cors": cors}, "plugins": plugins}
    return read_config(path, flags=more, disable=[name for name in disable if name in found.plugins])


def _projects(folders: Sequence[Path]) -> list[InstalledPlugin]:
    """Put the code of projects on the path, and return their plugins as if they were installed."""
    from mcp_host.authoring.plugincheck.targets import find_targets

    extra = []
    for folder in folders:
        for target in find_targets(folder):
            sys.path[:0] = [each for each in target.folders if each not in sys.path]
            if target.installed is not None:
                extra.append(target.installed)
    return extra


def _install(distributions: Sequence[str], editable: Sequence[str], config: Path | None) -> None:
    if not distributions and not editable:
        return
    from mcp_host.manage.distributions import Installation
    from mcp_host.manage.editedfile import EditedFile, wanted_of
    from mcp_host.manage.environment import detect

    wanted = wanted_of(distributions, editable, EditedFile.find(config, create=True))
    Installation.install(detect(), wanted, upgrade=False, verbose=False)


async def _serve(
    host: Host,
    process: OwnProcess,
    read: Callable[[], HostConfig],
    extra: Sequence[InstalledPlugin],
    inspector: bool,
    stdout: TextIO,
) -> None:
    from mcp_host.plugins.discovery import discover, with_extra
    from mcp_host.server.hostserver import HostServer
    from mcp_host.server.http.app import serve_http
    from mcp_host.server.reload import Reloader, following

    host.require()
    server = HostServer(host, reloads=True)
    reloader = Reloader(server, read, find=lambda: with_extra(discover(), extra))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def serving(url: str) -> None:
        announce(host, stdout, url)
        ready.set_result(url)

    async with (
        following(reloader, host.config.path, handling=process.handling, code=True),
        _inspector(ready, inspector),
    ):
        await serve_http(server, serving, process)


@asynccontextmanager
async def _inspector(ready: asyncio.Future[str], wanted: bool) -> AsyncIterator[None]:
    """Open the Inspector when the server is ready, and end it with the block. Without Node.js, only print a note."""
    opening = asyncio.create_task(_open(ready), name="opening the MCP Inspector") if wanted else None
    try:
        yield
    finally:
        if opening is not None:
            opening.cancel()
            await asyncio.wait([opening])


async def _open(ready: asyncio.Future[str]) -> None:
    from mcp_host.authoring.inspector import find_inspector

    url = await ready
    try:
        found = find_inspector(url)
    except HostError as error:
        write(problem_text(error.problem, "note"), sys.stderr)
        return
    write(f"Opening the MCP Inspector {found.version}. {found.hint}".rstrip(), sys.stderr)
    # Its own process group: npx starts more processes, and all of them must end.
    process = await asyncio.create_subprocess_exec(
        *found.command, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    try:
        code = await process.wait()
        write(f"The MCP Inspector ended with exit code {code}; the server is still running.", sys.stderr)
    finally:
        if process.returncode is None:
            _end_group(process.pid)


def _end_group(pid: int) -> None:
    os.killpg(pid, signal.SIGTERM)
