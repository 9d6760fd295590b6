"""`mcp-host sync`: installs the missing distributions of `[host] requires`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json, problem_text, write
from mcp_host.errors import Problem
from mcp_host.manage.distributions import Installation
from mcp_host.manage.editedfile import EditedFile, VerboseOption, required, say
from mcp_host.plugins.discovery import GROUP, discover


def sync(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only list what is missing, and exit with code 1 if something is.")
    ] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> int:
    """Install the missing distributions of [host] requires.

    Uninstalls nothing. Use it after `uv tool upgrade`, on another machine or in a container, to get the same plugins.
    """
    from mcp_host.manage.environment import detect
    from mcp_host.plugins.requirements import installed_now, what_is_missing

    file = EditedFile.find(config)
    wanted = required(file)

    def missing() -> dict[str, str]:
        installed = installed_now(GROUP)
        return {each.text: why for each in wanted if (why := what_is_missing(each, installed))}

    before = after = missing()
    if before and not check:
        Installation.install(detect(), [each for each in wanted if each.text in before], upgrade=False, verbose=verbose)
        after = missing()
    installed = {plugin.name for plugin in discover()}
    not_installed = [
        name
        for name, section in file.config.plugins.items()
        if section.enabled
        and section.place is None
        and name not in installed
        # What runs in an environment of its own is installed there.
        and not (section.requirements or section.python)
    ]
    if after:
        not_installed = []  # the missing distributions may contain them
    if as_json:
        states = [{"requirement": each.text, "missing": after.get(each.text)} for each in wanted]
        done = [text for text in before if text not in after]
        print_json({"config": str(file.path), "requires": states, "installed": done, "not_installed": not_installed})
    else:
        for text in before:
            if text in after:
                say(f"missing: {text} ({after[text]})")
            else:
                say(f"Installed {text}.")
        for name in not_installed:
            problem = Problem(
                f"plugin {name!r} is enabled but not installed, and no entry of [host] requires contains it",
                file.config.where("plugins", name),
                f"mcp-host add {name}",
            )
            write(problem_text(problem, "error"), sys.stderr)
        if not wanted:
            say(f"{file.shown} has no [host] requires: `mcp-host add` writes it.")
        elif not before:
            say(f"All of [host] requires in {file.shown} is installed.")
        elif check:
            say(f"mcp-host sync{file.option} installs it.")
    return 1 if after or not_installed else 0
