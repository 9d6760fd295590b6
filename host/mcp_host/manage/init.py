"""`mcp-host init`: writes a mcp-host.toml to start from."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from mcp_host.cli.output import write
from mcp_host.errors import ConfigError


def init(
    names: Annotated[list[str] | None, typer.Argument(metavar="PLUGIN", help="Installed plugins to enable.")] = None,
    path: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The file to write.")] = Path(
        "mcp-host.toml"
    ),
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of stdio.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a mcp-host.toml to start from."""
    from mcp_host.manage.configedit import new_config, write_new
    from mcp_host.plugins.discovery import discover, find

    if os.path.isdir(path):
        hint = f"--config {shlex.quote(str(path / 'mcp-host.toml'))}"
        raise ConfigError(f"{path} is a folder, not a file", where="command line: --config", hint=hint)
    installed = discover()
    for name in names or ():
        find(name, installed)
    text = new_config(name=path.absolute().parent.name, enabled=names or (), installed=installed, http=http)
    if not write_new(path, text, force=force):
        raise ConfigError(f"{path} already exists", where="command line: --config", hint="--force replaces it")
    write(f"Wrote {path}.")
    if others := sorted({plugin.name for plugin in installed} - set(names or ())):
        write(f"Installed but not enabled: {', '.join(others)}.")
    option = "" if path == Path("mcp-host.toml") else f" --config {shlex.quote(str(path))}"
    write(f"Next: mcp-host check{option}, then mcp-host run{option}.")
