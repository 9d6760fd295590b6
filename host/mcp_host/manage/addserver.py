"""The forms of `mcp-host add` that name a server and no plugin: `uvx:`, `npx:`, `pypi:`, a URL and a Python file."""

from __future__ import annotations

import ast
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mcp_host.errors import ErrorCode, HostError
from mcp_host.manage.importing.entries import Server
from mcp_host.manage.importing.plan import plugin_name, used_variables
from mcp_host.manage.importing.substitutes import NotImportedError, Surroundings
from mcp_host.manage.importing.tables import IsHostError, Table, TableMaker
from mcp_host.manage.importing.variables import Variables
from mcp_host.plugins.discovery import GROUP
from mcp_host.plugins.metadata import HOST_DISTRIBUTION, requirements

if TYPE_CHECKING:
    from mcp_host.manage.editedfile import EditedFile
    from mcp_host.plugins.requirements import Installed

Kind = Literal["uvx", "npx", "pypi", "url", "file"]

_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")
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
class Added:
    """A plugin's table that `add` writes, and what it says about it."""

    name: str
    table: Table
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """What the metadata of a distribution says: whether it is a plugin, and how it is started as a server."""

    installed: Installed
    scripts: tuple[str, ...]
    modules: tuple[str, ...]
    """Packages that `python -m` runs."""

    def program(self) -> list[str]:
        """Return the command that starts it.

        Raises:
            HostError: It has no program, or several and none with its name.
        """
        key = self.installed.key
        same = [script for script in self.scripts if canonicalize_name(script) == key]
        servers = [script for script in self.scripts if "mcp" in script or "server" in script]
        for found in (self.scripts, same, servers):
            if len(found) == 1:
                return [found[0]]
        if len(self.modules) == 1 and not self.scripts:
            return ["python", "-m", self.modules[0]]
        pinned = f'requirements = ["{self.installed.name}=={self.installed.version}"]'
        if not self.scripts:
            raise HostError(f"{self.installed.label} is no plugin and has no program", hint=f"a library? {pinned}")
        raise HostError(
            f"{self.installed.label} has several programs: {', '.join(self.scripts)}",
            hint=f'write one into the file: [plugins.NAME] command = ["{self.scripts[0]}"], {pinned}',
        )

    def conflicts(self, here: Mapping[str, Installed]) -> list[str]:
        """Return what it needs and cannot have beside mcp-host."""
        needed = _needed_by_host(here)
        return [
            f"{each.name}{each.specifier}, and {here[key].label} is here"
            for each in requirements(self.installed.requires)
            if (key := canonicalize_name(each.name)) in needed
            and not each.specifier.contains(here[key].version, prereleases=True)
        ]


def look_up(text: str, fetch: Callable[[str, Path], None]) -> Distribution:
    """Return what the metadata of a distribution says. `fetch` installs it, alone, into a folder."""
    from mcp_host.plugins.metadata import scan
    from mcp_host.plugins.requirements import installed_now

    try:
        wanted = Requirement(re.sub(r"^([\w.-]+(?:\[[^\]]*\])?)@(?=\d)", r"\1==", text))
    except InvalidRequirement:
        raise HostError(f"{text!r} is not a distribution's name", hint="pypi:NAME, or pypi:NAME==1.2") from None
    key = canonicalize_name(wanted.name)
    with tempfile.TemporaryDirectory(prefix="mcp-host-") as folder:
        fetch(str(wanted), Path(folder))
        found = installed_now(GROUP, [folder]).get(key)
        if found is None:
            raise HostError(f"what was installed for {text!r} is not {wanted.name}")
        points = scan([folder])[key].entry_points
        scripts = tuple(sorted(point.name for point in points.select(group="console_scripts")))
        modules = tuple(sorted(path.parent.name for path in Path(folder).glob("*/__main__.py")))
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return Distribution(replace(found, name=f"{found.name}{extras}"), scripts, modules)


