"""Installs and uninstalls distributions for `add`, `remove` and `sync`, and loads new plugins to check them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mcp_host._version import __version__
from mcp_host.cli.live import status
from mcp_host.cli.output import write
from mcp_host.errors import ErrorCode, HostError, InvalidConfigError, Problem, did_you_mean, wrapped
from mcp_host.manage.editedfile import EditedFile, guess, names_of, required
from mcp_host.plugins.discovery import GROUP, InstalledPlugin, check_compatible, discover, find
from mcp_host.plugins.metadata import HOST_DISTRIBUTION, requirements
from mcp_host.plugins.records import Contributed, PluginRecord, Stage
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.candidates import Candidate
    from mcp_host.manage.environment import Environment
    from mcp_host.plugins.requirements import Installed, Wanted


def describe(environment: Environment) -> dict[str, str]:
    return {"kind": environment.kind, "prefix": str(environment.prefix), "installer": environment.installer}


def run_installer(action: Callable[[], str], what: str, where: Environment, names: Sequence[str] = ()) -> None:
    """Run an installer. Its output is shown if it fails. `names` are the distributions that it is to install."""
    from mcp_host.manage.environment import InstallerError

    try:
        action()
    except InstallerError as error:
        output = error.output.strip()
        if output:
            write(printable(output) + "\n", sys.stderr)
        hint = "see its output above" if output else ""
        # Neither pip nor uv has an exit code for a conflict of versions: only their text shows it.
        if re.search(r"mcp[-_]host\W{0,3}[<>=!~]", output):
            hint = (
                f"it needs another version of mcp-host than {__version__}: {where.upgrade_host}, "
                "or install another version of it"
            )
        elif names and re.search(r"\bmcp\W{0,3}[<>=!~]", output):
            hint = f"if it is a server that needs another mcp: mcp-host add pypi:{names[0]}   (a process of its own)"
        raise wrapped(error, what, where=str(where.prefix), hint=hint) from error


def _needed_by_host(installed: Mapping[str, Installed]) -> list[str]:
    """Return the ranges of what mcp-host needs, as constraints. An installer may not know that it is there."""
    host = installed.get(HOST_DISTRIBUTION)
    needed = requirements(host.requires) if host is not None else ()
    return [f"{each.name}{each.specifier}" for each in needed if each.specifier]


@dataclass(frozen=True)
class Installation:
    """One run of the installer: what was installed before it and after it."""

    environment: Environment
    wanted: Sequence[Wanted]
    before: Mapping[str, Installed]
    after: Mapping[str, Installed]
    had: Sequence[InstalledPlugin]

    @classmethod
    def install(
        cls,
        environment: Environment,
        wanted: Sequence[Wanted],
        *,
        upgrade: bool,
        verbose: bool,
        candidates: Sequence[Candidate] = (),
        build: bool = True,
    ) -> Installation:
        """Install what is missing. The files of the candidates are installed, and no other file of these distributions.

        Without `build`, nothing is built but what is named by the folder of its project.
        """
        from mcp_host.manage.environment import held, run
        from mcp_host.plugins.requirements import find_wanted, installed_now, what_is_missing

        before, had = installed_now(GROUP), discover()
        missing = [
            each for each in wanted if upgrade or what_is_missing(each, before) or (each.url and not each.editable)
        ]
        if missing:
            files = [each for each in candidates if each.downloaded and each.wanted in missing]
            others = [each for each in missing if all(each != other.wanted for other in files)]
            with held({HOST_DISTRIBUTION: __version__}, _needed_by_host(before)) as constraints:
                there = [find_wanted(each, before) for each in others]
                names = [old.key if old else each.name for old, each in zip(there, others, strict=True)]
                arguments = [each.arguments for each in others]
                # The folder of a project can only be installed by building it.
                wheels = [each.wanted for each in candidates]
                commands = (
                    environment.install(
                        list(zip(arguments, names, strict=True)),
                        constraints=constraints,
                        upgrade=upgrade,
                        build=build or any(each not in wheels for each in others),
                    )
                    if others
                    else ()
                )
                if files:
                    keys = {each.chosen.key for each in files}
                    needed = [word for each in files for word in each.needed if _key(word) not in keys]
                    commands += environment.install_files(
                        [each.chosen for each in files],
                        list(dict.fromkeys(needed)),
                        constraints=constraints,
                        build=build,
                    )
                with status(f"Installing {names_of(missing)} with {environment.installer} ..."):
                    what = f"{environment.installer} could not install {names_of(missing)}"
                    known = [each.name for each in missing if each.name]
                    run_installer(lambda: run(commands, show=verbose), what, environment, known)
        return cls(environment, wanted, before, installed_now(GROUP), had)

    def asked(self) -> list[Installed]:
        """Return the distributions that the user named."""
        from mcp_host.plugins.requirements import find_wanted

        return [found for each in self.wanted if (found := find_wanted(each, self.after)) is not None]

    def changes(self) -> list[dict[str, Any]]:
        """Return the distributions that are new or have another version than before."""
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
        """Return the plugins to enable, and the other new ones.

        Raises:
            HostError: A distribution has no plugin, or a plugin that cannot be loaded here.
        """
        asked = self.asked()
        installed = discover()
        new = [plugin.name for plugin in installed if plugin not in self.had]
        wanted = [name for each in asked for name in each.plugins]
        # A distribution may only depend on others that have the plugins.
        wanted = wanted or new
        problems = []
        for each in asked:
            if not each.plugins and not new:
                problems.append(
                    Problem(
                        f"{each.label} has no plugin: no entry point of the group {GROUP!r}",
                        where=str(self.environment.prefix),
                        hint='for an object in it: [plugins.NAME] object = "module:attribute"',
                    )
                )
        for name in wanted:
            try:
                check_compatible(find(name, installed))
            except HostError as error:
                problems.append(self._hinted(error.problem))
        if problems:
            raise InvalidConfigError(problems)
        if not wanted:
            raise HostError(f"{names_of(self.wanted)} has no plugin", where=str(self.environment.prefix))
        return list(dict.fromkeys(wanted)), sorted(set(new) - set(wanted))

    def _hinted(self, problem: Problem) -> Problem:
        if problem.code != ErrorCode.INCOMPATIBLE:
            return problem
        return replace(problem, hint=f"{self.environment.upgrade_host}, or install another version of the plugin")

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Uninstall the new distributions if the block fails."""
        from mcp_host.manage.environment import run

        try:
            yield
        except HostError:
            new = [key for key in self.after if key not in self.before and key != HOST_DISTRIBUTION]
            if new:
                injected = self.environment.injected | {each.key for each in self.asked()}
                commands = replace(self.environment, injected=injected).uninstall(new)
                with status(f"Uninstalling {', '.join(new)} again ..."):
                    run_installer(
                        lambda: run(commands), "what was installed could not be uninstalled again", self.environment
                    )
            raise


