"""`mcp-host enable`, `disable`, `add`, `remove` and `sync`: what is installed and switched on; imports no plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host._version import __version__
from mcp_host.cli.common import ConfigOption, JsonOption
from mcp_host.cli.output import print_json, problem_lines, problem_text, records_table, write
from mcp_host.config import HostConfig, find_config, parse_config
from mcp_host.discovery import GROUP, HOST_DISTRIBUTION, InstalledPlugin, check_compatible, discover, find
from mcp_host.errors import ConfigError, HostError, InvalidConfigError, did_you_mean
from mcp_host.logs import printable
from mcp_host.records import Contributed, PluginRecord, Problem, Stage

if TYPE_CHECKING:
    from mcp_host.configedit import Edit
    from mcp_host.environment import Environment
    from mcp_host.requirements import Installed, Wanted

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the installer writes.")]

FILE_NAME = "mcp-host.toml"


def enable(
    names: Annotated[list[str], typer.Argument(metavar="PLUGIN", help="Installed plugins.")],
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch on installed plugins: name them in mcp-host.toml.

    Imports none of them.
    """
    from mcp_host.configedit import enable_plugin

    installed = discover()
    file = _File.find(config, create=True, installed=installed)
    names = [each for name in names for each in _plugins_of(name, installed, file.config.plugins)]
    problems = []
    for name in names:
        section = file.config.plugins.get(name)
        try:
            if section is None or section.object is None:
                check_compatible(find(name, installed))
        except HostError as error:
            meant = re.search(r"did you mean '(.*)'", error.what)
            mend = f"mcp-host enable {meant[1]}" if meant else f"mcp-host add {_guess(name)}"
            mend = mend if "is not installed" in error.what else error.mend
            problems.append(ConfigError(error.what, where=error.where, mend=mend))
    if problems:
        raise InvalidConfigError(problems)
    before = {name for name, section in file.config.plugins.items() if section.enabled}
    file.apply(lambda text: _each(text, enable_plugin, names), write=not dry_run)
    if as_json:
        print_json({**file.to_json(dry_run), "plugins": names})
        return
    file.report(dry_run)
    for name in names:
        _say(f"{name} is enabled already." if name in before else f"{_done('Enabled', dry_run)} {name}.")
    if not dry_run:
        _say(f"Next: mcp-host check{file.option}")


