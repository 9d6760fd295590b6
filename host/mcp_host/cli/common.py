"""What several commands share: the options, and how a configuration becomes a host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.config import HostConfig, find_config, load_config

if TYPE_CHECKING:
    from mcp_host.host import Host

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The mcp-host.toml to use. Default: $MCP_HOST_CONFIG, ./mcp-host.toml, the user's own.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DisableOption = Annotated[
    list[str] | None, typer.Option("--disable", metavar="NAME", help="Leave this plugin out. May be repeated.")
]
LogLevelOption = Annotated[
    str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
]
DebugOption = Annotated[bool | None, typer.Option("--debug/--no-debug", help="Show callers the text of crashes.")]


def read_config(
    path: Path | None, *, flags: Mapping[str, Any] | None = None, disable: list[str] | None = None
) -> HostConfig:
    """Read the configuration a command is asked to use, with its flags on top."""
    overrides: dict[str, Any] = {section: dict(values) for section, values in (flags or {}).items()}
    if disable:
        overrides["plugins"] = {name: {"enabled": False} for name in disable}
    return load_config(find_config(path, os.environ, Path.cwd()), overrides=overrides)


def load_host(config: HostConfig, *, log_level: str | None = None) -> Host:
    """Set up logging and load the plugins of a configuration. Their stdout goes to stderr."""
    from mcp_host.config.secrets import Redactor
    from mcp_host.logs import configure_logging

    redactor = Redactor()
    configure_logging(log_level or config.host.log_level, redactor)

    from mcp_host.discovery import discover
    from mcp_host.host import Host
    from mcp_host.server.adopt import adopt

    return Host(config, installed=discover(), adopt=adopt, redactor=redactor)
