"""Decides what happens to each server of the clients' files: its name, its table, or why it is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mcp_host.config import HostConfig
from mcp_host.config.origins import dotted
from mcp_host.config.references import is_reference
from mcp_host.config.values import PLUGIN_NAME
from mcp_host.manage.importing.entries import Server, read_entry
from mcp_host.manage.importing.places import Place
from mcp_host.manage.importing.substitutes import NotImportedError, Surroundings
from mcp_host.manage.importing.tables import IsHostError, Table, TableMaker
from mcp_host.manage.importing.variables import Variable, Variables

Decision = Literal["imported", "same", "host", "refused"]
"""What happens to an entry: it becomes a table; such a table is there already; it starts mcp-host; it has no form."""


@dataclass(frozen=True)
class Planned:
    """One entry of a client's file, and what happens to it. `name` is the plugin's, and `why` the reason, if any."""

    place: Place
    entry: str
    decision: Decision
    name: str = ""
    why: str = ""
    table: Table = field(default_factory=lambda: Table({}))

    @property
    def key(self) -> str:
        """The key of the entry in the file."""
        return dotted((*self.place.keys, self.entry))


@dataclass(frozen=True)
class Settings:
    """What the tables depend on besides the entries. `reserved` are the names of variables in use."""

    config: HostConfig
    base: Path
    home: Path
    environ: Mapping[str, str] = field(repr=False)
    prefix: bool = True
    own_url: str | None = None
    reserved: frozenset[str] = frozenset()


def plan(places: Iterable[Place], settings: Settings, only: Sequence[str] = ()) -> list[Planned]:
    """Return what happens to each entry of the places. `only` are the names of the entries to import, or empty."""
    chosen = [
        (place, name, entry) for place in places for name, entry in place.entries.items() if not only or name in only
    ]
    reserved = {name for _, _, entry in chosen for name in _referred(entry)} | settings.reserved
    variables = Variables(reserved, settings.environ)
    taken = {name: _stated(section) for name, section in settings.config.plugins.items()}
    planned = []
    for place, entry_name, entry in chosen:
        one = _planned(place, entry_name, entry, settings, variables, taken)
        if one.decision == "imported":
            taken[one.name] = one.table.values
        planned.append(one)
    return planned


def _planned(
    place: Place,
    entry_name: str,
    entry: object,
    settings: Settings,
    variables: Variables,
    taken: Mapping[str, Mapping[str, Any]],
) -> Planned:
    planned = Planned(place, entry_name, "imported")
    name = plugin_name(entry_name)
    try:
        server = read_entry(entry, place.client.name if place.client is not None else "")
        # What the table would be, to compare it. Its variables are not given out.
        made = _table(place, planned.key, name, server, settings, Variables())
    except IsHostError:
        return replace(planned, decision="host", why="it starts mcp-host itself")
    except NotImportedError as error:
        return replace(planned, decision="refused", why=str(error))
    candidate = next(
        each
        for each in _names(name, place.label)
        if each not in taken or _identity(taken[each]) == _identity(made.values)
    )
    if candidate in taken:
        why = f"[{dotted(('plugins', candidate))}] is the same server"
        variables_there = _renamed(made, taken[candidate])
        return replace(planned, decision="same", name=candidate, why=why, table=Table({}, variables_there))
    table = _table(place, planned.key, candidate, server, settings, variables)
    why = ""
    if candidate != entry_name:
        is_taken = name in taken
        why = f"the name {name!r} is taken by another server" if is_taken else "its own name is not a plugin's name"
    return replace(planned, name=candidate, table=table, why=why)


def _table(place: Place, where: str, name: str, server: Server, settings: Settings, variables: Variables) -> Table:
    around = Surroundings(settings.environ, settings.home, place.project or settings.base, place.syntax)
    maker = TableMaker(
        name,
        where,
        around,
        variables,
        project=place.project,
        base=settings.base,
        beside=place.path.absolute().parent,
        prefix=prefix_of(name) if settings.prefix else "",
        own_url=settings.own_url,
    )
    return maker.table(server)


def used_variables(config: HostConfig) -> frozenset[str]:
    """Return the names of the variables that the plugins' tables refer to."""

    def names(value: object) -> Iterator[str]:
        if is_reference(value):
            assert isinstance(value, Mapping)
            yield from [value["env"]] if "env" in value else []
        elif isinstance(value, Mapping | list):
            for inner in value.values() if isinstance(value, Mapping) else value:
                yield from names(inner)

    tables = [
        part
        for each in config.plugins.values()
        for part in (each.env, each.headers, each.settings, each.command, each.url, each.auth and each.auth.secrets)
    ]
    return frozenset(name for part in tables for name in names(part))


