"""Makes the table of a plugin from a server that a client's file describes. No secret gets into the table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from mcp_host.config.oauthsection import OAuthSection
from mcp_host.config.spotting import is_secret_key, option_keys, secret_spans
from mcp_host.manage.importing.commandline import Line, remote_of, starts_host, unwrapped
from mcp_host.manage.importing.entries import Server
from mcp_host.manage.importing.substitutes import (
    NotImportedError,
    Parts,
    Reference,
    Surroundings,
    references,
    simple,
    written,
)
from mcp_host.manage.importing.variables import Variable, Variables
from mcp_host.net.fields import NAME

_URL: Final = re.compile(r"https?://[^/\s]\S*")
_SCHEME: Final = re.compile(r"(?:[A-Za-z-]+\s+)?")


class IsHostError(Exception):
    """The entry starts mcp-host itself."""


@dataclass
class Table:
    """A plugin's table, with the variables that it refers to and remarks for the user."""

    values: dict[str, Any]
    variables: list[Variable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass
class TableMaker:
    """Makes the table of the server `plugin`, whose entry is at `where` in a client's file.

    `project` is the folder of the project whose entry it is, `base` that of mcp-host.toml, and `beside` that of the
    client's file. `own_url` is the URL of the host.
    """

    plugin: str
    where: str
    around: Surroundings
    variables: Variables
    project: Path | None = None
    base: Path = field(default_factory=Path.cwd)
    beside: Path = field(default_factory=Path.cwd)
    prefix: str = ""
    own_url: str | None = None
    used: list[Variable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self, server: Server) -> Table:
        """Return the table.

        Raises:
            IsHostError: The entry starts mcp-host.
            NotImportedError: The server has no form in mcp-host.toml. The text is the reason.
        """
        self.notes += server.notes
        values = self._command(server) if server.command else self._remote(server.url, server.headers, server)
        if not server.enabled:
            values["enabled"] = False
        if self.prefix:
            values["prefix"] = self.prefix
        tools = {**({"allow": server.allow} if server.allow is not None else {})}
        tools |= {"deny": server.deny} if server.deny else {}
        if tools:
            values["tools"] = tools
        if server.timeout is not None:
            values["timeout"] = int(server.timeout) if server.timeout.is_integer() else server.timeout
        return Table(values, list({each.name: each for each in self.used}.values()), self.notes, server.dropped)

    # --- A command

    def _command(self, server: Server) -> dict[str, Any]:
        line = unwrapped(server.command, server.env)
        if starts_host(line.words):
            raise IsHostError
        if any("\0" in text for text in (*line.words, *line.env.values())):
            raise NotImportedError("it has a NUL in a text")
        if (remote := remote_of(line)) is not None:
            around = Surroundings(self.around.environ, self.around.home, self.around.folder)
            return self._remote(remote.url, remote.headers, server, around)
        if program_is(line, "mcp-remote"):
            self.notes.append("mcp-remote stays, which logs in and connects; it needs Node.js")
        env = {
            name: self._value(self.around.parts(text), name, f"env.{name}")
            for name, text in line.env.items()
            if self._is_name(name)
        }
        for name in [*line.forwarded, *server.forwarded]:
            if self._is_name(name) and name not in env:
                env[name] = self._refer(Reference("env", name), f"env.{name}")
        self._env_file(server, env)
        command = self._words(line)
        values: dict[str, Any] = {"command": command, **({"env": env} if env else {})}
        if cwd := self._folder(server.cwd):
            values["cwd"] = cwd
        return values

    def _words(self, line: Line) -> list[Any]:
        keys = option_keys(line.words)
        return [
            self._value(self.around.parts(word), key, "args" if number else "command")
            for number, (word, key) in enumerate(zip(line.words, keys, strict=True))
        ]

    def _env_file(self, server: Server, env: dict[str, Any]) -> None:
        """Refer to the variables of an envFile. Their values are not read."""
        if not server.env_file:
            return
        from dotenv import dotenv_values

        parts = self.around.parts(server.env_file)
        path = self.around.folder / Path(written(parts)).expanduser()
        try:
            names = [] if references(parts) or not path.is_file() else list(dotenv_values(path, interpolate=False))
        except (OSError, UnicodeDecodeError):
            names = []
        if not names:
            self.notes.append("its envFile cannot be read, so its variables are missing")
        for name in names:
            if name not in env and self._is_name(name):
                env[name] = {"env": name}
                self.used.append(Variable(name, f"{path}: {name}"))

    def _is_name(self, name: str) -> bool:
        if name and not re.search(r"[=\x00-\x1f\x7f]", name):
            return True
        self.notes.append("a variable is left out, because its name is not one")
        return False

    def _folder(self, cwd: str) -> str:
        parts = self.around.parts(cwd)
        if references(parts):
            raise NotImportedError("cwd has a variable")
        text = written(parts)
        if text:
            return text if text.startswith("~") else str(self.around.folder / text)
        # A client starts the servers of a project in its folder.
        if self.project is None or self.project == self.base:
            return ""
        if not self.project.is_dir():
            self.notes.append(f"the folder of its project, {self.project}, does not exist")
        return str(self.project)

    # --- A URL

    def _remote(
        self, url: str, headers: dict[str, str], server: Server, around: Surroundings | None = None
    ) -> dict[str, Any]:
        around = around or self.around
        address = self._url(around.parts(url))
        if self.own_url is not None and isinstance(address, str) and address.rstrip("/") == self.own_url.rstrip("/"):
            raise IsHostError
        values: dict[str, Any] = {}
        for name, text in headers.items():
            if NAME.fullmatch(name):
                values[name] = self._value(around.parts(text), name, f"headers.{name}")
            else:
                self.notes.append("a header is left out, because its name is not one")
        for name, variable in server.forwarded_headers.items():
            if NAME.fullmatch(name):
                values[name] = self._refer(Reference("env", variable), f"headers.{name}")
        if server.bearer:
            value = self._refer(Reference("env", server.bearer), "headers.Authorization")
            values["Authorization"] = {**value, "format": "Bearer {}"}
        login = self._login(server)
        if login is not None and any(name.lower() == "authorization" for name in values):
            self.notes.append("its login is left out, because it has the header Authorization")
            login = None
        if login is not None and not isinstance(address, str):
            self.notes.append("its login is left out, because its URL has a secret or a variable")
            login = None
        auth = {} if login is None else {"auth": login or "oauth"}
        return {"url": address, **auth, **({"headers": values} if values else {})}

    def _login(self, server: Server) -> dict[str, Any] | None:
        """Return the table of the client that the client's file describes, or None if it describes none."""
        if server.login is None:
            return None
        login = dict(server.login)
        if "client_secret" in login and "client_id" not in login:
            self.notes.append("its client has a secret and no id; the host registers itself")
            del login["client_secret"]
        for key in ("client_id", "client_secret"):
            if key not in login:
                continue
            parts = self.around.parts(str(login[key]))
            if key == "client_secret":
                login[key] = self._value(parts, key, f"auth.{key}")
            elif references(parts):
                known = [self.around.environ.get(each.name, "") for each in references(parts)]
                login[key] = known[0] if len(parts) == 1 and known[0] else None
        if "client_id" in login and not login["client_id"]:
            self.notes.append("its client's id is a variable, which has no value here; the host registers itself")
            login = {key: value for key, value in login.items() if not key.startswith("client_")}
        try:
            OAuthSection.model_validate(login)
        except ValidationError:
            self.notes.append("its login has values that mcp-host cannot use, and is left out")
            return {}
        return login

    def _url(self, parts: Parts) -> Any:
        """Return a URL, or a reference with the rest of it around the secret or the variable."""
        known = written(simple(tuple("x" if isinstance(part, Reference) else part for part in parts)))
        if not _URL.fullmatch(known) and not (references(parts) and isinstance(parts[0], Reference)):
            raise NotImportedError("its URL is not one with http or https")
        return self._value(parts, "url", "url")

    # --- A text

    def _value(self, parts: Parts, key: str, where: str) -> Any:
        """Return a text for the table: the text itself if it is no secret, else a reference."""
        found = references(parts)
        rest = tuple(part for part in parts if isinstance(part, str))
        text = written(parts)
        if not found:
            spans = secret_spans(text, key)
            if not spans:
                return text
            start, end = spans[0]
            if len(spans) == 1 and _fits_format(text[:start] + text[end:]):
                name = key if is_secret_key(key) else _name_of(text[:start], key)
                variable = self._secret(name, text[start:end], where)
                return _formatted({"env": variable.name}, text[:start], text[end:])
            return {"env": self._secret(key, text, where).name}
        is_whole = is_secret_key(key) and not _SCHEME.fullmatch(text)
        if len(found) > 1 or is_whole or any(map(secret_spans, rest)) or not _fits_format(text):
            original = "".join(part if isinstance(part, str) else part.original for part in parts)
            variable = self._secret(key, original, where)
            self.notes.append(f"{variable.name} is the whole text that the client makes for {where}")
            return {"env": variable.name}
        at = parts.index(found[0])
        return _formatted(self._refer(found[0], where), written(parts[:at]), written(parts[at + 1 :]))

    def _refer(self, reference: Reference, where: str) -> dict[str, str]:
        if reference.kind == "file":
            return {"file": str(self.beside / Path(reference.name).expanduser())}
        if any(variable.name == reference.name for variable in self.used) and not reference.original:
            return {"env": reference.name}
        variable = self.variables.referred(reference, f"{self.where}.{where}")
        self.used.append(variable)
        if reference.kind == "input":
            self.notes.append(f"the client's input {reference.name} is the variable {variable.name} here")
        return {"env": variable.name}

    def _secret(self, key: str, value: str, where: str) -> Variable:
        variable = self.variables.secret(self.plugin, key or "secret", value, f"{self.where}.{where}")
        self.used.append(variable)
        return variable


def program_is(line: Line, name: str) -> bool:
    """Return whether a word of a command names this npm package."""
    return any(re.fullmatch(rf"{re.escape(name)}(@.+)?", word) for word in line.words)


def _name_of(text: str, key: str) -> str:
    """Return the name that a value after this text has, or the key of the whole.

    It is `api-key` after `--api-key=`, `X-Api-Key` after `X-Api-Key: `, and the key's password after `postgres://me:`.
    """
    if re.search(r"://[^\s/:@]*:?$", text):
        return f"{key}_password".strip("_")
    match = re.search(r"([A-Za-z][\w.-]*)[\"']?\s*[=:]\s*(?:(?:Bearer|Basic|Token)\s+)?[\"']?$", text, re.IGNORECASE)
    return match[1] if match else key


def _fits_format(rest: str) -> bool:
    return not re.search(r"[{}]", rest)


def _formatted(reference: dict[str, str], before: str, after: str) -> dict[str, str]:
    return {**reference, "format": f"{before}{{}}{after}"} if before or after else reference
