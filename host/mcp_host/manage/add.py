"""`mcp-host add`: installs plugins or writes tables for other servers, and shows what they contribute."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.live import status
from mcp_host.cli.output import print_json, problem_lines, records_table, write
from mcp_host.cli.registry import rest_of
from mcp_host.config.origins import dotted
from mcp_host.errors import HostError, InvalidConfigError
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

if TYPE_CHECKING:
    from mcp_host.manage.addserver import Added
    from mcp_host.plugins.records import PluginRecord


def add(
    context: typer.Context,
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help='A plugin, as for pip: a name, "name>=1.2", a path, a wheel. Or a server: uvx:NAME, npx:NAME, '
            "pypi:NAME, a URL, server.py or server.py:mcp. A server's own arguments come after --.",
        ),
    ] = None,
    editable: Annotated[
        list[str] | None,
        typer.Option("--editable", "-e", metavar="DIR", help="A project to install in place. May be repeated."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The name of the one server. Default: made from what it is.")
    ] = None,
    prefix: Annotated[
        bool,
        typer.Option("--prefix/--no-prefix", help="Put a server's name before its tools, so that no two are the same."),
    ] = True,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Install the newest version that fits.")] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add plugins and other MCP servers.

    A plugin is installed where mcp-host runs, and enabled. Uses the tool that made this environment: uv tool, pipx, uv
    or pip. mcp-host itself stays at its version. A distribution without a plugin that works here is uninstalled again.

    A server gets a table in mcp-host.toml, and is started when it is needed. uvx:NAME and pypi:NAME read the
    distribution's metadata: pypi:NAME gives what cannot live beside mcp-host an environment and a process of its own.
    A URL is asked whether it wants a login.

    Then loads what was added, starts a server once, and shows what it contributes.
    """
    from mcp_host.manage.configedit import enable_plugin, set_requires
    from mcp_host.manage.environment import detect

    file = EditedFile.find(config, create=True)
    servers, specs = _servers(specs or (), name, rest_of(context), file, prefix=prefix)
    wanted = wanted_of(specs, editable or (), file)
    if not wanted and not servers:
        hint = "mcp-host add --help"
        raise HostError("there is nothing to add", where="command line: mcp-host add", hint=hint)
    requires = merged(file, wanted) if wanted else file.config.host.requires
    environment = detect() if wanted else None
    shown: dict[str, Any] = {"environment": describe(environment)} if environment else {}

    def changed(text: str, plugins: Sequence[str] = ()) -> str:
        return set_requires(_with_servers(each_plugin(text, enable_plugin, plugins), servers), requires)

    if dry_run:
        file.apply(changed, write=False)
        if as_json:
            print_json({**file.to_json(dry_run), **shown})
            return
        file.report(dry_run)
        _report_servers(servers)
        if environment:
            say(f"Would install {names_of(wanted)} with {environment.installer} in {environment.prefix},")
            say("and enable their plugins.")
        return
    plugins: list[str] = []
    others: list[str] = []
    changes: list[dict[str, Any]] = []
    if environment:
        run = Installation.install(environment, wanted, upgrade=upgrade, verbose=verbose)
        with run.undone_on_error():
            plugins, others = run.plugins()
            file.apply(lambda text: changed(text, plugins), write=True)
        changes = run.changes()
    else:
        file.apply(changed, write=True)
    loaded = load(file, [*plugins, *(each.name for each in servers)])
    if as_json:
        data = {"installed": changes, "plugins": [record.to_json() for record in loaded or ()]}
        print_json({**file.to_json(dry_run), **shown, **data})
        return
    for change in changes:
        was = f" (was {change['before']})" if change["before"] else ""
        if change["asked"]:
            say(f"Installed {change['distribution']} {change['version']}{was}.")
    file.report(dry_run)
    _report_servers(servers)
    say(f"Enabled {', '.join([*plugins, *(each.name for each in servers)])} in {file.shown}.")
    if others:
        say(f"Also installed, but not enabled: {', '.join(others)}.")
    if loaded is not None:
        report_loaded(loaded, servers)
    if environment and environment.note:
        say(f"\nNote: {environment.note}")


