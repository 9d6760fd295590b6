"""`mcp-host import`: writes the servers that MCP clients have into mcp-host.toml, without their secrets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.live import status
from mcp_host.cli.output import print_json, problem_text, table, write
from mcp_host.errors import HostError, Problem, did_you_mean
from mcp_host.manage.editedfile import DryRunOption, EditedFile, say
from mcp_host.system.texts import one_line, printable

if TYPE_CHECKING:
    from mcp_host.manage.importing.places import Found, Place
    from mcp_host.manage.importing.plan import Planned
    from mcp_host.manage.importing.replacing import Replacement


_LONGEST_SOURCE = 60
"""The most characters of a command or URL in the report."""


def import_(
    what: Annotated[
        str | None,
        typer.Argument(metavar="CLIENT | FILE", help="claude-desktop, cursor, vscode ..., or a client's file."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--server", "-s", metavar="NAME", help="Import only this server. May be repeated."),
    ] = None,
    prefix: Annotated[
        bool,
        typer.Option(
            "--prefix/--no-prefix", help="Put the server's name before its tools, so that no two are the same."
        ),
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Then put mcp-host in the place of the servers in the client's file.")
    ] = False,
    config: ConfigOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Import from all clients that are found, without a question.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import the servers that MCP clients have.

    Without an argument, it shows the clients whose files are found, and asks. Each server becomes a table in
    mcp-host.toml. A secret is never copied: the table refers to a variable, and the output shows which variables to set
    and where their values are now. No table is overwritten. --replace keeps a copy of the client's file beside it.
    """
    from mcp_host.manage.importing.plan import plan

    machine_places = _places(what, yes=yes, as_json=as_json)
    places = [place for found in machine_places for place in found.places]
    _refuse_unknown(only or (), places)
    file = EditedFile.find(config, create=True)
    planned = plan(places, _settings(file, prefix), only or ())
    imported = [one for one in planned if one.decision == "imported"]
    logins = _with_logins(imported)
    file.apply(lambda text: _with_tables(text, imported), write=not dry_run and bool(imported))
    asked = not (replace or dry_run or as_json) and _can_ask()
    if as_json:
        replaced = [] if not replace or dry_run else [each for each, _ in _replace(planned, file)]
        print_json(
            {**file.to_json(dry_run), **_to_json(planned), "replaced": [_replaced_json(each) for each in replaced]}
        )
    else:
        _report(planned, file, dry_run)
        if replace and dry_run:
            for each in _replacements(planned, file):
                say(f"\nWould take {', '.join(each.taken)} out of {each.path} and put mcp-host in:\n\n{each.diff()}")
                _report_values(each)
        elif replace or (asked and _wants_replacement(planned)):
            for each, backup in _replace(planned, file):
                _report_replaced(each, backup)
        elif imported and not dry_run:
            for one in logins:
                say(f"\n{one.name} wants a login: mcp-host login {one.name}{file.option}")
            say(f"\nNext: mcp-host check{file.option}")
    if any(one.decision == "refused" for one in planned) or any(found.error for found in machine_places):
        raise typer.Exit(1)


# --- What to import from


def _places(what: str | None, *, yes: bool, as_json: bool) -> list[Found]:
    from mcp_host.manage.importing.places import find, find_all
    from mcp_host.manage.install import this_machine

    if what is not None:
        found = find(what, this_machine())
        for each in found:
            if each.error is not None:
                raise each.error
        return found
    found = [each for each in find_all(this_machine()) if each.places or each.error is not None]
    for each in found:
        if each.error is not None:
            write(problem_text(each.error.problem, "warning"), sys.stderr)
    readable = [each for each in found if each.places]
    if not readable:
        raise HostError("no client here has MCP servers", hint="mcp-host import FILE")
    if yes:
        return found
    if not as_json:
        rows = [(str(n), _title(each), ", ".join(_names(each)), str(each.path)) for n, each in enumerate(readable, 1)]
        write(table(("", "client", "servers", "file"), rows, sys.stdout))
    if as_json or not _can_ask():
        raise HostError(
            "import from which client?",
            where="command line: CLIENT or FILE",
            hint="mcp-host import CLIENT, or --yes for all",
        )
    return _chosen(readable)


