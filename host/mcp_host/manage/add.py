"""`mcp-host add`: installs plugins or writes tables for other servers, and shows what they contribute."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.live import status
from mcp_host.cli.output import print_json, problem_lines, problem_text, records_table, write
from mcp_host.cli.registry import rest_of
from mcp_host.config import parse_config
from mcp_host.config.origins import dotted
from mcp_host.errors import HostError, InvalidConfigError
from mcp_host.manage.distributions import Installation, Loaded, describe, load
from mcp_host.manage.editedfile import (
    DryRunOption,
    EditedFile,
    VerboseOption,
    each_plugin,
    guess,
    is_name,
    merged,
    names_of,
    say,
    wanted_of,
)
from mcp_host.plugins.discovery import GROUP
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.addserver import Added, Given
    from mcp_host.manage.candidates import Candidate
    from mcp_host.manage.downloads import File
    from mcp_host.manage.environment import Environment
    from mcp_host.manage.neededsettings import NeededSetting
    from mcp_host.plugins.requirements import Wanted


def add(
    context: typer.Context,
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHAT",
            help='A plugin: its name (stats: mcp-plugin-stats is installed), "DISTRIBUTION==1.2" or another range for '
            "a distribution with any name, a path, a wheel. Or a server: uvx:NAME, npx:NAME, pypi:NAME, a URL, "
            "server.py or server.py:mcp. A server's own arguments come after --.",
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
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--env-var",
            metavar="KEY=VALUE",
            help="A variable for the one server, which gets no others of yours. KEY alone takes its value where "
            "mcp-host starts; so does a value that looks secret. May be repeated.",
        ),
    ] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="'NAME: VALUE'", help="A header for the one URL. May be repeated."),
    ] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Install the newest version that fits.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Install what is found without a question, and ask for no settings.")
    ] = False,
    build: Annotated[
        bool,
        typer.Option("--allow-build", help="Build what has no wheel. Building a distribution runs its code."),
    ] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Add plugins and other MCP servers.

    A plugin is installed where mcp-host runs, and enabled. Uses the tool that made this environment: uv tool, pipx, uv
    or pip. mcp-host itself stays at its version.

    A name alone means a plugin: the installed one, or else mcp-plugin-NAME of the index. The file that is found is
    shown before it is installed: its name, version, SHA-256, plugins and programs. What comes from an index or a URL
    is installed only after you agree (--yes without a terminal), and exactly that file. A distribution without a
    plugin is refused. Nothing is built, but a project that is named by its folder.

    A server gets a table in mcp-host.toml, and is started when it is needed. uvx:NAME and pypi:NAME read the
    distribution's metadata: pypi:NAME gives what cannot live beside mcp-host an environment and a process of its own.
    A URL is asked whether it wants a login.

    Then loads what was added, runs its checks, starts a server once, and shows what it contributes, or what is missing.
    """
    from mcp_host.manage.addserver import Given

    with tempfile.TemporaryDirectory(prefix="mcp-host-") as folder:
        choice = _Choice(Path(folder), upgrade=upgrade, yes=yes, build=build, prefix=prefix)
        given = Given.parse(rest_of(context), variables or (), headers or ())
        return _add(
            choice, specs or (), editable or (), name, given, EditedFile.find(config, create=True),
            verbose=verbose, dry_run=dry_run, as_json=as_json,
        )  # fmt: skip


@dataclass(frozen=True)
class _Choice:
    """The options of the command about what is taken. `kept` is a folder for downloaded files."""

    kept: Path
    upgrade: bool
    yes: bool
    build: bool
    prefix: bool