def disable(
    names: Annotated[list[str], typer.Argument(metavar="PLUGIN", help="Plugins that mcp-host.toml names.")],
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch off plugins and keep their settings.

    Writes enabled = false into their tables. Imports none of them.
    """
    from mcp_host.configedit import disable_plugin

    file = _File.find(config)
    installed = discover()
    names = [each for name in names for each in _plugins_of(name, installed, file.config.plugins)]
    known = {plugin.name for plugin in installed} | set(file.config.plugins)
    _refuse_unknown(names, known, file)
    before = {name for name, section in file.config.plugins.items() if section.enabled}
    named = [name for name in names if name in file.config.plugins]
    file.apply(lambda text: _each(text, disable_plugin, named), write=not dry_run)
    if as_json:
        print_json({**file.to_json(dry_run), "plugins": names})
        return
    file.report(dry_run)
    for name in names:
        _say(f"{_done('Disabled', dry_run)} {name}." if name in before else f"{name} is not enabled.")


def add(
    specs: Annotated[
        list[str] | None,
        typer.Argument(metavar="DISTRIBUTION", help='As pip takes it: a name, "name>=1.2", a path, a wheel, a URL.'),
    ] = None,
    editable: Annotated[
        list[str] | None,
        typer.Option("--editable", "-e", metavar="DIR", help="A project to install in place. May be repeated."),
    ] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Install the newest version that fits.")] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Install plugins where mcp-host runs, and switch them on.

    With whatever made this environment: uv tool, pipx, uv or pip. mcp-host itself stays at its version. Then loads the
    plugins and shows what they contribute. What brings no plugin that fits is uninstalled again.
    """
    from mcp_host.configedit import enable_plugin, set_requires
    from mcp_host.environment import detect

    file = _File.find(config, create=True)
    wanted = _wanted(specs or (), editable or (), file)
    if not wanted:
        mend = "mcp-host add --help"
        raise HostError("there is nothing to add", where="command line: mcp-host add", mend=mend)
    requires = _merged(file, wanted)
    environment = detect()
    if dry_run:
        file.apply(lambda text: set_requires(text, requires), write=False)
        if as_json:
            print_json({**file.to_json(dry_run), "environment": _describe(environment)})
            return
        file.report(dry_run)
        _say(f"Would install {_names(wanted)} with {environment.installer} in {environment.prefix},")
        _say("and enable the plugins that this brings.")
        return
    run = _Run.install(environment, wanted, upgrade=upgrade, verbose=verbose)
    with run.undone_on_error():
        plugins, others = run.plugins()
        file.apply(lambda text: set_requires(_each(text, enable_plugin, plugins), requires), write=True)
    loaded = _load(file, plugins)
    if as_json:
        data = {"installed": run.changes(), "plugins": [record.to_json() for record in loaded or ()]}
        print_json({**file.to_json(dry_run), "environment": _describe(environment), **data})
        return
    for change in run.changes():
        was = f" (was {change['before']})" if change["before"] else ""
        if change["asked"]:
            _say(f"Installed {change['distribution']} {change['version']}{was}.")
    file.report(dry_run)
    _say(f"Enabled {', '.join(plugins)} in {file.shown}.")
    if others:
        _say(f"Installed as well, and not enabled: {', '.join(others)}.")
    if loaded is not None:
        write("\n" + records_table(loaded, sys.stdout))
        for record in loaded:
            for kind, served in asdict(record.contributed).items():
                if served:
                    _say(f"{record.name} {kind}: {', '.join(served)}")
        for line in problem_lines(loaded):
            write("\n" + line, sys.stderr)
    if environment.note:
        _say(f"\nNote: {environment.note}")


def remove(
    names: Annotated[list[str], typer.Argument(metavar="PLUGIN", help="Plugins, or distributions.")],
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take plugins out of mcp-host.toml and uninstall them.

    Shows the lines it takes out, and keeps the file as it was as mcp-host.toml.bak if they held anything. A
    distribution stays when another plugin in the file comes from it, or another distribution needs it.
    """
    from mcp_host.configedit import masked, remove_plugin, set_requires
    from mcp_host.environment import detect, run
    from mcp_host.requirements import installed_now

    file = _File.find(config)
    plugins, distributions = discover(), installed_now(GROUP)
    leaving = _Leaving.of(names, file, plugins, distributions)
    environment = detect() if leaving.uninstall else None
    removed = ""

    def change(text: str) -> str:
        nonlocal removed
        removed = ""
        for name in leaving.plugins:
            text, lines = remove_plugin(text, name)
            removed += lines
        return set_requires(text, leaving.requires)

    backup = file.apply(change, write=not dry_run, backup=lambda: _holds_more(removed))
    if environment is not None and not dry_run:
        commands = environment.uninstall(leaving.uninstall)
        with _status(f"Uninstalling {', '.join(leaving.uninstall)} with {environment.installer} ..."):
            _run(lambda: run(commands, show=verbose), f"{environment.installer} could not uninstall", environment)
    if as_json:
        data = {"removed": masked(removed), "uninstalled": leaving.uninstall, "kept": leaving.kept}
        print_json({**file.to_json(dry_run), "plugins": leaving.plugins, **data})
        return
    if dry_run:
        file.report(dry_run)
    elif leaving.plugins:
        _say(f"Removed {', '.join(leaving.plugins)} from {file.shown}:\n")
        _say("".join(f"    {line}\n" for line in masked(removed).splitlines()))
    elif file.edit is not None and file.edit.changed:
        _say(f"Removed {', '.join(names)} from [host] requires in {file.shown}.")
    if backup is not None:
        _say(f"The file as it was: {_shown(backup)}")
    for name, why in leaving.kept.items():
        _say(f"{name} stays installed: {why}.")
    if leaving.uninstall:
        _say(f"{_done('Uninstalled', dry_run)} {', '.join(leaving.uninstall)}.")


def sync(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what is missing, and exit with 1 if anything is.")
    ] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> int:
    """Install what [host] requires names and is missing.

    Uninstalls nothing. After `uv tool upgrade`, on another machine, in a container: the same plugins again.
    """
    from mcp_host.environment import detect
    from mcp_host.requirements import installed_now, what_is_missing

    file = _File.find(config)
    wanted = _required(file)

    def missing() -> dict[str, str]:
        installed = installed_now(GROUP)
        return {each.text: why for each in wanted if (why := what_is_missing(each, installed))}

    before = after = missing()
    if before and not check:
        _Run.install(detect(), [each for each in wanted if each.text in before], upgrade=False, verbose=verbose)
        after = missing()
    installed = {plugin.name for plugin in discover()}
    homeless = [
        name
        for name, section in file.config.plugins.items()
        if section.enabled and section.object is None and name not in installed
    ]
    if after:
        homeless = []  # they may come with what is missing
    if as_json:
        states = [{"requirement": each.text, "missing": after.get(each.text)} for each in wanted]
        done = [text for text in before if text not in after]
        print_json({"config": str(file.path), "requires": states, "installed": done, "not_installed": homeless})
    else:
        for text in before:
            if text in after:
                _say(f"missing: {text} ({after[text]})")
            else:
                _say(f"Installed {text}.")
        for name in homeless:
            problem = Problem(
                f"plugin {name!r} is enabled, not installed, and nothing in [host] requires brings it",
                file.config.where("plugins", name),
                f"mcp-host add {_guess(name)}",
            )
            write(problem_text(problem, "error"), sys.stderr)
        if not wanted:
            _say(f"{file.shown} has no [host] requires: `mcp-host add` writes it.")
        elif not before:
            _say(f"All of [host] requires in {file.shown} is installed.")
        elif check:
            _say(f"mcp-host sync{file.option} installs it.")
    return 1 if after or homeless else 0


# --- The file


class _File:
    """The mcp-host.toml that a command changes."""

    def __init__(self, path: Path, text: str, config: HostConfig, *, new: bool, option: str) -> None:
        self.path = path
        self.config = config
        self.new = new
        self.option = option
        self.edit: Edit | None = None
        self._text = text

    @classmethod
    def find(cls, asked: Path | None, *, create: bool = False, installed: Sequence[InstalledPlugin] = ()) -> _File:
        """Find the file as all commands do; with `create`, one that is not there is made when it is changed."""
        from mcp_host.configedit import edit_file, new_config

        path = find_config(asked, os.environ, Path.cwd())
        new = path is None
        if path is None:
            if not create:
                where = "command line: --config"
                raise ConfigError(f"there is no {FILE_NAME} here", where=where, mend="mcp-host init")
            path = Path.cwd() / FILE_NAME
            text = new_config(name=path.parent.name, enabled=(), installed=installed, http=False)
        else:
            text = edit_file(path, lambda text: text, write=False).before
        # The file alone: what a variable says of this process is not in it.
        config = parse_config(text, source=path, environ={})
        option = "" if asked is None else f" --config {asked}"
        return cls(path, text, config, new=new, option=option)

    @property
    def shown(self) -> str:
        return _shown(self.path)

    def apply(
        self, change: Callable[[str], str], *, write: bool, backup: Callable[[], bool] = lambda: False
    ) -> Path | None:
        """Change the file; return where a copy of it is, if `backup`, asked after the change, wants one."""
        from mcp_host.configedit import Edit, edit_file, write_new

        kept = None

        def keeping(text: str) -> str:
            nonlocal kept
            after = change(text)
            if write and backup():
                kept = self.path.with_name(f"{self.path.name}.bak")
                write_new(kept, text, force=True)
                # It may hold what only its owner may read.
                kept.chmod(self.path.stat().st_mode & 0o777)
            return after

        if not self.new:
            self.edit = edit_file(self.path, keeping, write=write)
        else:
            after = change(self._text)
            parse_config(after, source=self.path, environ={})
            if write and not write_new(self.path, after):
                raise ConfigError(f"{self.path} has come to be meanwhile", where=str(self.path), mend="run this again")
            self.edit = Edit(self.path, "", after)
        return kept

    def report(self, dry_run: bool) -> None:
        from mcp_host.configedit import diff

        assert self.edit is not None
        if dry_run and self.edit.changed:
            _say(diff(self.edit.before, self.edit.after, self.shown))
        elif self.new and not dry_run:
            _say(f"Wrote {self.shown}.")

    def to_json(self, dry_run: bool) -> dict[str, Any]:
        from mcp_host.configedit import diff

        assert self.edit is not None
        changes = diff(self.edit.before, self.edit.after, self.path.name)
        return {"config": str(self.path), "dry_run": dry_run, "changed": self.edit.changed, "diff": changes}


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _say(text: str) -> None:
    write(printable(text))


def _done(word: str, dry_run: bool) -> str:
    return f"Would have {word.lower()}" if dry_run else word


def _each(text: str, change: Callable[[str, str], str], names: Sequence[str]) -> str:
    for name in names:
        text = change(text, name)
    return text


def _holds_more(removed: str) -> bool:
    """Tell whether lines that were taken out say more than that a plugin is enabled."""
    return any(not re.fullmatch(r"\s*(\[[^\[\]]*\])?\s*", line) for line in removed.splitlines())


# --- Names


def _plugins_of(name: str, installed: Sequence[InstalledPlugin], named: Mapping[str, Any]) -> list[str]:
    """Return the plugins that a plugin's or a distribution's name means."""
    from packaging.utils import canonicalize_name

    if name in named or any(plugin.name == name for plugin in installed):
        return [name]
    key = canonicalize_name(name)
    return [plugin.name for plugin in installed if canonicalize_name(plugin.distribution) == key] or [name]


def _refuse_unknown(names: Sequence[str], known: set[str], file: _File) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidConfigError(
            ConfigError(
                f"there is no plugin {name!r}{did_you_mean(name, sorted(known))}",
                where=str(file.path),
                mend=f"mcp-host plugins{file.option}   (lists them)",
            )
            for name in unknown
        )


def _guess(name: str) -> str:
    return name if name.startswith("mcp-plugin-") else f"mcp-plugin-{name}"


def _names(wanted: Sequence[Wanted]) -> str:
    return ", ".join(each.text for each in wanted)


def _wanted(specs: Sequence[str], editable: Sequence[str], file: _File) -> list[Wanted]:
    from mcp_host.requirements import parse_wanted

    installed = discover()
    wanted = []
    for spec in specs:
        # The name of a plugin that is here means its distribution, and not another one on the index.
        if not any(plugin.distribution == spec for plugin in installed):
            spec = next((plugin.distribution for plugin in installed if plugin.name == spec), spec)
        wanted.append((spec, False))
    wanted += [(folder, True) for folder in editable]
    found, problems = [], []
    for spec, in_place in wanted:
        try:
            found.append(parse_wanted(spec, base=Path.cwd(), written=file.config.base_dir, editable=in_place))
        except HostError as error:
            problems.append(ConfigError(error.what, where="command line: mcp-host add", mend=error.mend))
    if problems:
        raise InvalidConfigError(problems)
    return found


def _required(file: _File) -> list[Wanted]:
    from mcp_host.requirements import parse_wanted

    wanted, problems = [], []
    for number, text in enumerate(file.config.host.requires):
        try:
            wanted.append(parse_wanted(text, base=file.config.base_dir))
        except HostError as error:
            where = file.config.where("host", "requires", number)
            problems.append(ConfigError(error.what, where=where, mend=error.mend))
    if problems:
        raise InvalidConfigError(problems)
    return wanted


def _merged(file: _File, wanted: Sequence[Wanted]) -> list[str]:
    """Return `[host] requires` with what is wanted, in the place of what it said of the same distributions."""
    merged = {each.name or each.url or each.text: each.text for each in _required(file)}
    for each in wanted:
        key = each.name or each.url or each.text
        bare = each.requirement is not None and each.text == each.requirement.name
        # Asking for a name again does not take back the range that was asked for before.
        if not (bare and key in merged):
            merged[key] = each.text
    return list(merged.values())


# --- Installing


@contextmanager
def _status(text: str) -> Iterator[None]:
    """Show that something goes on: a spinner on a terminal, a line elsewhere."""
    if not sys.stderr.isatty():
        write(printable(text), sys.stderr)
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text(printable(text))):
        yield


def _describe(environment: Environment) -> dict[str, str]:
    return {"kind": environment.kind, "prefix": str(environment.prefix), "installer": environment.installer}


def _run(action: Callable[[], str], what: str, environment: Environment) -> None:
    """Run an installer; its output is shown when it fails."""
    from mcp_host.environment import InstallerError

    try:
        action()
    except InstallerError as error:
        output = error.output.strip()
        if output:
            write(printable(output) + "\n", sys.stderr)
        mend = "what to do is in what it wrote above" if output else ""
        if re.search(r"mcp[-_]host\W{0,3}[<>=!~]", output):
            mend = f"it needs another mcp-host than {__version__}: {environment.upgrade_host}, or another version of it"
        raise HostError(f"{what}: {error.what}", where=str(environment.prefix), mend=mend) from error


@dataclass(frozen=True)
class _Run:
    """One run of the installer: what was there before it, and after."""

    environment: Environment
    wanted: Sequence[Wanted]
    before: Mapping[str, Installed]
    after: Mapping[str, Installed]
    had: Sequence[InstalledPlugin]

    @classmethod
    def install(cls, environment: Environment, wanted: Sequence[Wanted], *, upgrade: bool, verbose: bool) -> _Run:
        from mcp_host.environment import held, run
        from mcp_host.requirements import find_wanted, installed_now, what_is_missing

        before, had = installed_now(GROUP), discover()
        missing = [
            each for each in wanted if upgrade or what_is_missing(each, before) or (each.url and not each.editable)
        ]
        if missing:
            with held({HOST_DISTRIBUTION: __version__}) as constraints:
                there = [find_wanted(each, before) for each in missing]
                names = [old.key if old else each.name for old, each in zip(there, missing, strict=True)]
                arguments = [each.arguments for each in missing]
                commands = environment.install(
                    list(zip(arguments, names, strict=True)), constraints=constraints, upgrade=upgrade
                )
                with _status(f"Installing {_names(missing)} with {environment.installer} ..."):
                    what = f"{environment.installer} could not install {_names(missing)}"
                    _run(lambda: run(commands, show=verbose), what, environment)
        return cls(environment, wanted, before, installed_now(GROUP), had)

    def asked(self) -> list[Installed]:
        """The distributions that were named."""
        from mcp_host.requirements import find_wanted

        return [found for each in self.wanted if (found := find_wanted(each, self.after)) is not None]

    def changes(self) -> list[dict[str, Any]]:
        """What was installed, or is there in another version than before."""
        asked = {each.key for each in self.asked()}
        return [
            {
                "distribution": each.name,
                "version": each.version,
                "before": old.version if (old := self.before.get(key)) else None,
                "asked": key in asked,
            }
            for key, each in self.after.items()
            if self.before.get(key) != each
        ]

    def plugins(self) -> tuple[list[str], list[str]]:
        """Return the plugins to enable, and those that came along.

        Raises:
            HostError: A distribution brought no plugin, or one that cannot be loaded here.
        """
        asked = self.asked()
        installed = discover()
        new = [plugin.name for plugin in installed if plugin not in self.had]
        wanted = [name for each in asked for name in each.plugins]
        # A distribution that only names others stands for theirs.
        wanted = wanted or new
        problems = []
        for each in asked:
            if not each.plugins and not new:
                problems.append(
                    ConfigError(
                        f"{each.label} has no plugin: no entry point of the group {GROUP!r}",
                        where=str(self.environment.prefix),
                        mend=f"mcp-host add {_guess(each.name)}, if that is what was meant; an MCPServer in a package "
                        'that you install yourself is served with [plugins.NAME] object = "module:attribute"',
                    )
                )
        for name in wanted:
            try:
                check_compatible(find(name, installed))
            except HostError as error:
                problems.append(ConfigError(error.what, where=error.where, mend=self._mend(error)))
        if problems:
            raise InvalidConfigError(problems)
        if not wanted:
            raise HostError(f"{_names(self.wanted)} brought no plugin", where=str(self.environment.prefix))
        return list(dict.fromkeys(wanted)), sorted(set(new) - set(wanted))

    def _mend(self, error: HostError) -> str:
        if "needs mcp-host" in error.what:
            return f"{self.environment.upgrade_host}, or another version of it"
        return error.mend

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Uninstall what came new if the block fails."""
        from mcp_host.environment import run

        try:
            yield
        except HostError:
            new = [key for key in self.after if key not in self.before and key != HOST_DISTRIBUTION]
            if new:
                injected = self.environment.injected | {each.key for each in self.asked()}
                commands = replace(self.environment, injected=injected).uninstall(new)
                with _status(f"Uninstalling {', '.join(new)} again ..."):
                    _run(lambda: run(commands), "what was installed could not be uninstalled again", self.environment)
            raise


# --- Loading, which is another process's work: this one has the modules of before the installation


def _load(file: _File, names: Sequence[str]) -> list[PluginRecord] | None:
    """Have `mcp-host check` load these plugins and no other; None when it gave no answer."""
    others = [name for name, section in file.config.plugins.items() if section.enabled and name not in names]
    command = [sys.executable, "-P", "-m", "mcp_host", "check", "--json", "--config", str(file.path)]
    command += [word for name in others for word in ("--disable", name)]
    with _status(f"Loading {', '.join(names)} ..."):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    try:
        plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
        return [_record(plugins[name]) for name in names]
    except (ValueError, KeyError, TypeError):
        write(printable(done.stderr.strip()), sys.stderr)
        return None


def _record(data: Mapping[str, Any]) -> PluginRecord:
    problem, stage = data["problem"], data["stage"]
    return PluginRecord(
        **{
            **data,
            "stage": Stage(stage) if stage else None,
            "problem": Problem(**problem) if problem else None,
            "warnings": tuple(Problem(**warning) for warning in data["warnings"]),
            "contributed": Contributed(**{kind: tuple(names) for kind, names in data["contributed"].items()}),
        }
    )


# --- Removing


@dataclass(frozen=True)
class _Leaving:
    """What `remove` takes away: plugins of the file, entries of `[host] requires`, distributions; and what stays."""

    plugins: list[str]
    requires: list[str]
    uninstall: list[str]
    kept: dict[str, str]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        file: _File,
        installed: Sequence[InstalledPlugin],
        distributions: Mapping[str, Installed],
    ) -> _Leaving:
        from packaging.utils import canonicalize_name

        from mcp_host.requirements import find_wanted, needed_by

        required = {each: find_wanted(each, distributions) for each in _required(file)}
        homes: dict[str, set[str]] = {}
        for plugin in installed:
            homes.setdefault(plugin.name, set()).add(canonicalize_name(plugin.distribution))
        for name, section in file.config.plugins.items():
            if section.object is not None:
                homes[name] = _home_of(name, section.object, file)
        asked_for = {each.name for each in required} | {found.key for found in required.values() if found}
        known = set(file.config.plugins) | set(homes)
        plugins: list[str] = []
        leaving: set[str] = set()
        problems = []
        for name in names:
            key: str = canonicalize_name(name)
            if name in known:
                plugins.append(name)
                leaving |= homes.get(name) or {canonicalize_name(_guess(name))}
            elif key in asked_for or any(key in home for home in homes.values()):
                plugins += [plugin for plugin, home in homes.items() if key in home]
                leaving.add(key)
            else:
                said = did_you_mean(name, sorted(known | {key for key in asked_for if key}))
                problems.append(
                    ConfigError(
                        f"there is no plugin and no distribution of one called {name!r}{said}",
                        where=str(file.path),
                        mend=f"mcp-host plugins{file.option}   (lists them)",
                    )
                )
        if problems:
            raise InvalidConfigError(problems)
        plugins = [name for name in dict.fromkeys(plugins) if name in file.config.plugins]
        kept: dict[str, str] = {}
        for key in sorted(leaving & set(distributions)):
            users = [each.name for each in needed_by(key, distributions) if each.key not in leaving]
            others = [
                name
                for name, section in file.config.plugins.items()
                if section.enabled and name not in plugins and key in homes.get(name, ())
            ]
            if others:
                kept[key] = f"plugin {', '.join(others)} comes from it"
            elif users or key == HOST_DISTRIBUTION:
                kept[key] = f"{', '.join(users) or 'mcp-host'} needs it"
        leaving -= {key for key, why in kept.items() if why.startswith("plugin ")}
        uninstall = [key for key in sorted(leaving) if key in distributions and key not in kept]
        requires = [
            each.text
            for each, found in required.items()
            if (found.key if found is not None else each.name) not in leaving
        ]
        return cls(plugins, requires, uninstall, kept)


def _home_of(name: str, value: str, file: _File) -> set[str]:
    """Return the distribution of an object, if `add` installed it: others belong to who did."""
    from packaging.utils import canonicalize_name

    from mcp_host.discovery import installed_from

    found = installed_from(value, name=name)
    key = canonicalize_name(found.distribution) if found is not None else ""
    return {key} & {each.name for each in _required(file) if each.name is not None}
