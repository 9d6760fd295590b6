"""`mcp-host add`: installs plugins, enables them, and shows what they contribute."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json, problem_lines, records_table, write
from mcp_host.errors import HostError
from mcp_host.manage.distributions import Installation, describe, load
from mcp_host.manage.editedfile import (
    DryRunOption,
    EditedFile,
    VerboseOption,
    each_plugin,
    merged,
    names_of,
    say,
    wanted_of,
)


def add(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="DISTRIBUTION", help='As for pip: a name, "name>=1.2", a path, a wheel, a URL.'),
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
    """Install plugins where mcp-host runs, and enable them.

    Uses the tool that made this environment: uv tool, pipx, uv or pip. mcp-host itself stays at its version. Then loads
    the plugins and shows what they contribute. A distribution without a plugin that works here is uninstalled again.
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
        say("and enable their plugins.")
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
        say(f"Also installed, but not enabled: {', '.join(others)}.")
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
