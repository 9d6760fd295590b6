"""`mcp-host run`: serves the enabled plugins over stdio or HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mcp_host.cli.common import (
    ConfigOption,
    DebugOption,
    DisableOption,
    FileArgument,
    LogLevelOption,
    command_stdout,
    file_or_config,
    load_host,
    read_config,
)
from mcp_host.cli.output import records_table, write
from mcp_host.config import python_file
from mcp_host.containment.process import OwnProcess, own_process
from mcp_host.system.stderr import drained_stderr
from mcp_host.system.streams import OwnStdin, own_stdin

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.server.host import Host
    from mcp_host.server.hostserver import HostServer


def run(
    file: FileArgument = None,
    config: ConfigOption = None,
    transport: Annotated[
        str | None,
        typer.Option(
            "--transport", "-t", metavar="KIND", help="stdio (one client, over this process's pipes) or http."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="The address to bind, for http.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", metavar="N", help="The port, for http. 0 takes any free one.")
    ] = None,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload", help="Reload mcp-host.toml, or FILE, each time it is written. SIGHUP always reloads it."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log no line for each request, for http.")] = False,
    log_level: LogLevelOption = None,
    debug: DebugOption = None,
    disable: DisableOption = None,
) -> None:
    """Serve the plugins, or one Python file, over stdio or HTTP.

    It ends when the client disconnects (stdio) or with Ctrl+C. The log goes to stderr. Over HTTP, it has a line for
    each request. The variables MCP_TRANSPORT, MCP_HOST, MCP_PORT, MCP_LOG_LEVEL and MCP_DEBUG set the same options;
    options win over variables.
    """
    flags = {
        "transport": {"kind": transport, "host": host, "port": port},
        "host": {"log_level": log_level, "debug": debug},
    }
    read = partial(read_config, file_or_config(file, config), flags=flags, disable=disable)
    settings = read()
    # From here on, stdout belongs to the protocol or to the command. No plugin can write to it.
    with drained_stderr(), command_stdout() as stdout:
        if settings.transport.kind == "http":
            from mcp_host.server.http.headers import refuse_open

            refuse_open(settings)  # refuses an unsafe address before anything is loaded
            with own_process() as process:
                loaded = load_host(settings, process=process)
                if not quiet:
                    from mcp_host.calls.access_log import log_request

                    loaded.observers.add(log_request)
                _run_http(loaded, process, stdout, read, reload)
        else:
            with own_stdin() as stdin, own_process() as process:
                loaded = load_host(settings, process=process)
                loaded.require()

                from mcp_host.server.hostserver import HostServer
                from mcp_host.server.stdio import Stdio

                process.keep_from_forks(stdin.fileno, stdout.fileno())
                server = HostServer(loaded, reloads=True)
                client = Stdio(server, stdin.fileno, stdout.fileno(), input_ended=process.ends)
                serving = _following(server, client.serve(), process, read, reload)
                with process.stopping(client.stop):
                    process.run(until_stopped(_with_hint(serving, stdin), process))


async def _with_hint(serving: Coroutine[Any, Any, None], stdin: OwnStdin) -> None:
    """Serve. If stdin is a terminal, first explain why nothing happens."""
    if stdin.is_terminal:
        write("Waiting for an MCP client on stdin. Ctrl+C ends; --transport http serves over HTTP.", sys.stderr)
    await serving


async def _following(
    server: HostServer,
    serving: Coroutine[Any, Any, None],
    process: OwnProcess,
    read: Callable[[], HostConfig],
    watch: bool,
) -> None:
    """Serve, and reload the configuration on SIGHUP and, with `watch`, whenever its file is written."""
    from mcp_host.server.reload import Reloader, following

    path = server.host.config.path if watch else None
    async with following(Reloader(server, read), path, handling=process.handling, code=python_file(path) is not None):
        await serving


def _run_http(loaded: Host, process: OwnProcess, stdout: TextIO, read: Callable[[], HostConfig], watch: bool) -> None:
    loaded.require()

    from mcp_host.server.hostserver import HostServer
    from mcp_host.server.http.app import serve_http

    server = HostServer(loaded, reloads=True)
    serving = serve_http(server, partial(announce, loaded, stdout), process)
    process.run(until_stopped(_following(server, serving, process, read, watch), process))


async def until_stopped(serving: Coroutine[Any, Any, None], process: OwnProcess) -> None:
    """Serve until the server ends or a signal stops it. Neither is an error."""
    with process.stopped_by_signals():
        try:
            await serving
        except asyncio.CancelledError:
            if not process.signalled:
                raise
    if process.signalled:
        logger.info("stopped")


def announce(host: Host, stdout: TextIO, url: str) -> None:
    """Print what is served, the URL, and how a client connects. The problems of plugins are in the log."""
    name, program = host.config.host.name, _program()
    served = records_table(host.records, stdout) if host.records else "No plugins are enabled: add [plugins.NAME]"
    write(
        f"{served}\n\n"
        f"Serving {name} at {url}\n"
        "Connect a client:\n"
        f"  claude mcp add --transport http {shlex.quote(name)} {url}\n"
        f"  {program} inspect --url {url}\n"
        "Ctrl+C stops it.",
        stdout,
    )


def _program() -> str:
    """Return how to call this program again: by its name if it is on PATH, otherwise by its path."""
    called = Path(sys.argv[0])
    found = which("mcp-host")
    if called.stem != "mcp-host":
        return f"{shlex.quote(sys.executable)} -m mcp_host"
    if found is not None and Path(found).resolve() == called.resolve():
        return "mcp-host"
    relative = os.path.relpath(called)
    return shlex.quote(str(called) if relative.startswith("..") else relative)
