"""`mcp-host doctor`: finds the entries of clients that no longer start this server, and what is wrong here."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mcp_host._version import __version__
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import coloured, print_json, problem_text, table, write
from mcp_host.config import HostConfig, find_config, load_config, python_file, user_dir
from mcp_host.errors import HostError, NeedsTokenError, Problem
from mcp_host.manage.clients.launch import Launch
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.clients.clientconfig import Client

_VERSION_TIMEOUT = 60.0
"""Seconds within which an entry's program must print its version."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    severity: Literal["error", "warning"]
    problem: Problem


@dataclass(frozen=True)
class _ClientEntry:
    """One entry of a client's file that starts mcp-host, or that has this configuration's URL."""

    client: Client
    path: Path
    project: bool
    name: str
    launch: Launch | None
    url: str | None

    @property
    def where(self) -> str:
        return f"{self.path}: {self.name}"

    @property
    def served(self) -> str:
        if self.launch is None:
            return self.url or ""
        return self.launch.config or "its working directory's"

    def hint(self, *, remove: bool) -> str:
        """Return the command that removes the entry, or writes it again."""
        options = f" --name {self.name}{' --project' if self.project else ''}"
        if remove:
            return f"mcp-host uninstall {self.client.name}{options}"
        config = self.launch.config if self.launch is not None else None
        option = f" --config {shlex.quote(config)}" if config is not None else ""
        return f"mcp-host install {self.client.name}{options}{option} --force"


