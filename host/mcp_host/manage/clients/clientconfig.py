"""The clients that start MCP servers: where their files are, and how an entry is added to a file or removed from it.

clients.toml has the facts about the clients. Files are changed as text, so that the rest of a file is not changed.
"""

from __future__ import annotations

import copy
import difflib
import glob
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import tomlkit
import tomlkit.exceptions

from mcp_host.config.origins import statements
from mcp_host.config.references import looks_secret
from mcp_host.errors import HostError, text_of
from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.launch import Launch
from mcp_host.system.files import atomic_write

Entry = Mapping[str, Any]
"""One server's entry in a client's file."""

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The names that every client accepts. Claude Code and Codex accept no others."""

_MANAGED: Final = ("type", "source", "command", "args", "env", "cwd", "url", "httpUrl", "serverUrl")
_URLS: Final = ("url", "httpUrl", "serverUrl")


@dataclass(frozen=True)
class Client:
    """One table of clients.toml. That file describes the fields."""

    name: str
    title: str
    user: Mapping[str, list[str]]
    format: Literal["json", "jsonc", "toml", "yaml"]
    key: str
    after: str
    sources: list[str]
    marker: list[str] = field(default_factory=list)
    project: str | None = None
    stdio: Mapping[str, str] = field(default_factory=dict)
    http: Mapping[str, str] | None = None
    expands: str | None = None

    def command_entry(self, command: str, args: list[str], env: Mapping[str, str], cwd: Path) -> dict[str, Any]:
        """Return the entry that starts a command."""
        extra = {key: value.replace("{cwd}", str(cwd)) for key, value in self.stdio.items()}
        before: dict[str, Any] = {key: extra.pop(key) for key in _MANAGED[:2] if key in extra}
        return {**before, "command": command, "args": args, **({"env": dict(env)} if env else {}), **extra}

    def url_entry(self, url: str) -> dict[str, Any] | None:
        """Return the entry for a running server, or None if the client supports only commands."""
        return None if self.http is None else {key: value.replace("{url}", url) for key, value in self.http.items()}

    def expanded(self, entry: Entry) -> list[str]:
        """Return the strings of an entry in which the client would replace something."""
        if self.expands is None:
            return []
        return [text for text in _strings(entry) if re.search(self.expands, text)]


def load_clients(*, others: bool = False) -> dict[str, Client]:
    """Return the clients of clients.toml by name. With `others`, also those that `install` does not support."""
    data = _data()
    tables = {**data["clients"], **(data["others"] if others else {})}
    return {name: Client(name=name, **table) for name, table in tables.items()}


def _data() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("mcp_host.manage.clients").joinpath("clients.toml").read_text(encoding="utf-8")
    )


@dataclass(frozen=True)
class Machine:
    """What decides where a user's files are: the environment, `sys.platform` and the working directory."""

    environ: Mapping[str, str]
    platform: str
    cwd: Path

    def locate(self, client: Client) -> tuple[Path, bool]:
        """Return this user's file of the client, and whether the client seems to be installed.

        Raises:
            HostError: The user has no home directory.
        """
        templates = client.user[self.platform if self.platform in ("win32", "darwin") else "linux"]
        folders = self._folders()
        file, present = Path(_fill(templates[-1], folders)), False
        for template in templates:
            found = sorted(glob.glob(_fill(os.path.dirname(template), folders, glob.escape)))
            if found:
                files = [Path(folder, os.path.basename(template)) for folder in found]
                file, present = next((file for file in files if file.exists()), files[0]), True
                break
        if client.marker:
            present = any(os.path.lexists(_fill(marker, folders)) for marker in client.marker)
        return file, present

    def _folders(self) -> dict[str, str]:
        home = self.environ.get("USERPROFILE", "") if self.platform == "win32" else ""
        folders = {"HOME": home or self.environ.get("HOME") or _home()}
        for name, default in _data()["folders"].items():
            value = self.environ.get(name, "")
            # The XDG specification requires that a relative path is ignored. For the others its base is unknown.
            folders[name] = value if os.path.isabs(value) else _fill(default, folders)
        return folders


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        raise HostError("you have no home folder", where="environment: HOME", hint="--file FILE") from None


def _fill(template: str, folders: Mapping[str, str], quote: Any = str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(quote(folders[match[1]])), template)


