"""`mcp-host enable`, `disable`, `add`, `remove` and `sync`: what is installed and switched on; imports no plugin."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Annotated

import typer

from mcp_host.cli import completion
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json, problem_lines, problem_text, records_table, write
from mcp_host.errors import ErrorCode, HostError, InvalidConfigError, Problem, closest
from mcp_host.manage.distributions import Installation, Leaving, describe, load, run_installer, status
from mcp_host.manage.editedfile import (
    EditedFile,
    done_word,
    each_plugin,
    guess,
    holds_more,
    merged,
    names_of,
    plugins_of,
    refuse_unknown,
    required,
    say,
    shown,
    wanted_of,
)
from mcp_host.plugins.discovery import GROUP, check_compatible, discover, find

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the installer writes.")]


def enable(
    names: Annotated[
        list[str], typer.Argument(metavar="PLUGIN", help="Installed plugins.", autocompletion=completion.other_plugins)
    ],
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch on installed plugins: name them in mcp-host.toml.

    Imports none of them.
    """
    from mcp_host.manage.configedit import enable_plugin

    installed = discover()
    file = EditedFile.find(config, create=True, installed=installed)
    names = [each for name in names for each in plugins_of(name, installed, file.config.plugins)]
    problems = []
    for name in names:
        section = file.config.plugins.get(name)
        try:
            if section is None or section.object is None:
                check_compatible(find(name, installed))
        except HostError as error:
            problem = error.problem
            if problem.code == ErrorCode.NOT_INSTALLED:
                meant = closest(name, {plugin.name for plugin in installed})
                problem = replace(problem, hint=f"mcp-host enable {meant}" if meant else f"mcp-host add {guess(name)}")
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
        say(f"{name} is enabled already." if name in before else f"{done_word('Enabled', dry_run)} {name}.")
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
    """Switch off plugins and keep their settings.

    Writes enabled = false into their tables. Imports none of them.
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


def add(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="DISTRIBUTION", help='As pip takes it: a name, "name>=1.2", a path, a wheel, a URL.'),
    ] = None,
    editable: Annotated[
        list[str] | None,
        typer.Option("--editable", "-e", metavar="DIR", help="A project to install in place. May be repeated."),
    ] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Install the newest version that fits.")] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Install plugins where mcp-host runs, and switch them on.

    With whatever made this environment: uv tool, pipx, uv or pip. mcp-host itself stays at its version. Then loads the
    plugins and shows what they contribute. What brings no plugin that fits is uninstalled again.
    """
    from mcp_host.manage.configedit import enable_plugin, set_requires
    from mcp_host.manage.environment import detect

    file = EditedFile.find(config, create=True)
    wanted = wanted_of(specs or (), editable or (), file)
    if not wanted:
        hint = "mcp-host add --help"
        raise HostError("there is nothing to add", where="command line: mcp-host add", hint=hint)
    requires = merged(file, wanted)
    environment = detect()
    if dry_run:
        file.apply(lambda text: set_requires(text, requires), write=False)
        if as_json:
            print_json({**file.to_json(dry_run), "environment": describe(environment)})
            return
        file.report(dry_run)
        say(f"Would install {names_of(wanted)} with {environment.installer} in {environment.prefix},")
        say("and enable the plugins that this brings.")
        return
    run = Installation.install(environment, wanted, upgrade=upgrade, verbose=verbose)
    with run.undone_on_error():
        plugins, others = run.plugins()
        file.apply(lambda text: set_requires(each_plugin(text, enable_plugin, plugins), requires), write=True)
    loaded = load(file, plugins)
    if as_json:
        data = {"installed": run.changes(), "plugins": [record.to_json() for record in loaded or ()]}
        print_json({**file.to_json(dry_run), "environment": describe(environment), **data})
        return
    for change in run.changes():
        was = f" (was {change['before']})" if change["before"] else ""
        if change["asked"]:
            say(f"Installed {change['distribution']} {change['version']}{was}.")
    file.report(dry_run)
    say(f"Enabled {', '.join(plugins)} in {file.shown}.")
    if others:
        say(f"Installed as well, and not enabled: {', '.join(others)}.")
    if loaded is not None:
        write("\n" + records_table(loaded, sys.stdout))
        for record in loaded:
            for kind, served in asdict(record.contributed).items():
                if served:
                    say(f"{record.name} {kind}: {', '.join(served)}")
        for line in problem_lines(loaded):
            write("\n" + line, sys.stderr)
    if environment.note:
        say(f"\nNote: {environment.note}")


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
    """Take plugins out of mcp-host.toml and uninstall them.

    Shows the lines it takes out, and keeps the file as it was as mcp-host.toml.bak if they held anything. A
    distribution stays when another plugin in the file comes from it, or another distribution needs it.
    """
    from mcp_host.manage.configedit import masked, remove_plugin, set_requires
    from mcp_host.manage.environment import detect, run
    from mcp_host.manage.requirements import installed_now

    file = EditedFile.find(config)
    plugins, distributions = discover(), installed_now(GROUP)
    leaving = Leaving.of(names, file, plugins, distributions)
    environment = detect() if leaving.uninstall else None
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
        data = {"removed": masked(removed), "uninstalled": leaving.uninstall, "kept": leaving.kept}
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
        say(f"The file as it was: {shown(backup)}")
    for name, why in leaving.kept.items():
        say(f"{name} stays installed: {why}.")
    if leaving.uninstall:
        say(f"{done_word('Uninstalled', dry_run)} {', '.join(leaving.uninstall)}.")


def sync(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what is missing, and exit with 1 if anything is.")
    ] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> int:
    """Install what [host] requires names and is missing.

    Uninstalls nothing. After `uv tool upgrade`, on another machine, in a container: the same plugins again.
    """
    from mcp_host.manage.environment import detect
    from mcp_host.manage.requirements import installed_now, what_is_missing

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
    homeless = [
        name
        for name, section in file.config.plugins.items()
        if section.enabled and section.object is None and name not in installed
    ]
    if after:
        homeless = []  # they may come with what is missing
    if as_json:
        states = [{"requirement": each.text, "missing": after.get(each.text)} for each in wanted]
        done = [text for text in before if text not in after]
        print_json({"config": str(file.path), "requires": states, "installed": done, "not_installed": homeless})
    else:
        for text in before:
            if text in after:
                say(f"missing: {text} ({after[text]})")
            else:
                say(f"Installed {text}.")
        for name in homeless:
            problem = Problem(
                f"plugin {name!r} is enabled, not installed, and nothing in [host] requires brings it",
                file.config.where("plugins", name),
                f"mcp-host add {guess(name)}",
            )
            write(problem_text(problem, "error"), sys.stderr)
        if not wanted:
            say(f"{file.shown} has no [host] requires: `mcp-host add` writes it.")
        elif not before:
            say(f"All of [host] requires in {file.shown} is installed.")
        elif check:
            say(f"mcp-host sync{file.option} installs it.")
    return 1 if after or homeless else 0
