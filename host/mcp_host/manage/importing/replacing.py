"""Takes imported servers out of a client's file, and puts the host in, with the values of their variables."""

from __future__ import annotations

import copy
import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_host.config.references import MASK
from mcp_host.config.spotting import masked as hide_secrets
from mcp_host.errors import HostError
from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import Client, ClientFile, load_clients, merged
from mcp_host.manage.clients.clientconfig import masked as hide_values
from mcp_host.manage.clients.launch import served_config
from mcp_host.manage.importing.places import Place
from mcp_host.manage.importing.plan import Planned
from mcp_host.manage.importing.yamltext import YAMLTextError, with_entry


@dataclass(frozen=True)
class Replacement:
    """The new text of a client's file. `values` are the variables whose values the host's entry has."""

    path: Path
    client: Client | None
    before: str = field(repr=False)
    text: str = field(repr=False)
    taken: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Variables that the client took from elsewhere, and does not give to the host."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """The secrets in the file that are known."""

    def diff(self) -> str:
        """Return the change as the lines that differ, with secrets masked."""
        old, new = (text.replace("\r\n", "\n").splitlines() for text in (self.before, self.text))
        lines = difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm="", n=0)
        return "\n".join(self._masked(line) for line in lines)

    def _masked(self, line: str) -> str:
        for secret in sorted(self.secrets, key=len, reverse=True):
            for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]} - {""}:
                line = line.replace(form, MASK)
        return hide_values(hide_secrets(line), self.values)

    @property
    def backup(self) -> Path:
        """The path of the copy of the old file. It is another one each time, because it alone has the old values."""
        target = Path(os.path.realpath(self.path))
        names = [f"{target.name}.before-import", *(f"{target.name}.before-import-{n}" for n in range(2, 1000))]
        return next(path for name in names if not (path := target.with_name(name)).exists())

    def write(self) -> Path:
        """Write the file, after its backup.

        Raises:
            HostError: The file cannot be written, or it was changed since it was read.
        """
        file = ClientFile(self.client or UNKNOWN, self.path, self.before)
        backup = file.write(self.text, mode=0o600, backup=self.backup)
        assert backup is not None
        return backup


UNKNOWN: Final = Client("file", "the client", {}, "jsonc", "mcpServers", "Start the client again.", [])
"""Stands for a client that clients.toml does not have."""


def replacement(planned: Sequence[Planned], name: str, entry: Mapping[str, Any]) -> Replacement:
    """Return one file with the host in the place of its imported servers.

    `planned` are the entries of one file. `entry` is the host's entry, without variables.

    Raises:
        HostError: The file has another server with the host's name, or is written in a form that is not supported.
    """
    place = planned[0].place
    leaving = [one for one in planned if one.decision in ("imported", "same")]
    values = {
        variable.name: variable.value
        for one in leaving
        for variable in one.table.variables
        if variable.value is not None and one.place.path == place.path
    }
    elsewhere = [
        variable.name
        for one in leaving
        for variable in one.table.variables
        if variable.value is None and variable.name not in values
    ]
    host = {**entry, **({"env": values} if values else {})}
    if not place.keys:
        raise HostError("a file of this form is not changed", where=str(place.path), hint="change it by hand")
    form = _form_of(place)
    passed_on = list(dict.fromkeys(elsewhere)) if form.forwards else []
    if passed_on:
        host[form.forwards] = passed_on
    old_text = _text(place.path) or ""
    if place.path.suffix == ".toml":
        text = _toml(place, old_text, [one.entry for one in leaving], name, host)
    elif place.path.suffix in (".yaml", ".yml"):
        text = _yaml(place, old_text, [one.entry for one in leaving], name, host, form)
    else:
        text = _json(place.path, old_text, leaving, name, host, form)
    return Replacement(
        place.path,
        place.client,
        old_text,
        text,
        tuple(one.entry for one in leaving),
        tuple(values),
        tuple(dict.fromkeys(each for each in elsewhere if each not in passed_on)),
        frozenset(
            variable.value
            for one in planned
            for variable in one.table.variables
            if variable.value is not None and variable.is_secret
        ),
    )


@dataclass(frozen=True)
class _Form:
    """How a client writes a command's entry: its own keys, and those that the usual ones become.

    `forwards` is the key of the variables that the client passes on, if it has one.
    """

    own: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    forwards: str = ""
    in_one_list: bool = False
    """Whether the command is a list that has its arguments, too."""

    def merged(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of the usual form with what the old one has more. It goes on to pass on variables."""
        entry = merged(old, new)
        had = old.get(self.forwards) if old is not None and self.forwards else None
        if isinstance(had, list):
            entry[self.forwards] = [*had, *(each for each in new.get(self.forwards, ()) if each not in had)]
        return entry

    def written(self, entry: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return an entry of the usual form in this one."""
        usual = dict(entry)
        if self.in_one_list and "command" in usual:
            usual["command"] = [usual["command"], *usual.pop("args", [])]
        own = {
            key: value.replace("{name}", name) if isinstance(value, str) else value for key, value in self.own.items()
        }
        return {**own, **{self.renamed.get(key, key): value for key, value in usual.items()}}

    def usual(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return an entry of this form in the usual one."""
        back = {theirs: ours for ours, theirs in self.renamed.items()}
        usual = {back.get(key, key): value for key, value in entry.items()}
        if self.in_one_list and isinstance(usual.get("command"), list):
            usual["command"], *usual["args"] = usual["command"] or [""]
        return usual


_OPENCODE: Final = _Form({"type": "local", "enabled": True}, {"env": "environment"}, in_one_list=True)
_GOOSE: Final = _Form(
    {"type": "stdio", "name": "{name}", "enabled": True, "timeout": 300},
    {"command": "cmd", "env": "envs"},
    forwards="env_keys",
)
_CODEX: Final = _Form(forwards="env_vars")


def _form_of(place: Place) -> _Form:
    if place.path.suffix == ".toml":
        return _CODEX
    if place.path.suffix in (".yaml", ".yml") or place.keys == ("extensions",):
        return _GOOSE
    return _OPENCODE if place.keys == ("mcp",) else _Form()


def _yaml(place: Place, text: str, names: Sequence[str], name: str, entry: Mapping[str, Any], form: _Form) -> str:
    old = place.entries.get(name)
    usual = form.usual(old) if isinstance(old, Mapping) else None
    _refuse_other(place.path, name, usual, entry)
    try:
        return with_entry(text, place.keys, names, name, form.written(form.merged(usual, entry), name))
    except YAMLTextError as error:
        by_hand = f"take {', '.join(names)} out, and put in {name}: {json.dumps(form.written(entry, name))}"
        raise HostError(f"the file is not changed: {error}", where=str(place.path), hint=by_hand) from None


def _toml(place: Place, text: str, names: Iterable[str], name: str, entry: Mapping[str, Any]) -> str:
    client = place.client or load_clients()["codex"]
    file = ClientFile(client, place.path, text)
    for each in names:
        file = ClientFile(client, place.path, file.without_entry(each))
    old = file.entry(name)
    _refuse_other(place.path, name, old, entry)
    return file.with_entry(name, _CODEX.merged(old, entry))


def _json(path: Path, text: str, leaving: Sequence[Planned], name: str, entry: Mapping[str, Any], form: _Form) -> str:
    comments = not _is_strict(text)
    expected = copy.deepcopy(jsonc.read(text, comments=comments))
    places: dict[tuple[str, ...], Planned] = {}
    try:
        for one in leaving:
            text = jsonc.take(text, [*one.place.keys, one.entry], comments=comments)
            del _at(expected, one.place.keys)[one.entry]
            places.setdefault(one.place.keys, one)
        # The servers of all projects are those of the user, too.
        keys = [each for each in places if each[0] != "projects"] or list(places)
        for each in keys:
            servers = _at(expected, each)
            old = form.usual(servers[name]) if isinstance(servers.get(name), Mapping) else servers.get(name)
            _refuse_other(path, name, old, entry)
            servers[name] = form.written(form.merged(old, entry), name)
            text = jsonc.put(text, [*each, name], servers[name], comments=comments)
    except jsonc.JSONCError as error:
        raise HostError(f"the file cannot be changed: {error}", where=f"{path}:{error.line}") from None
    if jsonc.read(text, comments=comments) != expected:
        raise HostError("the file cannot be changed without changing more", where=str(path), hint="change it by hand")
    return text


def _refuse_other(path: Path, name: str, old: Any, new: Mapping[str, Any]) -> None:
    if old is None or (isinstance(old, Mapping) and served_config(old) == served_config(new)):
        return
    raise HostError(
        f"there is already another server {name!r}", where=str(path), hint="mcp-host install CLIENT --name OTHER"
    )


def _at(data: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        data = data[key]
    return data


def _is_strict(text: str) -> bool:
    try:
        json.loads(text.removeprefix("\ufeff"))
    except ValueError:
        return False
    return True


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise HostError("the file cannot be read", where=str(path)) from error