@dataclass(frozen=True)
class ClientFile:
    """A client's file as it was read. `text` is None if there is no file. Only `write` changes the file."""

    client: Client
    path: Path
    text: str | None

    @classmethod
    def read(cls, client: Client, path: Path) -> ClientFile:
        """Read a file, and check that entries can be added to it.

        Raises:
            HostError: The file cannot be read, or the client could not read it.
        """
        try:
            text = path.read_bytes().decode("utf-8") if path.exists() else None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise HostError("the file is not UTF-8 text", where=f"{path}:{line}", hint="save it as UTF-8") from None
        except OSError as error:
            raise HostError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
        file = cls(client, path, text)
        file.entries()
        return file

    @property
    def backup(self) -> Path:
        """The path of the backup, which has the content before the last change."""
        target = Path(os.path.realpath(self.path))
        return target.with_name(f"{target.name}.bak")

    def entries(self) -> dict[str, Any]:
        """Return the file's servers by name."""
        entries = self._load(self.text).get(self.client.key, {})
        if not isinstance(entries, dict):
            raise self._refusal(
                f"{self.client.key} is not {'a table' if self.client.format == 'toml' else 'an object'}"
            )
        return entries

    def entry(self, name: str) -> Entry | None:
        """Return the entry of one server, or None."""
        entry = self.entries().get(name)
        if entry is not None and not isinstance(entry, dict):
            raise self._refusal(
                f"the entry {name!r} is not {'a table' if self.client.format == 'toml' else 'an object'}"
            )
        return entry

    def with_entry(self, name: str, entry: Entry) -> str:
        """Return the file's text with an entry added or replaced.

        Raises:
            HostError: The entry cannot be added without changes to the rest of the file.
        """
        expected = copy.deepcopy(self._load(self.text))
        expected.setdefault(self.client.key, {})[name] = dict(entry)
        candidates = self._put_toml(name, entry) if self.client.format == "toml" else self._put_json(name, entry)
        return self._checked(candidates, expected, f"[{self.client.key}] {name} = {json.dumps(entry)}")

    def without_entry(self, name: str) -> str:
        """Return the file's text without an entry. Raises `HostError` like `with_entry`."""
        expected = copy.deepcopy(self._load(self.text))
        del expected[self.client.key][name]
        if self.client.format == "toml":
            candidates = self._take_toml(name)
            # A table without a header of its own disappears with its last subtable.
            if not expected[self.client.key]:
                alternative = {key: value for key, value in expected.items() if key != self.client.key}
                if any(_same(self._loaded(candidate), alternative) for candidate in self._take_toml(name)):
                    expected = alternative
        else:
            candidates = self._take_json(name)
        return self._checked(candidates, expected, f"remove {name!r} from {self.client.key}")

    def undone(self, name: str) -> str | None:
        """Return the text before an entry was added, or the text without the entry if there were other changes since.

        None means that there was no file.
        """
        for before in (self.backup_text(), None):
            if self.added_to(before) == [name]:
                return before
        return self.without_entry(name)

    def added_to(self, before: str | None) -> list[str] | None:
        """Return the names of the entries that were added to `before`, or None if anything else is different, too."""
        earlier, later = replace(self, text=before), self
        try:
            entries, known = self.entries(), earlier.entries()
            names = [name for name in entries if name not in known]
            if not all(isinstance(entries[name], dict) for name in names):
                return None
            for name in names:
                earlier = replace(earlier, text=earlier.with_entry(name, entries[name]))
            # Both without the entries, because an entry may have been written in several steps.
            for name in names:
                earlier = replace(earlier, text=earlier.without_entry(name))
                later = replace(later, text=later.without_entry(name))
        except HostError:
            return None
        return names if earlier.text == later.text else None

    def variables_in_backup(self, name: str) -> list[str]:
        """Return the variables whose values are still in the backup's entry."""
        try:
            entry = ClientFile(self.client, self.backup, self.backup_text()).entry(name)
        except HostError:
            return []
        return list(entry["env"]) if entry and isinstance(entry.get("env"), dict) else []

    def write(self, text: str | None, *, mode: int, backup: Path | None = None) -> Path | None:
        """Write a text, or remove the file if it is None. Return the path of the backup, if one was written.

        `backup` is another place for the backup than usual.

        Raises:
            HostError: The file cannot be written, or was changed since it was read. Then nothing is changed.
        """
        before = None if self.text is None else self.text.encode()
        try:
            if (self.path.read_bytes() if self.path.exists() else None) != before:
                raise HostError("the file was changed just now", where=str(self.path), hint="try again")
            written = None
            if before is not None and text is not None and (backup or not self._backup_stays(text)):
                # Only users who may read the file may read the backup.
                written = atomic_write(backup or self.backup, before, mode=self.path.stat().st_mode & 0o777)
            if text is None:
                self.path.unlink(missing_ok=True)
            else:
                atomic_write(self.path, text.encode(), mode=None if before is not None else mode)
        except OSError as error:
            reason = error.strerror or text_of(error)
            raise HostError(f"the file cannot be written: {reason}", where=str(self.path)) from None
        return written

    def diff(self, text: str | None, hide: Iterable[str]) -> str:
        """Return the change to `text` as a unified diff, with the values of the keys `hide` and of secrets as ***."""
        lines = difflib.unified_diff(
            _lines(self.text),
            _lines(text),
            str(self.path) if self.text is not None else os.devnull,
            str(self.path) if text is not None else os.devnull,
            lineterm="",
        )
        return "\n".join(masked(line, hide) for line in lines)

    @property
    def _comments(self) -> bool:
        return self.client.format == "jsonc"

    def _backup_stays(self, text: str) -> bool:
        """Return whether the backup is worth more than a new one: it is written back, or is from before our entries."""
        before = self.backup_text()
        names = self.added_to(before) or ()
        return text == before or (bool(names) and all(Launch.of(self.entries()[name]) for name in names))

    def backup_text(self) -> str | None:
        """Return the text of the backup, or None if there is none that can be read."""
        try:
            return self.backup.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _load(self, text: str | None) -> dict[str, Any]:
        if text is None:
            return {}
        try:
            if self.client.format == "toml":
                return tomllib.loads(text.removeprefix("\ufeff"))
            return jsonc.read(text, comments=self._comments)
        except jsonc.JSONCError as error:
            raise self._not_json(error) from None
        except (RecursionError, ValueError) as error:
            # The message may quote the file, but at most one character of it.
            raise self._refusal(f"the file is not valid TOML: {error}") from None

    def _loaded(self, text: str) -> dict[str, Any] | None:
        try:
            return self._load(text)
        except HostError:
            return None

    def _not_json(self, error: jsonc.JSONCError) -> HostError:
        where = f"{self.path}:{error.line}:{error.column}"
        return HostError(f"the file is not valid JSON: {error}", where=where, hint=f"correct it in {self.client.title}")

    def _refusal(self, what: str) -> HostError:
        return HostError(what, where=str(self.path), hint=f"correct it in {self.client.title}")

    def _checked(self, candidates: Iterator[str], expected: Mapping[str, Any], by_hand: str) -> str:
        """Return the first text with the expected content."""
        try:
            for text in candidates:
                if _same(self._loaded(text), expected):
                    return text
        except jsonc.JSONCError as error:
            raise self._not_json(error) from None
        except tomlkit.exceptions.TOMLKitError:
            pass
        raise HostError(
            "the file cannot be changed without changing more than the entry", where=str(self.path), hint=by_hand
        )

    def _put_json(self, name: str, entry: Entry) -> Iterator[str]:
        text, path = self.text or "", [self.client.key, name]
        old = self.entry(name)
        if old is None:
            yield jsonc.put(text, path, dict(entry), comments=self._comments)
            return
        # Changed key by key, so that comments inside the entry stay.
        for key in [key for key in old if key not in entry]:
            text = jsonc.take(text, [*path, key], comments=self._comments)
        for key, value in entry.items():
            if key not in old or not _same(old[key], value):
                text = jsonc.put(text, [*path, key], value, comments=self._comments)
        yield text

    def _take_json(self, name: str) -> Iterator[str]:
        yield jsonc.take(self.text or "", [self.client.key, name], comments=self._comments)

    def _put_toml(self, name: str, entry: Entry) -> Iterator[str]:
        text = self.text or ""
        newline = "\r\n" if "\r\n" in text else "\n"
        block = tomlkit.dumps(_toml_table(self.client.key, name, entry)).replace("\n", newline)
        if (span := self._toml_span(name)) is not None:
            begin, end = span
            yield text[:begin] + block + text[end:]
        else:
            gap = "" if not text or text.endswith("\n") else newline
            gap += "" if not text or text.endswith(("\n\n", "\n\r\n")) else newline
            yield text + gap + block
        # For servers in an inline table ({...}) or with dotted keys.
        document = tomlkit.parse(text)
        servers: Any = document.setdefault(self.client.key, tomlkit.table())
        servers[name] = dict(entry)
        yield tomlkit.dumps(document)

    def _take_toml(self, name: str) -> Iterator[str]:
        text = self.text or ""
        if (span := self._toml_span(name)) is not None:
            begin, end = span
            above = re.search(r"(?<=\n)\r?\n\Z", text[:begin])
            rest = text[end:] if text[:begin].strip() else re.sub(r"\A\r?\n", "", text[end:])
            yield text[: above.start() if above else begin] + rest
        document = tomlkit.parse(text)
        servers: Any = document[self.client.key]
        del servers[name]
        yield tomlkit.dumps(document)

    def _toml_span(self, name: str) -> tuple[int, int] | None:
        """Return where the tables of an entry begin and end, if nothing else is between them."""
        begin = end = None
        position, inside = 0, False
        for _, statement in statements(self.text or ""):
            stripped = statement.strip("\ufeff \t\r\n")
            if stripped.startswith("["):
                inside = _header(stripped)[:2] == [self.client.key, name]
                if inside and end is not None and (self.text or "")[end:position].strip():
                    # Something else is between two of the tables: they are not one block.
                    return None
                begin = position if inside and begin is None else begin
            position += len(statement)
            if inside and stripped and not stripped.startswith("#"):
                end = position
        return None if begin is None or end is None else (begin, end)


