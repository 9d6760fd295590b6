"""`mcp-host install` and `mcp-host uninstall`: add the entry that starts mcp-host to a client's file, and remove it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.common import ConfigOption, FileArgument, JsonOption, file_or_config, read_config
from mcp_host.cli.output import json_text, print_json, problem_text, table, write
from mcp_host.config import load_config
from mcp_host.errors import ConfigError, HostError, InvalidConfigError, Problem, did_you_mean
from mcp_host.manage.verify import verified
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.manage.clients.clientconfig import Client, ClientFile, Entry, Machine

PRINTED = "json"
"""The name that stands for no client: the entry is printed."""

ClientArgument = Annotated[
    str | None, typer.Argument(metavar="CLIENT", help="claude-desktop, claude-code, cursor ...: --list shows them all.")
]
NameOption = Annotated[
    str | None, typer.Option("--name", "-n", help="The server's name in the client. Default: [host] name.")
]
ProjectOption = Annotated[
    bool, typer.Option("--project", help="Use the client's file in this folder instead of the user's.")
]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Use this client file instead of the usual one.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the change and write nothing.")]


def install(
    client: ClientArgument = None,
    server: FileArgument = None,
    name: NameOption = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--env-var",
            "-v",
            metavar="KEY=VALUE",
            help="An environment variable for the server. KEY alone takes its current value. May be repeated.",
        ),
    ] = None,
    env_files: Annotated[
        list[Path] | None,
        typer.Option("--env-file", "-f", metavar="FILE", help="Environment variables from a .env file; -v wins."),
    ] = None,
    config: ConfigOption = None,
    http: Annotated[
        bool, typer.Option("--http", help="Add the URL of the running server instead of a command.")
    ] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Add this URL: like --http, for another address.")
    ] = None,
    project: ProjectOption = False,
    file: FileOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an entry with this name for another server.")] = False,
    dry_run: DryRunOption = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Start the server as the client would, and refuse if a plugin does not work."
        ),
    ] = True,
    list_clients: Annotated[
        bool, typer.Option("--list", help="Show the clients, their files and what is in them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add this server to the settings of an MCP client.

    The entry starts mcp-host with this interpreter and this configuration, both with absolute paths, or with uvx where
    that runs this command. PYTHONPATH is written into it if it is set. Nothing is written while an enabled plugin does
    not work in the environment that the client gives, or needs a variable that it does not give. Everything else in the
    file stays the same. The old file is kept as FILE.bak.
    """
    if list_clients:
        _list(project, as_json)
        return
    target = _target(client, project, file)
    settings = _settings(file_or_config(server, config))
    name = server_name(name, settings)
    env = _environment(env_files or (), values or ())
    if http or url is not None:
        entry = _url_entry(target, url or url_of(settings), env)
    else:
        entry = command_entry(target, settings, env)
    verify = verify and not dry_run
    if target is None:
        _warn_of_environment(entry, env, settings, verify=verify)
        if verify:
            _report_verified(_verified(entry, settings, ""), sys.stderr)
        print_json({"mcpServers": {name: entry}})
        return
    _install(_Change(target, name, project, dry_run, as_json), entry, settings, env, force=force, verify=verify)


