"""`mcp-host remove`: removes plugins from the file, and uninstalls them."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.live import status
from mcp_host.cli.output import print_json
from mcp_host.manage.distributions import Leaving, run_installer
from mcp_host.manage.editedfile import DryRunOption, EditedFile, VerboseOption, done_word, holds_more, say, shown
from mcp_host.plugins.discovery import GROUP, discover


def remove(
    names: Annotated[
        list[str],
        typer.Argument(metavar="PLUGIN", help="Plugins, or distributions.", autocompletion=completion.plugins),
    ],
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove plugins from mcp-host.toml and uninstall them.

    Shows the lines that it removes. If they had settings or comments, the old file is kept as mcp-host.toml.bak. A
    distribution stays installed if another plugin in the file comes from it, or another distribution needs it. What
    was installed only because it needed it stays, too, and is named.
    """
    from mcp_host.manage.configedit import masked, remove_plugin, set_requires
    from mcp_host.manage.environment import detect, run
    from mcp_host.plugins.requirements import installed_now, name_in, needed_only_by

    file = EditedFile.find(config)
    plugins, distributions = discover(), installed_now(GROUP)
    leaving = Leaving.of(names, file, plugins, distributions)
    environment = detect() if leaving.uninstall else None
    staying = {
        name_in(plugin.distribution)
        for plugin in plugins
        if plugin.name in file.config.plugins and plugin.name not in leaving.plugins
    }
    unneeded = needed_only_by(leaving.uninstall, distributions, wanted=staying)
    removed = ""

    def change(text: str) -> str:
        nonlocal removed
        removed = ""
        for name in leaving.plugins:
            text, lines = remove_plugin(text, name)
            removed += lines
        return set_requires(text, leaving.requires)

    backup = file.apply(change, write=not dry_run, backup=lambda: holds_more(removed))
    if environment is not None and not dry_run:
        commands = environment.uninstall(leaving.uninstall)
        with status(f"Uninstalling {', '.join(leaving.uninstall)} with {environment.installer} ..."):
            run_installer(
                lambda: run(commands, show=verbose), f"{environment.installer} could not uninstall", environment
            )
    if as_json:
        data = {
            "removed": masked(removed),
            "uninstalled": leaving.uninstall,
            "kept": leaving.kept,
            "unneeded": unneeded,
        }
        print_json({**file.to_json(dry_run), "plugins": leaving.plugins, **data})
        return
    if dry_run:
        file.report(dry_run)
    elif leaving.plugins:
        say(f"Removed {', '.join(leaving.plugins)} from {file.shown}:\n")
        say("".join(f"    {line}\n" for line in masked(removed).splitlines()))
    elif file.edit is not None and file.edit.changed:
        say(f"Removed {', '.join(names)} from [host] requires in {file.shown}.")
    if backup is not None:
        say(f"The old file: {shown(backup)}")
    for name, why in leaving.kept.items():
        say(f"{name} stays installed: {why}.")
    if leaving.uninstall:
        say(f"{done_word('Uninstalled', dry_run)} {', '.join(leaving.uninstall)}.")
    if unneeded and environment is not None:
        by_hand = [shlex.join(command.arguments) for command in environment.uninstall(unneeded)]
        say(f"Nothing else needs {', '.join(unneeded)}. To uninstall what is left: {' && '.join(by_hand)}")