def merged(old: Entry | None, new: Entry) -> dict[str, Any]:
    """Return the new entry with the keys that the client or the user added to the old one. Old variables are kept."""
    if old is None:
        return dict(new)
    entry = {**{key: value for key, value in old.items() if key not in _MANAGED}, **new}
    if "command" in new and isinstance(old.get("env"), dict) and (env := {**old["env"], **new.get("env", {})}):
        entry["env"] = env
    return {key: entry[key] for key in [*new, *(["env"] if "env" in entry and "env" not in new else []), *entry]}


def entry_url(entry: Entry) -> str | None:
    """Return the URL of an entry, or None."""
    return next((str(entry[key]) for key in _URLS if key in entry), None)


_JSON_VALUE: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:\s*)"(?:[^"\\]|\\.)*"')
_TOML_VALUE: Final = re.compile(r'([\w-]+|"(?:[^"\\]|\\.)*")(\s*=\s*)"(?:[^"\\]|\\.)*"')


def masked(line: str, hide: Iterable[str]) -> str:
    """Return a line of a diff with `***` for the values of the keys `hide` and of keys that look secret."""
    names = set(hide)

    def replace(match: re.Match[str]) -> str:
        key = match[1].strip('"')
        secret = key in names or looks_secret(key) or key.lower() == "authorization"
        return f'{match[1]}{match[2]}"***"' if secret else match[0]

    return _TOML_VALUE.sub(replace, _JSON_VALUE.sub(replace, line))


def _toml_table(key: str, name: str, entry: Entry) -> tomlkit.TOMLDocument:
    table = tomlkit.table()
    for inner, value in sorted(entry.items(), key=lambda item: isinstance(item[1], dict)):
        table.add(inner, value)
    servers = tomlkit.table(is_super_table=True)
    servers.add(name, table)
    document = tomlkit.document()
    document.add(key, servers)
    return document


def _header(text: str) -> list[str]:
    """Return the keys of a table header."""
    keys: list[str] = []
    parsed: Any = tomllib.loads(text)
    while parsed:
        if isinstance(parsed, list):
            parsed = parsed[0]
            continue
        ((key, parsed),) = parsed.items()
        keys.append(key)
    return keys


def _lines(text: str | None) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _same(one: Any, other: Any) -> bool:
    """Return whether two parsed values are the same. Two values `nan`, which TOML allows, are the same here."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)