def _chosen(found: Sequence[Found]) -> list[Found]:
    while True:
        answer = typer.prompt("\nImport from which? Numbers, all, or none", default="all", err=True)
        words = answer.replace(",", " ").split()
        if words == ["none"]:
            raise typer.Exit(0)
        if words == ["all"]:
            return list(found)
        if words and all(word.isdigit() and 1 <= int(word) <= len(found) for word in words):
            return [found[int(word) - 1] for word in dict.fromkeys(words)]
        write(f"1 to {len(found)}, such as: 1 2", sys.stderr)


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _title(found: Found) -> str:
    return found.client.title if found.client is not None else found.path.name


def _names(found: Found) -> list[str]:
    return list(dict.fromkeys(name for place in found.places for name in place.entries))


def _refuse_unknown(only: Iterable[str], places: Sequence[Place]) -> None:
    known = {name for place in places for name in place.entries}
    for name in only:
        if name not in known:
            raise HostError(
                f"there is no server {name!r}{did_you_mean(name, known)}",
                where="command line: --server",
                hint=f"servers: {', '.join(sorted(known))}",
            )


def _settings(file: EditedFile, prefix: bool) -> Any:
    from mcp_host.manage.importing.plan import Settings, used_variables
    from mcp_host.manage.install import url_of

    own_url = None
    if file.config.transport.kind == "http" and file.config.transport.port:
        own_url = url_of(file.config)
    return Settings(
        config=file.config,
        base=file.path.absolute().parent,
        home=Path.home(),
        environ=os.environ,
        prefix=prefix,
        own_url=own_url,
        reserved=used_variables(file.config),
    )


def _with_logins(imported: Sequence[Planned]) -> list[Planned]:
    """Write `auth` for the remote servers that want a login. Return these, and those that have it from their entry."""
    from mcp_host.manage.asking import wanting_login

    def has_none(one: Planned) -> bool:
        values = one.table.values
        named = {name.lower() for name in values.get("headers", {})}
        return isinstance(values.get("url"), str) and "auth" not in values and "authorization" not in named

    asked = [one for one in imported if has_none(one)]
    if asked:
        with status("Asking remote servers whether they want a login ..."):
            wanting = wanting_login([one.table.values["url"] for one in asked])
        for one in asked:
            if one.table.values["url"] in wanting:
                one.table.values["auth"] = "oauth"
    return [one for one in imported if "auth" in one.table.values]


def _with_tables(text: str, imported: Sequence[Planned]) -> str:
    from mcp_host.manage.configedit import add_plugin

    for one in imported:
        text = add_plugin(text, one.name, one.table.values)
    return text


# --- The report


def _report(planned: Sequence[Planned], file: EditedFile, dry_run: bool) -> None:
    imported = [one for one in planned if one.decision == "imported"]
    if imported:
        file.report(dry_run)
        rows = [(one.name, _from(one), one.key, _source(one)) for one in imported]
        write(table(("plugin", "from", "key", "serves"), rows, sys.stdout))
        say(f"\n{'Would import' if dry_run else 'Imported'} {_count(len(imported))} into {file.shown}.")
    else:
        say("Nothing is imported.")
    for one in planned:
        if one.decision in ("same", "host"):
            say(f"Left out: {one.entry}: {one.why}.")
    for one in imported:
        for note in [*([one.why] if one.why else []), *dict.fromkeys(one.table.notes)]:
            say(f"Note: {one.name}: {note}.")
    dropped: dict[str, list[str]] = {}
    for one in imported:
        for key in one.table.dropped:
            dropped.setdefault(key, []).append(one.name)
    if dropped:
        keys = ", ".join(f"{key} ({', '.join(names)})" for key, names in sorted(dropped.items()))
        say(f"Dropped, because mcp-host has no such key: {one_line(keys)}.")
    for one in planned:
        if one.decision == "refused":
            where = f"{one.place.path}: {one.key}"
            write(problem_text(Problem(f"{one.entry} is not imported: {one.why}", where), "warning"), sys.stderr)
    _report_variables(imported)


def _report_variables(imported: Sequence[Planned]) -> None:
    from mcp_host.manage.importing.plan import variables_of

    found = variables_of(imported)
    if not found:
        return
    rows = []
    for name, uses in found.items():
        one, variable = uses[0]
        plugins = ", ".join(dict.fromkeys(each.name for each, _ in uses))
        where = variable.where if os.sep in variable.where else f"{one.place.path}: {variable.where}"
        rows.append((name, plugins, "yes" if os.environ.get(name) else "no", where))
    write("\n" + table(("variable to set", "for", "set here", "its value or its name is now in"), rows, sys.stdout))


