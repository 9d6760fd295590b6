"""The forms of `mcp-host add` that name a server and no plugin: `uvx:`, `npx:`, `pypi:`, a URL and a Python file."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from mcp_host.errors import ErrorCode, HostError
from mcp_host.manage.editedfile import guess
from mcp_host.manage.importing.entries import Server
from mcp_host.manage.importing.plan import plugin_name, prefix_of, used_variables
from mcp_host.manage.importing.substitutes import NotImportedError, Surroundings
from mcp_host.manage.importing.tables import IsHostError, Table, TableMaker
from mcp_host.manage.importing.variables import Variables
from mcp_host.manage.servermetadata import look_up, wanted_name
from mcp_host.net.fields import field_of
from mcp_host.plugins.discovery import GROUP
from mcp_host.plugins.metadata import requirements

if TYPE_CHECKING:
    from mcp_host.manage.downloads import File
    from mcp_host.manage.editedfile import EditedFile
    from mcp_host.manage.servermetadata import Distribution

Kind = Literal["uvx", "npx", "pypi", "url", "file"]

_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")
_TAKEN: Final = {"--": "arguments", "--env-var": "variables", "--header": "headers"}
_AROUND: Final = re.compile(r"^(?:mcp-server-|server-|mcp-)|(?:-mcp-server|-server|-mcp)$")
_SERVERS: Final = frozenset({"MCPServer", "FastMCP", "Server", "Plugin"})
_USUAL_NAMES: Final = ("mcp", "server", "app", "plugin")
_SCRIPT: Final = re.compile(r"^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE)
"""The metadata of a script (PEP 723)."""


@dataclass(frozen=True)
class ServerSpec:
    """A server as the command line names it: its kind, and the text without the kind."""

    kind: Kind
    text: str

    @classmethod
    def parse(cls, text: str) -> ServerSpec | None:
        """Return the server that a text names, or None for what pip takes."""
        if match := re.fullmatch(r"(uvx|npx|pypi):\s*(\S+)", text.strip()):
            return cls(match[1], match[2])  # type: ignore[arg-type]
        if re.match(r"https?://", text) and not urlsplit(text).path.endswith(_ARCHIVES):
            return cls("url", text)
        if re.fullmatch(r".+\.py(?::[\w.]+)?", text):
            return cls("file", text)
        return None

    @property
    def name(self) -> str:
        """The name that the plugin gets, unless the user gives it another."""
        if self.kind == "url":
            words = [
                word for word in (urlsplit(self.text).hostname or "").split(".") if word not in ("www", "mcp", "api")
            ]
            return plugin_name(words[0] if words else "server")
        if self.kind == "file":
            path = Path(os.path.abspath(self.text.rpartition(".py")[0]))
            return plugin_name(path.parent.name if path.name in ("server", "main", "app", "__main__") else path.name)
        scope, _, package = re.split(r"(?<=.)[@=<>~!\[]", self.text)[0].rpartition("/")
        # `@playwright/mcp` is named by its scope.
        package = scope if scope and package in ("mcp", "server", "mcp-server") else package
        return plugin_name(_AROUND.sub("", package.lower()) or package)


@dataclass(frozen=True)
class Given:
    """What the command line gives to the one server: its arguments, its variables and its headers.

    `forwarded` are variables that keep the value that they have where mcp-host starts.
    """

    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    forwarded: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, arguments: Sequence[str], variables: Sequence[str], headers: Sequence[str]) -> Given:
        """Read `NAME=VALUE` or `NAME`, and `NAME: VALUE`.

        Raises:
            HostError: A text is neither. The error does not show it, because it may have a secret.
        """
        env: dict[str, str] = {}
        forwarded = []
        for text in variables:
            name, is_given, value = text.partition("=")
            if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or "\0" in value:
                raise HostError("not NAME=VALUE", where="command line: --env-var", hint="--env-var API_KEY")
            if is_given:
                env[name] = value
            else:
                forwarded.append(name)
        fields = dict(field_of(text, example="X-Api-Key: ...") for text in headers)
        return cls(arguments, env, forwarded, fields)

    @property
    def options(self) -> list[str]:
        """The options that were used."""
        used = {"--": self.arguments, "--env-var": (*self.env, *self.forwarded), "--header": self.headers}
        return [option for option, given in used.items() if given]


@dataclass(frozen=True)
class Added:
    """A plugin's table that `add` writes, and what it says about it."""

    name: str
    table: Table
    notes: tuple[str, ...] = ()
    found: Distribution | None = None
    """The distribution that `pypi:` takes. The user is asked whether it is the right one."""


