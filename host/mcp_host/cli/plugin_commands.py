"""`mcp-host NAME`: the commands that an enabled plugin contributes. The plugin is loaded when one of them is used."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_origin

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mcp_host.cli import completion
from mcp_host.cli.common import ctrl_c_counts, read_config
from mcp_host.cli.registry import COMMANDS, OTHER_WORDS, listed
from mcp_host.errors import ErrorCode, HostError, did_you_mean, text_of, wrapped

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.plugins.discovery import InstalledPlugin
    from mcp_host.plugins.plugin import LoadedPlugin

logger = logging.getLogger(__name__)

_OPTIONS: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def group(name: str) -> Any:
    """Return the command `mcp-host NAME`. Nothing is read or imported yet."""
    app = typer.Typer(name=name, cls=PluginCommands, **_OPTIONS)

    # Eager, so that `mcp-host NAME --config FILE --help` shows the help of the plugin in that file.
    @app.callback(help=f"Run a command of the plugin {name}.")
    def options(
        config: Annotated[
            Path | None,
            typer.Option("--config", "-c", metavar="FILE", help="The mcp-host.toml to use.", is_eager=True),
        ] = None,
    ) -> None:
        pass

    return get_command(app)


class PluginCommands(TyperGroup):
    """The commands of one plugin. Completion with Tab uses the remembered names and loads nothing."""

    _plugin: LoadedPlugin | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if not args:
            typer.echo(self.get_help(ctx))
            ctx.exit(2)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "format_message"):
                # If the word names no plugin, report that error instead of one about the options after it.
                self._load(ctx)
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        self._load(ctx)
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._load(ctx)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (HostError, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "format_message") or self._plugin is None:
                raise
            logger.debug("a command of plugin %s failed", self.name, exc_info=error)
            raise HostError(
                self._plugin.redactor.redact(f"the command failed: {text_of(error)}"),
                where=self._plugin.where,
                hint=f"MCP_LOG_LEVEL=debug {ctx.command_path} ...   (shows the traceback)",
            ) from error

    def _load(self, ctx: Any) -> None:
        if ctx.resilient_parsing:
            remembered = completion.plugin_commands(ctx).get(self.name or "", {})
            self.commands = {name: listed(name, about) for name, about in remembered.items()}
        elif self._plugin is None:
            self._plugin = _load(self.name or "", ctx.params.get("config"))
            self.commands = dict(commands_of(self._plugin))


def _load(name: str, path: Path | None) -> LoadedPlugin:
    """Load one plugin up to its contributions.

    Raises:
        HostError: It is unknown, not enabled, or failed.
    """
    from mcp_host._version import __version__
    from mcp_host.api import HostFacts
    from mcp_host.config.secrets import Redactor
    from mcp_host.plugins.discovery import discover
    from mcp_host.plugins.loader import Loader
    from mcp_host.system.logs import configure_logging

    installed = discover()
    config = _config(name, path, installed)
    redactor = Redactor()
    level = os.environ.get("MCP_LOG_LEVEL")
    # A problem of the plugin is shown once, as the command's own error.
    configure_logging(level or "critical", redactor)

    from mcp_host.server.adopt import adopt

    host = config.host
    facts = HostFacts(host.name, __version__, config.transport.kind, config.base_dir, host.debug)
    with ctrl_c_counts():
        loader = Loader(config, installed=installed, adopt=adopt, facts=facts, redactor=redactor)
        plugin = loader.load(name, config.plugins[name])
    if plugin.record.problem is not None:
        raise HostError(**vars(plugin.record.problem))
    configure_logging(level or "warning", redactor)
    return plugin


def _config(name: str, path: Path | None, installed: Iterable[InstalledPlugin]) -> HostConfig:
    """Return the configuration.

    Raises:
        HostError: The plugin is unknown or not enabled.
    """
    is_installed = any(plugin.name == name for plugin in installed)
    try:
        config = read_config(path)
    except HostError:
        if path is not None or is_installed:
            raise
        raise _unknown(name, ()) from None
    option = "" if path is None else f" --config {shlex.quote(str(path))}"
    section = config.plugins.get(name)
    if section is not None and section.enabled:
        return config
    if section is None and not is_installed:
        raise _unknown(name, (known for known, each in config.plugins.items() if each.enabled))
    state = "disabled" if section is not None else "installed, but not enabled"
    where = config.where("plugins", name) if section is not None else str(config.path or "command line")
    raise HostError(
        f"plugin {name!r} is {state}", where=where, hint=f"mcp-host enable {name}{option}", code=ErrorCode.NOT_ENABLED
    )


def _unknown(name: str, plugins: Iterable[str]) -> HostError:
    meant = OTHER_WORDS.get(name.lower())
    what = f"there is no command {name!r}{did_you_mean(name, [*COMMANDS, *plugins]) if meant is None else ''}"
    hint = f"mcp-host {meant or '--help'}"
    return HostError(what, where="command line", hint=hint, code=ErrorCode.UNKNOWN_NAME)


def commands_of(plugin: LoadedPlugin) -> Mapping[str, Any]:
    """Return typer's commands for the commands that the plugin contributes.

    Raises:
        HostError: A command cannot be made, two have the same name, or there are no commands.
    """
    app = typer.Typer(**_OPTIONS)
    app.callback()(lambda: None)
    try:
        for command in plugin.contributions.commands:
            if isinstance(command.fn, typer.Typer):
                app.add_typer(command.fn, name=command.name or None)
            else:
                app.command(command.name)(_with_context(command.fn, plugin))
        commands: Mapping[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    except Exception as error:
        logger.debug("the commands of plugin %s cannot be made", plugin.name, exc_info=error)
        raise wrapped(error, "its commands cannot be made", where=plugin.where) from error
    if not commands:
        raise HostError(f"plugin {plugin.name!r} has no commands", where=plugin.where, hint="mcp-host --help")
    return commands


def _with_context(fn: Callable[..., Any], plugin: LoadedPlugin) -> Callable[..., Any]:
    """Return a function without the parameter for the plugin's context. A coroutine is run to its end."""
    signature = inspect.signature(fn, eval_str=True)
    given = [name for name, parameter in signature.parameters.items() if _takes_context(parameter.annotation)]
    kept = {name: parameter for name, parameter in signature.parameters.items() if name not in given}

    @wraps(fn)
    def run(**arguments: Any) -> Any:
        result = fn(**arguments, **dict.fromkeys(given, plugin.own_context))
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    run.__signature__ = signature.replace(parameters=list(kept.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in kept.items()}
    return run


def _takes_context(annotation: Any) -> bool:
    from mcp_host.api import PluginContext

    return annotation is PluginContext or get_origin(annotation) is PluginContext
