"""Finds the clients' files, and reads the objects in them that hold servers."""

from __future__ import annotations

import importlib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mcp_host.errors import HostError, did_you_mean
from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import Client, Machine, load_clients
from mcp_host.manage.importing.substitutes import Syntax

_KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("mcpServers",),
    ("servers",),
    ("mcp", "servers"),
    ("mcp.servers",),
    ("mcp_servers",),
    ("context_servers",),
    ("mcp",),
    ("extensions",),
)
"""Where the clients' files have their servers."""

_ENTRY_KEYS: Final = frozenset({"command", "cmd", "url", "httpUrl", "serverUrl", "uri", "type", "config"})


@dataclass(frozen=True)
class Place:
    """One object with servers in a file. `client` is None for a file of an unknown client.

    `project` is the folder of the project that the servers are for, or None if they are for all of the user's.
    """

    path: Path
    client: Client | None
    keys: tuple[str, ...]
    entries: Mapping[str, Any] = field(repr=False)
    project: Path | None = None

    @property
    def label(self) -> str:
        """The client's name, or the file's."""
        return self.client.name if self.client is not None else self.path.stem.lstrip(".") or "file"

    @property
    def syntax(self) -> Syntax:
        """What the client replaces in the texts of the file. For an unknown client: `${...}`."""
        if self.keys == ("mcp",) or (self.client is not None and self.client.name == "opencode"):
            return "opencode"
        if self.client is None:
            return "braces"
        if self.client.expands is None:
            return "none"
        return "shell" if "$[A-Za-z_]" in self.client.expands else "braces"


@dataclass(frozen=True)
class Found:
    """A file that exists, with its places, or with the reason why it cannot be read."""

    path: Path
    client: Client | None
    places: tuple[Place, ...] = ()
    error: HostError | None = None

    @property
    def count(self) -> int:
        return sum(len(place.entries) for place in self.places)


def find_all(machine: Machine) -> list[Found]:
    """Return the files of all clients that exist: the user's own, and those in the working directory."""
    return _read_all(load_clients(others=True).values(), machine)


def find(asked: str, machine: Machine) -> list[Found]:
    """Return the files of one client, or the file at a path.

    Raises:
        HostError: There is no such client or file, or the file cannot be read.
    """
    clients = load_clients(others=True)
    if asked in clients:
        client = clients[asked]
        if found := _read_all([client], machine):
            return found
        usual = machine.locate(client)[0]
        raise HostError(f"{client.title} has no file here", where=str(usual), hint="mcp-host import FILE")
    path = machine.cwd / Path(asked).expanduser()
    if not path.is_file():
        is_path = path.exists() or re.search(r"[/\\.]", asked)
        what = "is not a file" if is_path else f"is no client and no file{did_you_mean(asked, clients)}"
        raise HostError(
            f"{asked!r} {what}", where="command line: CLIENT or FILE", hint=f"clients: {', '.join(clients)}"
        )
    found_file = read(path, *_owner_of(path, clients, machine))
    if found_file.error is not None:
        raise found_file.error
    if not found_file.places:
        raise HostError("the file has no MCP servers", where=str(path), hint="mcp-host import   (shows what is found)")
    return [found_file]


def read(path: Path, client: Client | None, project: Path | None = None) -> Found:
    """Read a file. That it cannot be read is a part of the result."""
    try:
        data = _data(path)
    except HostError as error:
        return Found(path, client, error=error)
    places = [
        Place(path, client, keys, entries, folder or project) for keys, entries, folder in _tables(data) if entries
    ]
    return Found(path, client, tuple(places))


def _read_all(clients: Iterable[Client], machine: Machine) -> list[Found]:
    """Read the files of the clients. A file that several paths lead to is read once."""
    found = []
    seen: set[str] = set()
    for client in clients:
        for path, project in _paths_of(client, machine):
            if (real := os.path.realpath(path)) not in seen and path.is_file():
                seen.add(real)
                found.append(read(path, client, project))
    return found


def _paths_of(client: Client, machine: Machine) -> Iterator[tuple[Path, Path | None]]:
    yield machine.locate(client)[0], None
    if client.project is not None:
        yield machine.cwd / client.project, machine.cwd


def _owner_of(path: Path, clients: Mapping[str, Client], machine: Machine) -> tuple[Client | None, Path | None]:
    """Return the client that a file belongs to by its path or its name, and the folder of the project."""
    own = {name: machine.locate(client)[0] for name, client in clients.items()}
    for name, file in own.items():
        if os.path.realpath(file) == os.path.realpath(path):
            return clients[name], None
    absolute = Path(os.path.abspath(path))
    for client in clients.values():
        parts = PurePosixPath(client.project).parts if client.project else ()
        if parts and absolute.parts[-len(parts) :] == parts:
            return client, absolute.parents[len(parts) - 1]
    # A copy of the user's file. Names that several clients have say nothing.
    same = [name for name, file in own.items() if file.name == path.name.replace(".jsonc", ".json")]
    return (clients[same[0]], None) if len(same) == 1 else (None, None)


def _data(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HostError("the file is not UTF-8 text", where=str(path), hint="save it as UTF-8") from None
    except OSError as error:
        raise HostError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix in (".yaml", ".yml"):
            return _yaml(text, path)
        return jsonc.read(text)
    except jsonc.JSONCError as error:
        raise HostError(f"the file is not valid JSON: {error}", where=f"{path}:{error.line}:{error.column}") from None
    except (ValueError, RecursionError) as error:
        # The message may quote the file.
        line = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = f":{line[1]}:{line[2]}" if line else ""
        raise HostError("the file is not valid TOML", where=f"{path}{place}") from None


def _yaml(text: str, path: Path) -> Mapping[str, Any]:
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise HostError(
            "a YAML file can be read only with PyYAML",
            where=str(path),
            hint="install mcp-host[yaml], such as: uv tool install 'mcp-host[yaml]'",
        ) from None
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise HostError("the file is not valid YAML", where=f"{path}{line}") from None
    return data if isinstance(data, Mapping) else {}


def _tables(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any], Path | None]]:
    """Yield the keys of each object with servers, its entries, and the folder that they are for."""
    found = False
    for keys in _KEYS:
        if entries := _entries(_at(data, keys), only_servers=keys in (("mcp",), ("extensions",), ("servers",))):
            found = True
            yield keys, entries, None
    projects = data.get("projects")
    for folder, project in projects.items() if isinstance(projects, Mapping) else ():
        if entries := _entries(_at(project, ("mcpServers",))):
            found = True
            yield ("projects", folder, "mcpServers"), entries, Path(folder)
    if not found and data and all(_is_server(value) for value in data.values()):
        # Only the inner part, as documentation of servers often shows it.
        yield (), dict(data), None


def _at(data: object, keys: Iterable[str]) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _entries(value: object, *, only_servers: bool = False) -> dict[str, Any]:
    """Return the entries of an object. With `only_servers`, other things that it may have are left out."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): entry for name, entry in value.items() if not only_servers or _is_server(entry)}


def _is_server(value: object) -> bool:
    return isinstance(value, Mapping) and bool(_ENTRY_KEYS & set(value))