def _servers(
    specs: Sequence[str], name: str | None, arguments: Sequence[str], file: EditedFile, *, prefix: bool
) -> tuple[list[Added], list[str]]:
    """Return the tables of the servers among the specs, and what pip is to install."""
    from mcp_host.manage.addserver import Added, ServerAdder, ServerSpec

    parsed = [(text, ServerSpec.parse(text)) for text in specs]
    servers = [spec for _, spec in parsed if spec is not None]
    for option, given in (("--name", name), ("--", arguments)):
        if given and (len(servers) != 1 or len(parsed) != 1):
            raise HostError(f"{option} is for one server", where=f"command line: {option}", hint="add the others later")
    adder = ServerAdder(file, arguments, _fetch, _wants_login, prefix)
    found: list[Added] = []
    others, problems = [], []
    for text, spec in parsed:
        try:
            added = adder.added(spec, name) if spec is not None else text
            if isinstance(added, Added) and any(each.name == added.name for each in found):
                raise HostError(f"two servers would have the name {added.name!r}", hint="add one of them with --name")
        except HostError as error:
            problems.append(replace(error.problem, where=error.where or "command line: mcp-host add"))
            continue
        if isinstance(added, Added):
            found.append(added)
        else:
            others.append(added)
    if problems:
        raise InvalidConfigError(problems)
    return found, others


def _fetch(requirement: str, folder: Path) -> None:
    from mcp_host.manage.environment import InstallerError, into_folder, run

    command = into_folder(requirement, folder)
    with status(f"Reading the metadata of {requirement} ..."):
        try:
            run([command])
        except InstallerError as error:
            write(error.output.strip(), sys.stderr)
            raise HostError(f"{requirement} could not be fetched: {error.what}", hint="see the output above") from None


def _wants_login(url: str) -> bool:
    from mcp_host.manage.asking import wanting_login

    with status(f"Asking {url} ..."):
        return bool(wanting_login([url]))


def _with_servers(text: str, servers: Sequence[Added]) -> str:
    from mcp_host.manage.configedit import add_plugin

    for each in servers:
        text = add_plugin(text, each.name, each.table.values)
    return text


def _report_servers(servers: Sequence[Added]) -> None:
    for each in servers:
        for note in each.notes:
            say(note)
        for note in dict.fromkeys(each.table.notes):
            say(f"Note: {each.name}: {note}.")
        for variable in each.table.variables:
            say(f"Set {variable.name} where mcp-host starts: its value is not written into the file.")
        program = each.table.values.get("command", [""])[0]
        if program in ("uvx", "npx") and shutil.which(program) is None:
            say(f"Note: {program} is not on PATH here. {_INSTALL[program]}")


_INSTALL = {"uvx": "It comes with uv: docs.astral.sh/uv", "npx": "It comes with Node.js: nodejs.org"}


_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
"""What looks like the name of a variable, in what a server wrote before it ended."""


def report_loaded(loaded: Sequence[PluginRecord], servers: Sequence[Added]) -> None:
    """Show the records of what was added, and which variables a server names that did not start."""
    write("\n" + records_table(loaded, sys.stdout))
    for record in loaded:
        for kind, served in asdict(record.contributed).items():
            if served:
                say(f"{record.name} {kind}: {', '.join(served)}")
    for line in problem_lines(loaded):
        write("\n" + line, sys.stderr)
    tables = {each.name: each.table.values for each in servers}
    for record in loaded:
        said = " ".join(each.what for each in (*([record.problem] if record.problem else []), *record.warnings))
        table = tables.get(record.name, {})
        wanted = [each for each in dict.fromkeys(_VARIABLE.findall(said)) if each not in table.get("env", {})]
        if "command" in table and wanted:
            lines = "\n".join(f'  env.{each} = {{ env = "{each}" }}' for each in wanted)
            write(f"\n{record.name} may want variables. In [{dotted(('plugins', record.name))}]:\n{lines}", sys.stderr)
