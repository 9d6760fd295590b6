"""`mcp-host enable` and `mcp-host disable`: change which plugins the file enables, without importing a plugin."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json
from mcp_host.errors import ErrorCode, HostError, InvalidConfigError, closest
from mcp_host.manage.editedfile import (
    DryRunOption,
    EditedFile,
    done_word,
    each_plugin,
    plugins_of,
    refuse_unknown,
    say,
)
from mcp_host.plugins.discovery import check_compatible, discover, find


def enable(
    names: Annotated[
        list[str], typer.Argument(metavar="PLUGIN", help="Installed plugins.", autocompletion=completion.other_plugins)
    ],
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Enable installed plugins in mcp-host.toml.

    No plugin is imported.
    """
    from mcp_host.manage.configedit import enable_plugin

    installed = discover()
    file = EditedFile.find(config, create=True, installed=installed)
    names = [each for name in names for each in plugins_of(name, installed, file.config.plugins)]
    problems = []
    for name in names:
        section = file.config.plugins.get(name)
        try:
            if section is None or section.place is None:
                check_compatible(find(name, installed))
        except HostError as error:
            problem = error.problem
            if problem.code == ErrorCode.NOT_INSTALLED:
                meant = closest(name, {plugin.name for plugin in installed})
                problem = replace(problem, hint=f"mcp-host enable {meant}" if meant else f"mcp-host add {name}")
            problems.append(problem)
    if problems:
        raise InvalidConfigError(problems)
    before = {name for name, section in file.config.plugins.items() if section.enabled}
    file.apply(lambda text: each_plugin(text, enable_plugin, names), write=not dry_run)
    if as_json:
        print_json({**file.to_json(dry_run), "plugins": names})
        return
    file.report(dry_run)
    for name in names:
        say(f"{name} is already enabled." if name in before else f"{done_word('Enabled', dry_run)} {name}.")
    if not dry_run:
        say(f"Next: mcp-host check{file.option}")


def disable(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="PLUGIN", help="Plugins that mcp-host.toml names.", autocompletion=completion.enabled_plugins
        ),
    ],
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Disable plugins and keep their settings.

    Writes enabled = false into their tables. No plugin is imported.
    """
    from mcp_host.manage.configedit import disable_plugin

    file = EditedFile.find(config)
    installed = discover()
    names = [each for name in names for each in plugins_of(name, installed, file.config.plugins)]
    known = {plugin.name for plugin in installed} | set(file.config.plugins)
    refuse_unknown(names, known, file)
    before = {name for name, section in file.config.plugins.items() if section.enabled}
    named = [name for name in names if name in file.config.plugins]
    file.apply(lambda text: each_plugin(text, disable_plugin, named), write=not dry_run)
    if as_json:
        print_json({**file.to_json(dry_run), "plugins": names})
        return
    file.report(dry_run)
    for name in names:
        say(f"{done_word('Disabled', dry_run)} {name}." if name in before else f"{name} is not enabled.")