def _needed_by_host(here: Mapping[str, Installed]) -> set[str]:
    """Return the installed distributions that mcp-host needs, and itself."""
    found, waiting = set[str](), [HOST_DISTRIBUTION]
    while waiting:
        key = waiting.pop()
        if key not in found and key in here:
            found.add(key)
            waiting += [canonicalize_name(each.name) for each in requirements(here[key].requires)]
    return found


@dataclass(frozen=True)
class ServerAdder:
    """Makes the tables of servers for one file. `arguments` are the server's own, from after `--`."""

    file: EditedFile
    arguments: Sequence[str]
    fetch: Callable[[str, Path], None]

    def added(self, spec: ServerSpec, name: str | None) -> Added | str:
        """Return the table of a server, or for a plugin, what pip is to install.

        Raises:
            HostError: It cannot be served, or there is a table with this name.
        """
        if spec.kind in ("url", "file") and self.arguments:
            raise HostError(f"{spec.text} takes no arguments", where="command line: --", hint="remove what is after --")
        if spec.kind == "pypi":
            return self._pypi(spec, name)
        name = self._name(spec, name)
        if spec.kind == "url":
            return Added(name, self._table(name, Server(url=spec.text)))
        if spec.kind == "file":
            return self._file(spec, name)
        runner = ["npx", "-y"] if spec.kind == "npx" else ["uvx"]
        return Added(name, self._table(name, Server(command=[*runner, spec.text, *self.arguments])))

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
        maker = TableMaker(name, "command line", Surroundings(os.environ, Path.home(), base, "none"), variables)
        try:
            return maker.table(server)
        except NotImportedError as error:
            raise HostError(f"{name} cannot be added: {error}", where="command line") from None
        except IsHostError:
            raise HostError("this is mcp-host itself", where="command line") from None

    def _pypi(self, spec: ServerSpec, name: str | None) -> Added | str:
        from mcp_host.plugins.requirements import installed_now

        found = look_up(spec.text, self.fetch)
        pinned = f"{found.installed.name}=={found.installed.version}"
        conflicts = found.conflicts(installed_now(GROUP))
        needs = f"needs {'; '.join(conflicts)}" if conflicts else ""
        if found.installed.plugins and not conflicts:
            if name or self.arguments:
                raise HostError(
                    f"{found.installed.label} is a plugin: its name is its own, and it takes settings, not arguments",
                    where="command line",
                    hint=f"mcp-host add {spec.text}",
                )
            return pinned if spec.text != found.installed.name else found.installed.name
        if found.installed.plugins:
            plugin = found.installed.plugins[0]
            self._name(replace(spec, text=plugin), plugin)
            table = Table({"isolation": "process", "requirements": [pinned]})
            return Added(plugin, table, (f"{found.installed.label} {needs}: it gets a process of its own.",))
        name = self._name(spec, name)
        table = self._table(name, Server(command=[*found.program(), *self.arguments]))
        table.values["requirements"] = [pinned]
        why = f"is a server and no plugin{f', and {needs}' if needs else ''}"
        return Added(name, table, (f"{found.installed.label} {why}: it gets an environment and a process of its own.",))

    def _file(self, spec: ServerSpec, name: str) -> Added:
        text, _, attribute = spec.text.rpartition(".py")
        path = Path(os.path.abspath(os.path.expanduser(f"{text}.py")))
        try:
            source = path.read_text(encoding="utf-8")
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
            table = Table({"command": command, "requirements": needed})
            return Added(
                name, table, (f"{shown} is written for mcp 1: it gets an environment and a process of its own.",)
            )
        if needed and not attribute and _runs_itself(source) and not _all_here(needed):
            table = Table({"command": ["python", shown], "requirements": needed})
            return Added(
                name, table, (f"{shown} names its own dependencies: it gets an environment and a process of its own.",)
            )
        attribute = attribute.removeprefix(":") or _server_in(tree, path)
        return Added(name, Table({"object": f"{shown}:{attribute}"}))


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
