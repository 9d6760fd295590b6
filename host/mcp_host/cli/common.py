"""Shared by several commands: their options, and how they load a configuration and its plugins."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mcp_host.cli import completion
from mcp_host.cli.remembering import remember
from mcp_host.config import HostConfig, find_config, load_config, python_file
from mcp_host.errors import ConfigError, did_you_mean
from mcp_host.system.ending import whole_process
from mcp_host.system.streams import own_stdout

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mcp_host.containment.process import OwnProcess
    from mcp_host.plugins.discovery import InstalledPlugin
    from mcp_host.server.host import Host

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The mcp-host.toml to use, or a Python file (server.py, server.py:NAME) to serve alone. Default: "
        "$MCP_HOST_CONFIG, ./mcp-host.toml, the user's own.",
    ),
]
FileArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="Serve this Python file instead of mcp-host.toml: server.py, or server.py:NAME for one of its objects.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DisableOption = Annotated[
    list[str] | None,
    typer.Option(
        "--disable",
        metavar="NAME",
        help="Do not load this plugin. May be repeated.",
        autocompletion=completion.enabled_plugins,
    ),
]
LogLevelOption = Annotated[
    str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
]
DebugOption = Annotated[bool | None, typer.Option("--debug/--no-debug", help="Show callers the text of crashes.")]


@contextmanager
def command_stdout() -> Iterator[TextIO]:
    """Yield stdout for the command alone: for the block, or until the process ends if it runs only this command."""
    with own_stdout(to_the_end=whole_process.get() is not None) as stdout:
        yield stdout


def file_or_config(file: str | None, config: Path | None) -> Path | None:
    """Return the configuration that a command uses: the Python file that was named, or that of `--config`.

    Raises:
        ConfigError: Both were given, or the file is not a Python file.
    """
    if file is None:
        return config
    where = "command line: FILE"
    if config is not None:
        raise ConfigError(f"{file} and --config {config}: only one can be served", where=where, hint="remove one")
    if python_file(Path(file)) is None:
        hint = f"--config {file}" if file.endswith(".toml") else "server.py, or server.py:NAME"
        raise ConfigError(f"{file} is not a Python file", where=where, hint=hint)
    return Path(file)


def read_config(
    path: Path | None, *, flags: Mapping[str, Any] | None = None, disable: list[str] | None = None
) -> HostConfig:
    """Read the configuration for a command. Its flags win over the file."""
    file = find_config(path, os.environ, Path.cwd())
    config = load_config(file, overrides=flags)
    if not disable:
        return config
    for name in disable:
        if name not in config.plugins:
            what = f"there is no plugin {name!r} to disable{did_you_mean(name, config.plugins)}"
            raise ConfigError(what, where="command line: --disable", hint="mcp-host plugins   (lists them)")
    plugins = {name: {"enabled": False} for name in disable}
    return load_config(file, overrides={**(flags or {}), "plugins": plugins})


def load_host(
    config: HostConfig,
    *,
    log_level: str | None = None,
    extra: Sequence[InstalledPlugin] = (),
    process: OwnProcess | None = None,
) -> Host:
    """Set up logging and load the plugins of a configuration. Their stdout goes to stderr.

    The `extra` plugins are added to the installed ones and replace those with the same name. A command that serves
    gives its `process`: what plugins change of it (signal handlers and the like) is undone, and slow servers are not
    waited for.
    """
    from mcp_host.config.secrets import Redactor
    from mcp_host.system.logs import configure_logging

    redactor = Redactor()
    log = configure_logging(log_level or config.host.log_level, redactor, log_format=config.host.log_format)
    if process is not None:
        process.log = log
        process.shutdown_timeout = config.host.shutdown_timeout
    for warning in config.warnings:
        logger.warning("%s", warning.text(one_line=True))

    from mcp_host.plugins.discovery import discover, with_extra
    from mcp_host.server.adopt import adopt
    from mcp_host.server.host import Host

    if (code := python_file(config.path)) is not None:
        # As Python does it for a script: modules beside it can be imported at any time.
        sys.path.insert(0, str(code[0].absolute().parent))
    installed = discover()
    if process is not None:
        process.remember()
    with ctrl_c_counts():
        host = Host(
            config,
            installed=with_extra(installed, extra),
            adopt=adopt,
            redactor=redactor,
            after_plugin_code=process.restore if process is not None else None,
            patient=process is None,
        )
    if process is not None:
        process.ending = host.ending
    if not extra:
        remember(host, installed)
    return host


@contextmanager
def ctrl_c_counts() -> Iterator[None]:
    """Let Ctrl+C end the command even while a plugin is loading.

    The loader contains every exception that a plugin raises, also KeyboardInterrupt. Here, the user's own is raised
    again.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