def uninstall(
    client: ClientArgument = None,
    server: FileArgument = None,
    name: NameOption = None,
    config: ConfigOption = None,
    project: ProjectOption = False,
    file: FileOption = None,
    force: Annotated[bool, typer.Option("--force", help="Remove an entry for another server, too.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove this server from the settings of an MCP client.

    Without --name, it removes the one entry for the configuration in use, or for FILE. Everything else in the file
    stays the same.
    """
    config = file_or_config(server, config)
    target = _target(client, project, file)
    if target is None:
        raise HostError(
            f"{PRINTED} is printed, not installed", where="command line: CLIENT", hint="mcp-host install --list"
        )
    name = name or _installed_name(target, config)
    entry = target.entry(name)
    if entry is None:
        raise HostError(
            f"{target.client.title} has no server {name!r}{did_you_mean(name, target.entries())}",
            where=str(target.path),
            hint="mcp-host install --list   (shows what is installed)",
        )
    if not force and not _is_ours(entry, config):
        raise HostError(
            f"the entry {name!r} does not start mcp-host",
            where=str(target.path),
            hint="--force removes it anyway",
        )
    change = _Change(target, name, project, dry_run, as_json)
    text = target.undone(name)
    change.show(text, entry)
    if dry_run:
        return
    backup = target.write(text, mode=change.mode(entry))
    if as_json:
        print_json({"client": target.client.name, "file": str(target.path), "name": name, "backup": _text(backup)})
        return
    if text is None:
        write(printable(f"Removed {target.path}, which contained only {name}."))
    elif text == target.backup_text():
        write(printable(f"{target.path} is again the file from before {name} was installed."))
    else:
        write(printable(f"Removed {name} from {target.path}.{f' The old file: {backup}' if backup else ''}"))
    if variables := target.variables_in_backup(name):
        _note(f"{target.backup} still has the values of {', '.join(variables)}")


@dataclass(frozen=True)
class _Change:
    """One change to a client's file, and how it is shown."""

    file: ClientFile
    name: str
    project: bool
    dry_run: bool
    as_json: bool

    def show(self, text: str | None, *entries: Entry | None) -> None:
        """With `--dry-run`, show the change."""
        if not self.dry_run:
            return
        hide = {key for entry in entries if entry for key in entry.get("env", {})}
        diff = self.file.diff(text, hide)
        if self.as_json:
            print_json({"client": self.file.client.name, "file": str(self.file.path), "name": self.name, "diff": diff})
            return
        write(printable(diff or f"{self.file.path} would not change."))
        write("Nothing was written.")

    def mode(self, entry: Entry) -> int:
        """Return the permissions of a new file. Others may read a project's file, if it has no variables."""
        return 0o644 if self.project and not entry.get("env") else 0o600


def _install(
    change: _Change, entry: Entry, settings: HostConfig, given: Mapping[str, str], *, force: bool, verify: bool
) -> None:
    from mcp_host.manage.clients.clientconfig import merged

    target, name, old = change.file, change.name, change.file.entry(change.name)
    if old is not None and not force:
        _refuse_other(target, name, old, entry)
    entry = merged(old, entry)
    text = target.with_entry(name, entry)
    _warn(target, entry, [*given, *(old or {}).get("env", {})], change.project)
    _warn_of_environment(entry, given, settings, verify=verify)
    change.show(text, entry, old)
    if change.dry_run:
        return
    tools = _verified(entry, settings, str(target.path)) if verify else None
    backup = target.write(text, mode=change.mode(entry)) if text != target.text else None
    if change.as_json:
        data = {"client": target.client.name, "file": str(target.path), "name": name, "backup": _text(backup)}
        print_json({**data, "changed": text != target.text, "tools": tools})
        return
    if verify:
        _report_verified(tools, sys.stdout)
    if text == target.text:
        write(printable(f"{target.path} already has the entry {name}."))
        return
    what = f"Replaced {name} in" if old is not None else f"Added {name} to"
    write(printable(f"{what} {target.path}"))
    if backup is not None:
        write(printable(f"The old file: {backup}"))
    write(target.client.after)


def _verified(entry: Entry, settings: HostConfig, where: str) -> int | None:
    """Check that an entry serves everything that is enabled, and return the number of tools, if that needs no token."""
    from mcp_host.manage.clientenv import client_environment, not_given

    path = _config_path(settings)
    if "command" in entry:
        environment = client_environment(entry.get("env", {}))
        # As the client will read it: without the variables that are set only here.
        problems = list(not_given(load_config(Path(path), environ=environment), environment, os.environ))
        if problems:
            raise InvalidConfigError([*problems, Problem("nothing was written", where, "--no-verify writes it anyway")])
    return verified(entry, config=path, where=where)


def _warn_of_environment(entry: Entry, given: Mapping[str, str], settings: HostConfig, *, verify: bool) -> None:
    """Report what of this environment the entry has, and what it has not."""
    from mcp_host.manage.clientenv import client_environment, not_given, only_here

    if "command" not in entry:
        return
    env = entry.get("env", {})
    if names := [name for name in env if name not in given and os.environ.get(name)]:
        _note(f"the entry sets what is set here: {', '.join(names)}", "note")
    for name in only_here(env, os.environ):
        _note(f"{name} is set here and changes what is served; the client does not set it: -v {name} adds it")
    if not verify:
        for problem in not_given(settings, client_environment(env), os.environ):
            write(problem_text(problem, "warning"), sys.stderr)


def _refuse_other(target: ClientFile, name: str, old: Entry, new: Entry) -> None:
    """Refuse to replace an entry for another server."""
    from mcp_host.manage.clients.clientconfig import entry_url
    from mcp_host.manage.clients.launch import served_config

    served = served_config(old)
    if served is not None and served == served_config(new):
        return
    if entry_url(old) is not None and entry_url(old) == entry_url(new):
        return
    whose = f"serves {served}" if served is not None else "does not start mcp-host"
    raise HostError(
        f"there is already a server {name!r}, and it {whose}",
        where=str(target.path),
        hint="--name OTHER adds another entry, --force replaces this one; --force --dry-run shows the change",
    )


def _warn(target: ClientFile, entry: Entry, given: Iterable[str], project: bool) -> None:
    if env := [key for key in entry.get("env", {}) if key in given]:
        readers = "that is meant to be shared" if project else "that the client and your other programs can read"
        _note(f"the values of {', '.join(env)} are written in clear text into {target.path}, a file {readers}")
    for text in target.client.expanded(entry):
        key = next((key for key, value in entry.get("env", {}).items() if value == text), None)
        _note(f"{target.client.title} replaces what looks like a variable in {f'the value of {key}' if key else text}")
    if project and "command" in entry:
        _note("the entry has the paths of this machine; others who share the folder need their own entry")


def _report_verified(tools: int | None, out: Any) -> None:
    if tools is None:
        write("The server answers, and wants a token: the client signs in, or its entry needs a header.", out)
    else:
        write(f"Verified: every plugin works, and the server answers with {tools} tool{'s' * (tools != 1)}.", out)


def _note(text: str, label: str = "warning") -> None:
    write(printable(f"{label}: {text}"), sys.stderr)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def this_machine() -> Machine:
    from mcp_host.manage.clients.clientconfig import Machine

    return Machine(os.environ, sys.platform, Path.cwd())


def _target(name: str | None, project: bool, file: Path | None) -> ClientFile | None:
    """Return the client's file, already read, or None if the entry is to be printed."""
    from mcp_host.manage.clients.clientconfig import ClientFile, load_clients

    clients = load_clients()
    if name is None:
        known = ", ".join([*clients, PRINTED])
        raise HostError(f"which client? {known}", where="command line: CLIENT", hint="mcp-host install --list")
    if name == PRINTED:
        return None
    if name not in clients:
        suggestion = did_you_mean(name, [*clients, PRINTED])
        raise HostError(
            f"there is no client {name!r}{suggestion}", where="command line", hint="mcp-host install --list"
        )
    client = clients[name]
    if file is not None:
        return ClientFile.read(client, file.absolute())
    if project:
        return ClientFile.read(client, _project_file(client))
    path, present = this_machine().locate(client)
    if not present and not path.exists():
        raise HostError(
            f"{client.title} does not seem to be installed here",
            where=str(path.parent),
            hint=f"start {client.title} once, or name its file: --file {shlex.quote(str(path))}",
        )
    return ClientFile.read(client, path)


def _project_file(client: Client) -> Path:
    if client.project is None:
        raise HostError(f"{client.title} has no files for projects", where="command line: --project")
    return Path.cwd() / client.project


def _settings(config: Path | None) -> HostConfig:
    settings = read_config(config)
    if settings.path is None:
        raise ConfigError("there is no mcp-host.toml to serve", where=str(Path.cwd()), hint="mcp-host init")
    return settings


def _config_path(settings: HostConfig) -> str:
    assert settings.path is not None
    return os.path.abspath(settings.path)


def server_name(name: str | None, settings: HostConfig) -> str:
    from mcp_host.manage.clients.clientconfig import NAME

    if name is None:
        return re.sub(r"[^A-Za-z0-9_-]+", "-", settings.host.name).strip("-")[:64] or "mcp-host"
    if not NAME.fullmatch(name):
        raise HostError(
            f"{name!r} is not a name that every client accepts: letters, digits, _ and -, at most 64",
            where="command line: --name",
        )
    return name


def _environment(files: Iterable[Path], values: Iterable[str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for file in files:
        env |= _env_file(file)
    for given in values:
        key, equals, value = given.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            # The text is not shown: it may be a secret without its key.
            raise HostError("a variable is KEY=VALUE", where="command line: -v", hint="-v API_TOKEN=...")
        if not equals and key not in os.environ:
            raise HostError(f"{key} is not set here", where="command line: -v", hint=f"-v {key}=VALUE")
        env[key] = value if equals else os.environ[key]
    return env


def _env_file(file: Path) -> dict[str, str]:
    from io import StringIO

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise HostError(f"the file cannot be read: {reason}", where=str(file)) from None
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise HostError("this is not KEY=VALUE", where=f"{file}:{binding.original.line}")
    return {key: value for key, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def command_entry(target: ClientFile | None, settings: HostConfig, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the entry that starts mcp-host with a configuration, with what it needs of the environment here.

    Raises:
        HostError: What it would start will not stay.
    """
    from mcp_host.manage.clientenv import carried
    from mcp_host.manage.environment import temporary
    from mcp_host.manage.uvx import uv_variables, uvx_words

    if not sys.executable:
        raise HostError("the path of this Python is not known", where="sys.executable")
    path = _config_path(settings)
    # -P: nothing is imported from the client's working directory, which may be any project.
    words: tuple[str, ...] = (sys.executable, "-P", "-m", "mcp_host")
    needed = carried(os.environ)
    maker = temporary(Path(sys.prefix))
    if maker == "uvx":
        words = uvx_words(settings, os.environ)
        needed |= uv_variables({name: value for name, value in os.environ.items() if name not in env})
    elif maker is not None or is_in_cache(Path(sys.prefix)):
        raise HostError(
            "mcp-host runs in a cache, which may be deleted, and an entry that starts it would stop working",
            where=sys.prefix,
            hint="uv tool install mcp-host, or pipx install mcp-host, then its mcp-host install",
        )
    command, *rest = words
    args, env = [*rest, "run", "--transport", "stdio", "--config", path], {**needed, **env}
    if target is None:
        return {"command": command, "args": args, **({"env": env} if env else {})}
    return target.client.command_entry(command, args, env, Path(path).parent)


def is_in_cache(path: Path) -> bool:
    """Return whether a path is in a folder that the user may empty. Poetry keeps its environments in such a folder."""
    return not {".cache", "Caches"}.isdisjoint(path.parts) and "pypoetry" not in path.parts


def _url_entry(target: ClientFile | None, url: str, env: Mapping[str, str]) -> dict[str, Any]:
    if env:
        raise HostError("a running server takes no variables", where="command line: -v, -f")
    entry = {"type": "http", "url": url} if target is None else target.client.url_entry(url)
    if entry is None:
        assert target is not None
        raise HostError(
            f"{target.client.title} accepts no URL in its file",
            where="command line: --http",
            hint="without it, the entry is a command",
        )
    return entry


def url_of(settings: HostConfig) -> str:
    if settings.transport.kind != "http" or not settings.transport.port:
        raise ConfigError(
            "the configuration has no URL",
            where=settings.where("transport"),
            hint='[transport] kind = "http", with a port; or --url URL',
        )
    from mcp_host.server.http.app import url

    return url(settings)


def _is_ours(entry: Entry, config: Path | None) -> bool:
    from mcp_host.manage.clients.clientconfig import entry_url
    from mcp_host.manage.clients.launch import served_config

    if served_config(entry) is not None:
        return True
    url = entry_url(entry)
    if url is None:
        return False
    try:
        return url == url_of(_settings(config))
    except HostError:
        return False


def _installed_name(target: ClientFile, config: Path | None) -> str:
    """Return the name of the only entry for the configuration in use, or without one, mcp-host's only entry."""
    from mcp_host.manage.clients.launch import served_config

    ours = {name: served_config(entry) for name, entry in target.entries().items() if isinstance(entry, dict)}
    ours = {name: path for name, path in ours.items() if path is not None}
    try:
        path = _config_path(_settings(config))
    except HostError:
        # The configuration may have been deleted, which is a reason to uninstall.
        if config is not None:
            path = os.path.abspath(config)
        elif len(ours) == 1:
            return next(iter(ours))
        else:
            path = ""
    names = [name for name, served in ours.items() if served == path]
    if len(names) == 1:
        return names[0]
    found = ", ".join(ours) if ours else "none"
    raise HostError(
        f"which entry? mcp-host's entries in {target.client.title}: {found}",
        where=str(target.path),
        hint="--name NAME",
    )


def _list(project: bool, as_json: bool) -> None:
    from mcp_host.manage.clients.clientconfig import load_clients

    clients = [client for client in load_clients().values() if client.project is not None or not project]
    listed = [_listed(client, project) for client in clients]
    if as_json:
        write(json_text({"clients": listed}))
        return
    rows = [(x["client"], x["title"], "yes" if x["present"] else "no", _servers(x), x["file"] or "") for x in listed]
    write(table(("client", "", "found", "installed", "file"), rows, sys.stdout))
    write(f"\nAny other client: mcp-host install {PRINTED} prints the entry.")


def _listed(client: Client, project: bool) -> dict[str, Any]:
    from mcp_host.manage.clients.clientconfig import ClientFile
    from mcp_host.manage.clients.launch import served_config

    listed: dict[str, Any] = {"client": client.name, "title": client.title, "present": False, "file": None}
    listed |= {"servers": [], "error": None, "sources": client.sources}
    try:
        if project:
            path = _project_file(client)
            present = path.exists()
        else:
            path, present = this_machine().locate(client)
        listed |= {"present": present, "file": str(path)}
        entries = ClientFile.read(client, path).entries()
    except HostError as error:
        listed["error"] = asdict(error.problem)
        return listed
    served = {name: served_config(entry) for name, entry in entries.items() if isinstance(entry, dict)}
    listed["servers"] = [{"name": name, "config": path} for name, path in served.items() if path is not None]
    return listed


def _servers(listed: Mapping[str, Any]) -> str:
    if listed["error"]:
        return "cannot be read"
    names: Sequence[str] = [server["name"] for server in listed["servers"]]
    return ", ".join(names)
