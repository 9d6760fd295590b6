"""`mcp-host run`."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mcp_host.cli.common import ConfigOption, DebugOption, DisableOption, LogLevelOption, load_host, read_config
from mcp_host.cli.output import console, problem_lines, records_table
from mcp_host.stdout import own_stdout

if TYPE_CHECKING:
    from mcp_host.host import Host


def run(
    config: ConfigOption = None,
    transport: Annotated[
        str | None, typer.Option("--transport", "-t", help="stdio (one client, over this process's pipes) or http.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="The address to bind, for http.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="The port, for http. 0 takes any free one.")] = None,
    log_level: LogLevelOption = None,
    debug: DebugOption = None,
    disable: DisableOption = None,
) -> None:
    """Serve the enabled plugins, over stdio or HTTP, until the client leaves or Ctrl+C."""
    settings = read_config(
        config,
        flags={
            "transport": {"kind": transport, "host": host, "port": port},
            "host": {"log_level": log_level, "debug": debug},
        },
        disable=disable,
    )
    # From here on stdout is the protocol's, or the command's own: no plugin can write to it.
    with own_stdout() as stdout:
        loaded = load_host(settings)
        loaded.require()

        from mcp_host.server.hostserver import HostServer

        server = HostServer(loaded)
        if settings.transport.kind == "http":
            from mcp_host.server.http import serve_http

            asyncio.run(serve_http(server, partial(_announce, loaded, stdout)))
        else:
            from mcp_host.server.stdio import serve_stdio

            if sys.stdin.isatty():
                sys.stderr.write("Waiting for an MCP client on stdin (Ctrl+D ends). For HTTP: --transport http\n")
            asyncio.run(serve_stdio(server, stdout))


def _announce(host: Host, stdout: TextIO, url: str) -> None:
    """Say what is served, where, and how a client gets there."""
    screen = console(stdout)
    records = host.records
    if records:
        screen.print(records_table(records))
    else:
        screen.print("No plugins are enabled. Name one in mcp-host.toml: [plugins.NAME]")
    for line in problem_lines(records):
        sys.stderr.write(line + "\n")
    program = _program()
    screen.print(f"\nServing {host.config.host.name} at {url}", soft_wrap=True)
    screen.print("Connect a client:", soft_wrap=True)
    name = shlex.quote(host.config.host.name)
    screen.print(f"  claude mcp add --transport http {name} {url}", soft_wrap=True, markup=False)
    screen.print(f"  {program} inspect --url {url}", soft_wrap=True, markup=False)
    screen.print("Ctrl+C stops it.")
    stdout.flush()


def _program() -> str:
    """How this program can be called again from here: by its name when that is on PATH, else by its path."""
    from shutil import which

    called = Path(sys.argv[0])
    found = which("mcp-host")
    if called.name != "mcp-host":
        return f"{shlex.quote(sys.executable)} -m mcp_host"
    if found is not None and Path(found).resolve() == called.resolve():
        return "mcp-host"
    relative = os.path.relpath(called)
    return shlex.quote(str(called) if relative.startswith("..") else relative)