def plugin_name(text: str) -> str:
    """Return the name of a plugin for the name of a server: `-` for what a plugin's name may not have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-").lstrip(".-")
    return name if re.fullmatch(PLUGIN_NAME, name) else "server"


def prefix_of(name: str) -> str:
    """Return the prefix that keeps the tools of a server apart from those of others."""
    return f"{re.sub('[^A-Za-z0-9]+', '_', name).strip('_') or 'server'}_"


def variables_of(planned: Iterable[Planned]) -> dict[str, list[tuple[Planned, Variable]]]:
    """Return the variables that the imported tables refer to, by name, with the entries that have them."""
    found: dict[str, list[tuple[Planned, Variable]]] = {}
    for one in planned:
        for variable in one.table.variables:
            found.setdefault(variable.name, []).append((one, variable))
    return found


def _names(name: str, label: str) -> Iterator[str]:
    yield name
    yield (with_label := f"{name}-{plugin_name(label)}")
    yield from (f"{with_label}-{number}" for number in range(2, 1000))


def _stated(section: Any) -> dict[str, Any]:
    return {key: getattr(section, key) for key in ("command", "url", "env", "headers") if getattr(section, key)}


def _identity(values: Mapping[str, Any]) -> str:
    """Return a text that is the same for tables of the same server, whatever its variables are called."""
    command = [_without_names(word) for word in values.get("command") or ()]
    env = {name: _without_names(value) for name, value in values.get("env", {}).items()}
    headers = {name.lower(): _without_names(value) for name, value in values.get("headers", {}).items()}
    return json.dumps([command, _without_names(values.get("url")), env, headers], sort_keys=True)


def _renamed(made: Table, there: Mapping[str, Any]) -> list[Variable]:
    """Return the variables of a table, with the names that the same table in the file has for them."""
    pairs: list[tuple[Any, Any]] = [(made.values.get("url"), there.get("url"))]
    pairs += zip(made.values.get("command", ()), there.get("command", ()), strict=False)
    for part in ("env", "headers"):
        pairs += [(value, there.get(part, {}).get(key)) for key, value in made.values.get(part, {}).items()]
    names: dict[str, str] = {}
    for value, other in pairs:
        if is_reference(value) and is_reference(other) and "env" in value and "env" in other:
            names[value["env"]] = other["env"]
    return [replace(variable, name=names[variable.name]) for variable in made.variables if variable.name in names]


def _without_names(value: Any) -> Any:
    return {"format": value.get("format", "{}")} if is_reference(value) else value


def _referred(entry: object) -> Iterator[str]:
    """Yield the names of variables that the texts of an entry refer to."""
    if isinstance(entry, str):
        yield from re.findall(r"\$\{?(?:env:)?([A-Za-z_][A-Za-z0-9_]*)", entry)
        yield from re.findall(r"\{env:([A-Za-z_][A-Za-z0-9_]*)", entry)
    elif isinstance(entry, Mapping):
        for key, value in entry.items():
            if key in ("env_vars", "env_keys", "env_http_headers", "bearer_token_env_var"):
                yield from _names_in(value)
            yield from _referred(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from _referred(value)


def _names_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _names_in(inner)