def _source(one: Planned) -> str:
    from mcp_host.config import PluginSection

    text = PluginSection.model_validate(one.table.values).place or ""
    return text if len(text) <= _LONGEST_SOURCE else f"{text[:_LONGEST_SOURCE]} ..."


def _from(one: Planned) -> str:
    return one.place.client.title if one.place.client is not None else one.place.path.name


def _count(number: int) -> str:
    return "1 server" if number == 1 else f"{number} servers"


def _to_json(planned: Sequence[Planned]) -> dict[str, Any]:
    from mcp_host.manage.importing.plan import variables_of

    def entry(one: Planned) -> dict[str, Any]:
        client = one.place.client.name if one.place.client is not None else None
        return {"entry": one.entry, "client": client, "file": str(one.place.path), "key": one.key}

    imported = [one for one in planned if one.decision == "imported"]
    return {
        "imported": [
            {
                "plugin": one.name,
                **entry(one),
                "table": one.table.values,
                "notes": [*([one.why] if one.why else []), *dict.fromkeys(one.table.notes)],
                "dropped": one.table.dropped,
            }
            for one in imported
        ],
        "left_out": [{**entry(one), "why": one.why} for one in planned if one.decision in ("same", "host")],
        "refused": [{**entry(one), "why": one.why} for one in planned if one.decision == "refused"],
        "variables": [
            {
                "name": name,
                "plugins": list(dict.fromkeys(one.name for one, _ in uses)),
                "set": bool(os.environ.get(name)),
                "where": [{"file": str(one.place.path), "key": variable.where} for one, variable in uses],
            }
            for name, uses in variables_of(imported).items()
        ],
    }


# --- The host in the place of the servers


def _leaving(planned: Sequence[Planned]) -> Mapping[Path, list[Planned]]:
    """Return the entries that can leave each file."""
    leaving = [one for one in planned if one.decision in ("imported", "same")]
    ordered = sorted(leaving, key=lambda one: str(one.place.path))
    return {path: list(each) for path, each in groupby(ordered, key=lambda one: one.place.path)}


def _wants_replacement(planned: Sequence[Planned]) -> bool:
    files = _leaving(planned)
    if not files:
        return False
    write("", sys.stderr)
    for path, leaving in files.items():
        write(printable(f"{path}: {', '.join(one.entry for one in leaving)}"), sys.stderr)
    question = "Take these out of the client's file and put mcp-host in? A copy of the file is kept."
    return bool(typer.confirm(question, default=False, err=True))


def _replace(planned: Sequence[Planned], file: EditedFile) -> list[tuple[Replacement, Path]]:
    """Replace the servers in every file. All new texts are made before the first one is written."""
    return [(each, each.write()) for each in _replacements(planned, file)]


def _replacements(planned: Sequence[Planned], file: EditedFile) -> list[Replacement]:
    from mcp_host.config import parse_config
    from mcp_host.manage.clients.clientconfig import ClientFile
    from mcp_host.manage.importing.replacing import replacement
    from mcp_host.manage.install import command_entry, server_name

    if not _leaving(planned):
        return []
    assert file.edit is not None
    settings = parse_config(file.edit.after, source=file.path, environ={})
    name = server_name(None, settings)
    replacements = []
    for path, leaving in _leaving(planned).items():
        client = leaving[0].place.client
        target = ClientFile(client, path, None) if client is not None else None
        replacements.append(replacement(leaving, name, command_entry(target, settings, {})))
    return replacements


def _report_replaced(each: Replacement, backup: Path) -> None:
    say(f"\nPut mcp-host in the place of {', '.join(each.taken)} in {each.path}")
    say(f"The old file: {backup}")
    _report_values(each)
    if each.client is not None:
        say(each.client.after)


def _report_values(each: Replacement) -> None:
    if each.values:
        say(f"The entry of mcp-host there has the values of {', '.join(each.values)}.")
    if each.missing:
        names = ", ".join(each.missing)
        say(f"It does not have {names}, whose values are not in the file: set them where the client starts.")


def _replaced_json(each: Replacement) -> dict[str, Any]:
    shown = {key: value for key, value in asdict(each).items() if key in ("taken", "values", "missing")}
    return {"file": str(each.path), **shown}