def _key(requirement: str) -> str:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)


@dataclass(frozen=True)
class Loaded:
    """What `mcp-host check` found about some plugins. `failed_checks` are texts about their own checks that failed.

    `refusal` is why `mcp-host run` would not start.
    """

    records: Sequence[PluginRecord]
    failed_checks: Mapping[str, Sequence[str]]
    refusal: Problem | None = None

    @property
    def ok(self) -> bool:
        return not (self.refusal or self.failed_checks or any(record.failed for record in self.records))


def load(file: EditedFile, names: Sequence[str]) -> Loaded | None:
    """Load only these plugins with `mcp-host check`, and return what it found, or None if it printed no report.

    It runs in another process, because this one may have imported modules before the installation.
    """
    others = [name for name, section in file.config.plugins.items() if section.enabled and name not in names]
    command = [sys.executable, "-P", "-m", "mcp_host", "check", "--json", "--config", str(file.path)]
    command += [word for name in others for word in ("--disable", name)]
    with status(f"Loading {', '.join(names)} ..."):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    try:
        report = json.loads(done.stdout)
        plugins = {plugin["name"]: plugin for plugin in report["plugins"]}
        failed: dict[str, list[str]] = {}
        for result in report["checks"]:
            if result["problem"] is not None and result["plugin"] in names:
                failed.setdefault(result["plugin"], []).append(f"{result['name']}: {result['problem']}")
        refusal = Problem(**report["refusal"]) if report["refusal"] else None
        return Loaded([_record(plugins[name]) for name in names], failed, refusal)
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