def doctor(
    config: ConfigOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Start nothing: only read the files.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Find dead entries of clients, and what is wrong here.

    Looks at the files of all known clients, here and in the user's home: is what each entry starts still there, and
    does every plugin work as the client starts it? Looks also at the installed plugins, the configuration and the
    folders that are written. Changes nothing.
    """
    file = find_config(config, os.environ, Path.cwd())
    findings: list[Finding] = []
    settings: HostConfig | None = None
    try:
        settings = load_config(file)
    except HostError as error:
        findings += [Finding("error", problem) for problem in error.problems]
    about = _installation(findings)
    findings += _folders(settings)
    entries = list(_entries(settings, findings))
    if settings is not None and settings.path is not None and not quick:
        findings += _failing(Launch(_HERE, str(settings.path.absolute()), {}, None), environ=os.environ)
    states = [_look_at(entry, findings, quick=quick) for entry in entries]
    findings += _twice(entries)
    findings = list(dict.fromkeys(findings))
    if as_json:
        listed = [
            {"client": each.client.name, "file": str(each.path), "name": each.name, "serves": each.served, "ok": ok}
            for each, ok in zip(entries, states, strict=True)
        ]
        found = [{"severity": each.severity, **asdict(each.problem)} for each in findings]
        path = str(file) if file is not None else None
        print_json({"ok": not findings, "config": path, "installation": about, "entries": listed, "problems": found})
    else:
        _show(about, file, entries, states, findings)
    return 1 if findings else 0


_HERE = (sys.executable, "-P", "-m", "mcp_host")


def _show(
    about: Mapping[str, Any],
    file: Path | None,
    entries: Sequence[_ClientEntry],
    states: Sequence[bool],
    findings: Sequence[Finding],
) -> None:
    write(printable(f"mcp-host {about['mcp_host']}, mcp {about['mcp']}, Python {about['python']}"))
    write(printable(f"Installed in {about['prefix']}, by {about['installer'] or 'no program that is here'}."))
    write(printable(f"Plugins: {', '.join(about['plugins']) or 'none is installed'}"))
    write(printable(f"Configuration: {file or 'none here'}"))
    if entries:
        rows = [
            (each.client.name, each.name, each.served, "ok" if ok else "NO")
            for each, ok in zip(entries, states, strict=True)
        ]
        write("\n" + table(("client", "entry", "serves", "answer"), rows, sys.stdout))
    for each in findings:
        text = problem_text(each.problem, each.severity)
        colour: Literal["red", "yellow"] = "red" if each.severity == "error" else "yellow"
        write("\n" + coloured(each.severity, colour, sys.stdout) + text.removeprefix(each.severity))
    count = len(findings)
    verdict = coloured(f"Found {count} problem{'s' * (count != 1)}.", "red", sys.stdout)
    write("\n" + (verdict if findings else coloured("Nothing is wrong.", "green", sys.stdout)))


# This installation


def _installation(findings: list[Finding]) -> dict[str, Any]:
    """Return the versions of this installation, and add what is wrong with it."""
    from mcp_host.manage.environment import detect
    from mcp_host.plugins.discovery import GROUP
    from mcp_host.plugins.metadata import HOST_DISTRIBUTION, unreadable_entry_points
    from mcp_host.plugins.requirements import installed_now, unmet

    installed = installed_now(GROUP)
    installer = ""
    try:
        installer = " ".join(detect().tool)
    except HostError as error:
        findings.append(Finding("warning", error.problem))
    for key, each in sorted(installed.items()):
        if key == HOST_DISTRIBUTION or each.plugins:
            for needed in unmet(each, installed):
                problem = Problem(f"{each.label} needs {needed}, which is not installed", sys.prefix, "mcp-host sync")
                findings.append(Finding("error", problem))
    for label in unreadable_entry_points():
        hint = f"pip install --force-reinstall {label.partition(' ')[0]}"
        findings.append(Finding("warning", Problem(f"the entry points of {label} cannot be read", sys.prefix, hint)))
    sdk = installed.get("mcp")
    return {
        "mcp_host": __version__,
        "mcp": sdk.version if sdk is not None else None,
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "installer": installer,
        "plugins": [each.label for each in installed.values() if each.plugins],
    }


def _folders(settings: HostConfig | None) -> Iterator[Finding]:
    """Yield the folders that mcp-host writes and cannot write."""
    folders = {
        "plugins keep files": settings.data_dir if settings is not None else user_dir("data"),
        "mcp-host keeps what it remembers": user_dir("cache"),
    }
    for use, folder in folders.items():
        if folder is None:
            continue
        first = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        if not first.is_dir() or not os.access(first, os.W_OK | os.X_OK):
            reason = "is not a folder" if not first.is_dir() else "cannot be written"
            what = f"the folder where {use} cannot be used: {first} {reason}"
            yield Finding("error", Problem(what, str(folder), f"chmod u+rwx {shlex.quote(str(first))}"))


# The clients' entries


def _entries(settings: HostConfig | None, findings: list[Finding]) -> Iterator[_ClientEntry]:
    """Yield the entries of all clients that are about mcp-host, and add the files that cannot be read."""
    from mcp_host.manage.clients.clientconfig import ClientFile, entry_url, load_clients
    from mcp_host.manage.install import server_name, this_machine, url_of

    machine = this_machine()
    own_url = None
    if settings is not None and settings.transport.kind == "http" and settings.transport.port:
        own_url = url_of(settings)
    own_name = server_name(None, settings) if settings is not None and settings.path is not None else None
    seen = set()
    for client in load_clients().values():
        places = [(machine.locate(client)[0], False)]
        places += [(machine.cwd / client.project, True)] if client.project is not None else []
        for path, project in places:
            if not os.path.lexists(path) or (client.key, path) in seen:
                continue
            seen.add((client.key, path))
            try:
                found = ClientFile.read(client, path).entries()
            except HostError as error:
                findings.append(Finding("error", error.problem))
                continue
            for name, entry in found.items():
                launch = Launch.of(entry) if isinstance(entry, dict) else None
                url = entry_url(entry) if isinstance(entry, dict) else None
                if launch is not None or (url is not None and (url == own_url or name == own_name)):
                    yield _ClientEntry(client, path, project, name, launch, url)


def _look_at(entry: _ClientEntry, findings: list[Finding], *, quick: bool) -> bool:
    """Add what is wrong with one entry, and return whether it works."""
    found = list(_of_launch(entry, entry.launch, quick=quick) if entry.launch is not None else _of_url(entry, quick))
    findings += found
    return not any(each.severity == "error" for each in found)


def _of_url(entry: _ClientEntry, quick: bool) -> Iterator[Finding]:
    from mcp_host.manage.verify import answer

    if quick:
        return
    try:
        _, problems = answer({"url": entry.url})
    except NeedsTokenError:
        return  # it answers
    except HostError as error:
        yield Finding("error", Problem(error.what, entry.where, "mcp-host run   (starts the server)"))
    else:
        yield from (Finding("error", replace(each, where=entry.where)) for each in problems)


def _of_launch(entry: _ClientEntry, launch: Launch, *, quick: bool) -> Iterator[Finding]:
    from mcp_host.manage.clientenv import client_environment

    gone = _gone(entry, launch)
    if gone is not None:
        yield Finding("error", gone)
        return
    if _will_go(Path(launch.words[0])):
        what = f"{launch.words[0]} is in a cache, which may be deleted"
        yield Finding("warning", Problem(what, entry.where, entry.hint(remove=False)))
    version = launch.pinned or (None if quick or launch.words == _HERE else _version_of(launch))
    if version is not None and version != __version__:
        what = f"it starts mcp-host {version}, and this one is {__version__}"
        yield Finding("warning", Problem(what, entry.where, entry.hint(remove=False)))
    if not quick:
        for finding in _failing(launch):
            problem = finding.problem
            where = f"{problem.where}; {entry.where}" if problem.where else entry.where
            yield Finding("error", replace(problem, what=f"{entry.client.title}: {problem.what}", where=where))
    elif launch.config is not None:
        try:
            load_config(Path(launch.config), environ=client_environment(launch.env))
        except HostError as error:
            yield from (Finding("error", each) for each in error.problems)


def _gone(entry: _ClientEntry, launch: Launch) -> Problem | None:
    """Return what the entry needs and is not there any more."""
    program = launch.words[0]
    path = program if os.path.isabs(program) else shutil.which(program)
    again = entry.hint(remove=False)
    if path is None or not os.path.lexists(path):
        return Problem(f"the program that it starts is gone: {program}", entry.where, again)
    if not os.path.exists(path):
        what = f"the Python that it starts is gone: {path} leads to {os.path.realpath(path)}"
        return Problem(what, entry.where, again)
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        return Problem(f"the program that it starts cannot be run: {path}", entry.where, again)
    if (python := _interpreter(Path(path))) is not None and not os.path.exists(python):
        return Problem(f"the Python that it starts is gone: {path} is run by {python}", entry.where, again)
    if launch.config is not None:
        code = python_file(Path(launch.config))
        config = code[0] if code is not None else Path(launch.config)
        if not config.exists():
            return Problem(f"its configuration is gone: {config}", entry.where, entry.hint(remove=True))
    return None


def _interpreter(path: Path) -> str | None:
    """Return the program that runs a script, from its first line, or None for a program of another kind."""
    try:
        with path.open("rb") as file:
            first = file.readline(512)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    return os.fsdecode(first[2:]).strip().split(" ")[0] or None


def _will_go(program: Path) -> bool:
    """Return whether a program is in an environment that its tool deletes, or in the user's cache."""
    from mcp_host.manage.environment import temporary
    from mcp_host.manage.install import is_in_cache

    return is_in_cache(program) or temporary(program.parent.parent) is not None


def _version_of(launch: Launch) -> str | None:
    """Return the version of mcp-host that an entry starts, or None if it prints none."""
    from mcp_host.manage.clientenv import client_environment

    try:
        done = subprocess.run(
            [*launch.words, "--version"],
            cwd=Path(sys.executable).anchor,
            env=client_environment(launch.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_VERSION_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # `failures` reports why
    words = done.stdout.split()
    return words[1] if done.returncode == 0 and len(words) > 1 and words[0] == "mcp-host" else None


def _failing(launch: Launch, *, environ: Mapping[str, str] | None = None) -> list[Finding]:
    from mcp_host.cli.live import status
    from mcp_host.manage.verify import failures

    with status(f"Checking {launch.config or 'a configuration'} ..."):
        return [Finding("error", problem) for problem in failures(launch, environ=environ)]


def _twice(entries: Sequence[_ClientEntry]) -> Iterator[Finding]:
    """Yield the entries of one client that serve the same, so that the client has every tool twice."""
    served: dict[tuple[str, str], _ClientEntry] = {}
    for each in entries:
        first = served.setdefault((each.client.name, each.served), each)
        if first is not each:
            what = f"{each.client.title} has two entries for {each.served}: {first.name} and {each.name}"
            yield Finding("warning", Problem(what, each.where, each.hint(remove=True)))
