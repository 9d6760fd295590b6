"""Takes imported servers out of a client's file, and puts the host in, with the values of their variables."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_host.errors import HostError
from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import Client, ClientFile, load_clients, merged
from mcp_host.manage.clients.launch import served_config
from mcp_host.manage.importing.places import Place
from mcp_host.manage.importing.plan import Planned


@dataclass(frozen=True)
class Replacement:
    """The new text of a client's file. `values` are the variables whose values the host's entry has."""

    path: Path
    client: Client | None
    before: str = field(repr=False)
    text: str = field(repr=False)
    taken: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

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
    host = {**entry, **({"env": values} if values else {})}
    is_opencode = place.keys == ("mcp",) or (place.client is not None and place.client.name == "opencode")
    if place.path.suffix in (".yaml", ".yml") or is_opencode or not place.keys:
        raise HostError("a file of this form is not changed", where=str(place.path), hint="change it by hand")
    old_text = _text(place.path) or ""
    if place.path.suffix == ".toml":
        text = _toml(place, old_text, [one.entry for one in leaving], name, host)
    else:
        text = _json(place.path, old_text, leaving, name, host)
    return Replacement(place.path, place.client, old_text, text, tuple(one.entry for one in leaving), tuple(values))


def _toml(place: Place, text: str, names: Iterable[str], name: str, entry: Mapping[str, Any]) -> str:
    client = place.client or load_clients()["codex"]
    file = ClientFile(client, place.path, text)
    for each in names:
        file = ClientFile(client, place.path, file.without_entry(each))
    old = file.entry(name)
    _refuse_other(place.path, name, old, entry)
    return file.with_entry(name, merged(old, entry))


def _json(path: Path, text: str, leaving: Sequence[Planned], name: str, entry: Mapping[str, Any]) -> str:
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
            _refuse_other(path, name, servers.get(name), entry)
            servers[name] = merged(servers.get(name), entry)
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