@dataclass(frozen=True)
class ServerAdder:
    """Makes the tables of servers for one file. `given` is for the one server.

    `fetch` downloads a distribution and unpacks it into a folder. `wants_login` asks a server whether it wants a login
    with OAuth. With `prefix`, the names of a server's tools begin with the server's name.
    """

    file: EditedFile
    given: Given
    fetch: Callable[[str, Path], File | None]
    wants_login: Callable[[str], bool]
    prefix: bool = True

    def added(self, spec: ServerSpec, name: str | None) -> Added | str:
        """Return the table of a server, or for a plugin, what pip is to install.

        Raises:
            HostError: It cannot be served, or there is a table with this name.
        """
        takes = {"url": ["--header"], "file": []}.get(spec.kind, ["--", "--env-var"])
        for option in self.given.options:
            if option not in takes:
                hint = "remove what is after --" if option == "--" else f"remove {option}"
                raise HostError(f"{spec.text} takes no {_TAKEN[option]}", where=f"command line: {option}", hint=hint)
        if spec.kind == "pypi":
            return self._pypi(spec, name)
        name = self._name(spec, name)
        if spec.kind == "url":
            return self._url(spec, name)
        if spec.kind == "file":
            return self._file(spec, name)
        if spec.kind == "uvx":
            return self._uvx(spec, name)
        return Added(name, self._table(name, self._process(["npx", "-y", spec.text])))

    def _process(self, command: Sequence[str]) -> Server:
        given = self.given
        return Server(command=[*command, *given.arguments], env=dict(given.env), forwarded=list(given.forwarded))

    def _url(self, spec: ServerSpec, name: str) -> Added:
        table = self._table(name, Server(url=spec.text, headers=dict(self.given.headers)))
        has_token = any(header.lower() == "authorization" for header in self.given.headers)
        if has_token or not isinstance(table.values["url"], str) or not self.wants_login(spec.text):
            return Added(name, table)
        table.values = {"url": spec.text, "auth": "oauth", **table.values}
        return Added(name, table, (f"{spec.text} wants a login: mcp-host login {name}{self.file.option}",))

    def _uvx(self, spec: ServerSpec, name: str) -> Added:
        """Return the table for `uvx`, which takes the newest version of everything that the metadata allows."""
        # The host itself is refused before anything is fetched.
        self._table(name, Server(command=["uvx", spec.text]))
        # Anything else, such as a Git repository, has no metadata that can be read alone.
        found = look_up(spec.text, self.fetch) if wanted_name(spec.text) is not None else None
        words, notes = ["uvx"], []
        if found is not None and found.is_for_mcp_1 and not found.caps_sdk:
            words += ["--with", "mcp<2"]
            notes = [f"{found.installed.label} is written for mcp 1 and does not say so: uvx gets --with 'mcp<2'."]
        programs = [canonicalize_name(script) for script in found.scripts] if found is not None else []
        if found is not None and programs and found.installed.key not in programs:
            words += ["--from", spec.text, *found.program()]
        else:
            words.append(spec.text)
        return Added(name, self._table(name, self._process(words)), tuple(notes))

    def _prefix(self, name: str) -> dict[str, str]:
        return {"prefix": prefix_of(name)} if self.prefix else {}

    def _name(self, spec: ServerSpec, name: str | None) -> str:
        name = name or spec.name
        if plugin_name(name) != name:
            raise HostError(
                f"{name!r} is not a plugin's name", where="command line: --name", hint=f"--name {plugin_name(name)}"
            )
        if name in self.file.config.plugins:
            raise HostError(
                f"there is already a plugin {name!r} in the file",
                where=self.file.config.where("plugins", name),
                hint="--name OTHER",
                code=ErrorCode.ALREADY_EXISTS,
            )
        return name

    def _table(self, name: str, server: Server) -> Table:
        variables = Variables(used_variables(self.file.config), os.environ)
        base = self.file.path.absolute().parent
        around = Surroundings(os.environ, Path.home(), base, "none")
        maker = TableMaker(name, "command line", around, variables, prefix=self._prefix(name).get("prefix", ""))
        try:
            return maker.table(server)
        except NotImportedError as error:
            raise HostError(f"{name} cannot be added: {error}", where="command line") from None
        except IsHostError:
            raise HostError("this is mcp-host itself", where="command line") from None

    def _pypi(self, spec: ServerSpec, name: str | None) -> Added | str:
        from mcp_host.plugins.requirements import installed_now

        found, here = look_up(spec.text, self.fetch), installed_now(GROUP)
        pinned = f"{found.installed.name}=={found.installed.version}"
        conflicts = found.conflicts(here)
        needs = f"needs {'; '.join(conflicts)}" if conflicts else "is written for mcp 1" if found.is_for_mcp_1 else ""
        if found.installed.plugins and not needs:
            if name or self.given.options:
                raise HostError(
                    f"{found.installed.label} is a plugin: its name is its own, and it takes settings, not "
                    "arguments and variables",
                    where="command line",
                    hint=f"mcp-host add {spec.text}",
                )
            # A bare name would be the name of a plugin, and not the distribution's.
            bare = spec.text == found.installed.name and guess(spec.text) == spec.text
            return found.installed.name if bare else pinned
        if found.installed.plugins and found.lives_in_a_child(here):
            plugin = found.installed.plugins[0]
            self._name(replace(spec, text=plugin), plugin)
            table = Table({"isolation": "process", "requirements": [pinned]})
            return Added(plugin, table, (f"{found.installed.label} {needs}: it gets a process of its own.",), found)
        if found.installed.plugins and not (found.is_for_mcp_1 or found.caps_sdk):
            what = f"{found.installed.label} is a plugin that no environment can have with mcp-host: it {needs}"
            raise HostError(what, hint="another version of it, or of mcp-host")
        name = self._name(spec, name)
        table = self._table(name, self._process(found.program()))
        table.values["requirements"] = found.requirements
        kind = "is a server and no plugin for this mcp-host" if found.installed.plugins else "is a server and no plugin"
        why = f"{kind}{f', and {needs}' if needs else ''}"
        note = f"{found.installed.label} {why}: it gets an environment and a process of its own."
        return Added(name, table, (note,), found)

    def _file(self, spec: ServerSpec, name: str) -> Added:
        text, _, attribute = spec.text.rpartition(".py")
        path = Path(os.path.abspath(os.path.expanduser(f"{text}.py")))
        try:
            source = path.read_text(encoding="utf-8-sig")
            tree = ast.parse(source)
        except OSError as error:
            raise HostError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
        except (SyntaxError, ValueError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
            raise HostError("the file is not valid Python", where=f"{path}{line}") from None
        base = self.file.path.absolute().parent
        shown = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
        needed = _script_dependencies(source)
        if _is_for_mcp_1(tree):
            command = ["python", shown] if _runs_itself(source) else ["mcp", "run", shown]
            needed = needed or ["mcp<2" if _runs_itself(source) else "mcp[cli]<2"]
            table = Table({"command": command, "requirements": needed, **self._prefix(name)})
            return Added(
                name, table, (f"{shown} is written for mcp 1: it gets an environment and a process of its own.",)
            )
        if needed and not attribute and _runs_itself(source) and not _all_here(needed):
            table = Table({"command": ["python", shown], "requirements": needed, **self._prefix(name)})
            return Added(
                name, table, (f"{shown} names its own dependencies: it gets an environment and a process of its own.",)
            )
        attribute = attribute.removeprefix(":") or _server_in(tree, path)
        return Added(name, Table({"object": f"{shown}:{attribute}", **self._prefix(name)}))


def _server_in(tree: ast.Module, path: Path) -> str:
    """Return the name of the server that a file makes."""
    names = list(dict.fromkeys(_servers(tree)))
    usual = [name for name in _USUAL_NAMES if name in names]
    if usual or len(names) == 1:
        return (usual or names)[0]
    what = f"has several servers: {', '.join(names)}" if names else "has no server that can be seen without running it"
    raise HostError(
        f"the file {what}", where=str(path), hint=f"mcp-host add {path.name}:{names[0] if names else 'NAME'}"
    )


def _servers(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            if _last_name(node.value.func) in _SERVERS:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _last_name(node.returns) in _SERVERS:
            yield node.name


def _last_name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_for_mcp_1(tree: ast.Module) -> bool:
    """Return whether a file imports what mcp 2 does not have any more."""
    imported = [
        name
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    ]
    return any(name == "mcp.server.fastmcp" or name.startswith("mcp.server.fastmcp.") for name in imported)


def _runs_itself(source: str) -> bool:
    return bool(re.search(r"\.run(?:_stdio)?(?:_async)?\(|stdio_server\(", source))


def _script_dependencies(source: str) -> list[str]:
    match = _SCRIPT.search(source)
    if match is None:
        return []
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in match["content"].splitlines(keepends=True))
    try:
        found: Any = tomllib.loads("".join(lines)).get("dependencies", [])
    except tomllib.TOMLDecodeError:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _all_here(needed: Sequence[str]) -> bool:
    from mcp_host.plugins.requirements import installed_now

    here = installed_now(GROUP)
    return all(
        (found := here.get(canonicalize_name(each.name))) is not None
        and each.specifier.contains(found.version, prereleases=True)
        for each in requirements(needed)
    )