def _add(
    choice: _Choice,
    specs: Sequence[str],
    editable: Sequence[str],
    name: str | None,
    given: Given,
    file: EditedFile,
    *,
    verbose: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    from mcp_host.manage.candidates import can_ask, confirm
    from mcp_host.manage.configedit import enable_plugin, set_requires
    from mcp_host.manage.environment import detect

    servers, specs = _servers(specs, name, given, file, choice)
    wanted = wanted_of(specs, editable, file)
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
            return 0
        file.report(dry_run)
        _report_servers(servers)
        if environment:
            say(f"Would install {names_of(wanted)} with {environment.installer} in {environment.prefix},")
            say("and enable their plugins.")
        return 0
    plugins: list[str] = []
    others: list[str] = []
    changes: list[dict[str, Any]] = []
    candidates = _candidates(environment, wanted, specs, choice) if environment else []
    confirm([*candidates, *(each.found for each in servers if each.found is not None)], yes=choice.yes)
    if environment:
        run = Installation.install(
            environment, wanted, upgrade=choice.upgrade, verbose=verbose, candidates=candidates, build=choice.build
        )
        with run.undone_on_error():
            plugins, others = run.plugins()
            file.apply(lambda text: changed(text, plugins), write=True)
        changes = run.changes()
    else:
        file.apply(changed, write=True)
    names = [*plugins, *(each.name for each in servers)]
    loaded = load(file, names)
    needed = _needed(file, loaded)
    if needed and not choice.yes and not as_json and can_ask() and _answered(file, needed):
        loaded = load(file, names)
        needed = _needed(file, loaded)
    ok = loaded is not None and loaded.ok
    if as_json:
        data: dict[str, Any] = {"installed": changes, "files": [each.to_json() for each in candidates]}
        data |= {"ok": ok, "plugins": [record.to_json() for record in loaded.records] if loaded else []}
        data["failed_checks"] = dict(loaded.failed_checks) if loaded else {}
        data["needed_settings"] = [asdict(each) for each in needed]
        print_json({**file.to_json(dry_run), **shown, **data})
        return 0 if ok else 1
    for change in changes:
        was = f" (was {change['before']})" if change["before"] else ""
        if change["asked"]:
            say(f"Installed {change['distribution']} {change['version']}{was}.")
    file.report(dry_run)
    _report_servers(servers)
    say(f"Enabled {', '.join(names)} in {file.shown}.")
    if others:
        say(f"Also installed, but not enabled: {', '.join(others)}.")
    if loaded is not None:
        report_loaded(loaded, servers)
    if environment and environment.note:
        say(f"\nNote: {environment.note}")
    if not ok:
        _report_unfinished(file, names, loaded, needed)
        return 1
    offer_clients(file, ask=not choice.yes and can_ask())
    return 0


def _candidates(
    environment: Environment, wanted: Sequence[Wanted], specs: Sequence[str], choice: _Choice
) -> list[Candidate]:
    from mcp_host.manage.candidates import Finder
    from mcp_host.manage.downloads import Downloads
    from mcp_host.plugins.requirements import installed_now

    downloads = Downloads(environment.downloader, choice.kept, choice.build)
    guesses = {guess(spec): spec for spec in specs if is_name(spec) and guess(spec) != spec}
    finder = Finder(environment, downloads, installed_now(GROUP), guesses)
    return finder.candidates(wanted, upgrade=choice.upgrade)


def _needed(file: EditedFile, loaded: Loaded | None) -> list[NeededSetting]:
    """Return the settings that the plugins that failed require and do not have."""
    from mcp_host.manage.neededsettings import needed_settings

    failed = [record.name for record in loaded.records if record.failed] if loaded is not None else []
    if not failed:
        return []
    config = parse_config(file.path.read_text(encoding="utf-8"), source=file.path, environ={})
    given = {name: section.settings for name, section in config.plugins.items()}
    return needed_settings(file.path, failed, given)


def _answered(file: EditedFile, needed: Sequence[NeededSetting]) -> bool:
    """Ask for settings, and write the answers into the tables that have no keys. Return whether one was written."""
    from mcp_host.manage.configedit import add_plugin, edit_file, remove_plugin

    tables = tomllib.loads(file.path.read_text(encoding="utf-8-sig")).get("plugins", {})
    answers: dict[str, dict[str, Any]] = {}
    for each in needed:
        if not tables.get(each.plugin) and (value := each.asked()) is not None:
            answers.setdefault(each.plugin, {})[each.key] = value

    def change(text: str) -> str:
        for name, settings in answers.items():
            text = add_plugin(remove_plugin(text, name)[0], name, {"settings": settings})
        return text

    if answers:
        edit_file(file.path, change)
    return bool(answers)


def _report_unfinished(
    file: EditedFile, names: Sequence[str], loaded: Loaded | None, needed: Sequence[NeededSetting]
) -> None:
    """Show what is missing before what was added works. The tables stay: most often only a setting is missing."""
    for name in names:
        lines = "\n".join(f"  {each.line}" for each in needed if each.plugin == name)
        if lines:
            write(printable(f"\n{name} requires settings. In [{dotted(('plugins', name))}]:\n{lines}"), sys.stderr)
    wrong = list(names)
    if loaded is not None and not loaded.refusal:
        wrong = [each.name for each in loaded.records if each.failed or each.name in loaded.failed_checks]
    text = f"\nNot finished: {', '.join(wrong)} is in {file.shown}, and does not work yet.\nCorrect it, then: "
    write(
        printable(
            f"{text}mcp-host check{file.option}   (or take it out: mcp-host remove {' '.join(wrong)}{file.option})"
        ),
        sys.stderr,
    )


def offer_clients(file: EditedFile, *, ask: bool) -> None:
    """Show, or with `ask` run, `mcp-host install` for the clients that are on this machine."""
    from mcp_host.manage.clients.clientconfig import load_clients
    from mcp_host.manage.install import this_machine

    machine = this_machine()
    try:
        found = {client.name: client.title for client in load_clients().values() if machine.locate(client)[1]}
    except HostError:  # there is no home folder
        found = {}
    if not found:
        return
    say("\nUse it in a client of this machine:")
    for name, title in found.items():
        say(f"  mcp-host install {name}{file.option}   ({title})")
    if not ask:
        return
    answer = typer.prompt("Install into which? Names, or none", default="none", err=True)
    for name in answer.replace(",", " ").split():
        if name in found:
            command = [sys.executable, "-P", "-m", "mcp_host", "install", name, "--config", str(file.path)]
            subprocess.run(command, check=False)
        elif name != "none":
            write(printable(f"{name} is not one of them"), sys.stderr)


def _servers(
    specs: Sequence[str], name: str | None, given: Given, file: EditedFile, choice: _Choice
) -> tuple[list[Added], list[str]]:
    """Return the tables of the servers among the specs, and what pip is to install."""
    from mcp_host.manage.addserver import Added, ServerAdder, ServerSpec

    parsed = [(text, ServerSpec.parse(text)) for text in specs]
    servers = [spec for _, spec in parsed if spec is not None]
    for option in [*(["--name"] if name else []), *given.options]:
        if len(servers) != 1 or len(parsed) != 1:
            raise HostError(f"{option} is for one server", where=f"command line: {option}", hint="add the others later")

    def fetch(requirement: str, folder: Path) -> File:
        from mcp_host.manage.downloads import Downloads
        from mcp_host.manage.environment import downloader

        with status(f"Reading the metadata of {requirement} ..."):
            return Downloads(downloader(), choice.kept, choice.build).fetch(requirement, folder)

    adder = ServerAdder(file, given, fetch, _wants_login, choice.prefix)
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


def report_loaded(loaded: Loaded, servers: Sequence[Added]) -> None:
    """Show the records of what was added, its failed checks, and the variables that a server that failed names."""
    records = loaded.records
    write("\n" + records_table(records, sys.stdout))
    for record in records:
        for kind, served in asdict(record.contributed).items():
            if served:
                say(f"{record.name} {kind}: {', '.join(served)}")
    for line in problem_lines(records):
        write("\n" + line, sys.stderr)
    for name, failed in loaded.failed_checks.items():
        for text in failed:
            write(printable(f"\nerror in plugin {name}: its check failed: {text}"), sys.stderr)
    if loaded.refusal is not None:
        write("\n" + problem_text(loaded.refusal, "error: mcp-host run would refuse to start"), sys.stderr)
    tables = {each.name: each.table.values for each in servers}
    for record in records:
        said = " ".join(each.what for each in (*([record.problem] if record.problem else []), *record.warnings))
        table = tables.get(record.name, {})
        wanted = [each for each in dict.fromkeys(_VARIABLE.findall(said)) if each not in table.get("env", {})]
        if "command" in table and wanted:
            lines = "\n".join(f'  env.{each} = {{ env = "{each}" }}' for each in wanted)
            write(f"\n{record.name} may want variables. In [{dotted(('plugins', record.name))}]:\n{lines}", sys.stderr)