@dataclass(frozen=True)
class Leaving:
    """What `remove` does: the plugins to remove from the file, the new `[host] requires`, the distributions to
    uninstall, and the ones that stay, each with its reason.
    """

    plugins: list[str]
    requires: list[str]
    uninstall: list[str]
    kept: dict[str, str]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        file: EditedFile,
        installed: Sequence[InstalledPlugin],
        distributions: Mapping[str, Installed],
    ) -> Leaving:
        from packaging.utils import canonicalize_name

        from mcp_host.plugins.requirements import find_wanted, needed_by

        known_as = {each: find_wanted(each, distributions) for each in required(file)}
        homes: dict[str, set[str]] = {}
        for plugin in installed:
            homes.setdefault(plugin.name, set()).add(canonicalize_name(plugin.distribution))
        for name, section in file.config.plugins.items():
            if section.object is not None:
                homes[name] = _home_of(name, section.object, file)
            elif section.place is not None:
                homes[name] = set()
        asked_for = {each.name for each in known_as} | {found.key for found in known_as.values() if found}
        known = set(file.config.plugins) | set(homes)
        plugins: list[str] = []
        leaving: set[str] = set()
        problems = []
        for name in names:
            key: str = canonicalize_name(name)
            if name in known:
                plugins.append(name)
                leaving |= homes.get(name, {canonicalize_name(guess(name))})
            elif key in asked_for or any(key in home for home in homes.values()):
                plugins += [plugin for plugin, home in homes.items() if key in home]
                leaving.add(key)
            else:
                suggestion = did_you_mean(name, sorted(known | {key for key in asked_for if key}))
                problems.append(
                    Problem(
                        f"there is no plugin and no plugin's distribution called {name!r}{suggestion}",
                        where=str(file.path),
                        hint=f"mcp-host plugins{file.option}   (lists them)",
                    )
                )
        if problems:
            raise InvalidConfigError(problems)
        plugins = [name for name in dict.fromkeys(plugins) if name in file.config.plugins]
        kept: dict[str, str] = {}
        serving: set[str] = set()
        for key in sorted(leaving & set(distributions)):
            users = [each.name for each in needed_by(key, distributions) if each.key not in leaving]
            others = [
                name
                for name, section in file.config.plugins.items()
                if section.enabled and name not in plugins and key in homes.get(name, ())
            ]
            if others:
                kept[key] = f"plugin {', '.join(others)} comes from it"
                serving.add(key)
            elif users or key == HOST_DISTRIBUTION:
                kept[key] = f"{', '.join(users) or 'mcp-host'} needs it"
        leaving -= serving
        uninstall = [key for key in sorted(leaving) if key in distributions and key not in kept]
        requires = [
            each.text
            for each, found in known_as.items()
            if (found.key if found is not None else each.name) not in leaving
        ]
        return cls(plugins, requires, uninstall, kept)


def _home_of(name: str, value: str, file: EditedFile) -> set[str]:
    """Return the distribution of an object if `add` installed it. Any other one is not uninstalled."""
    from packaging.utils import canonicalize_name

    from mcp_host.plugins.discovery import installed_from

    found = installed_from(value, name=name)
    key = canonicalize_name(found.distribution) if found is not None else ""
    return {key} & {each.name for each in required(file) if each.name is not None}
