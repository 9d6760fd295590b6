"""What `mcp-host add` would install: read before it is installed, refused if it cannot work, shown and confirmed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mcp_host.cli.live import status
from mcp_host.cli.output import write
from mcp_host.errors import ErrorCode, HostError, InvalidConfigError, Problem
from mcp_host.manage.downloads import Downloads, File, NotFoundError, sha256_of, unpack
from mcp_host.manage.environment import ChosenFile
from mcp_host.manage.servermetadata import Distribution, look_up, read_unpacked
from mcp_host.plugins.discovery import GROUP
from mcp_host.plugins.metadata import HOST_DISTRIBUTION, requirements
from mcp_host.plugins.requirements import Installed, Wanted, local_path, what_is_missing
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.environment import Environment

PREFIX = "mcp-plugin-"


@dataclass(frozen=True)
class Candidate:
    """One file to install, and what its metadata says. `downloaded` is whether it comes from somewhere else."""

    wanted: Wanted
    found: Distribution
    file: File
    downloaded: bool = True

    @property
    def name(self) -> str:
        """The name in the metadata, without extras."""
        return self.found.installed.name.partition("[")[0]

    @property
    def label(self) -> str:
        return f"{self.name} {self.found.installed.version}"

    @property
    def chosen(self) -> ChosenFile:
        pinned = f"{self.found.installed.name}=={self.found.installed.version}"
        key = canonicalize_name(self.name)
        return ChosenFile(key, pinned, self.wanted.arguments[-1], self.file.sha256, self.file.folder)

    @property
    def needed(self) -> list[str]:
        """What it needs, in pip's form."""
        extras = sorted(self.wanted.requirement.extras) if self.wanted.requirement else []
        lines = self.found.installed.requires
        found = [each for extra in ("", *extras) for each in requirements(lines, extra=extra)]
        return list(dict.fromkeys(_without_marker(each) for each in found))

    def to_json(self) -> dict[str, Any]:
        points = dict(zip(self.found.installed.plugins, self.found.plugin_values, strict=True))
        return {
            "distribution": self.name,
            "version": self.found.installed.version,
            "file": self.file.name,
            "sha256": self.file.sha256,
            "plugins": points,
            "programs": list(self.found.scripts),
        }

    def refusal(self, here: Mapping[str, Installed], environment: Environment) -> Problem | None:
        """Return why it is not installed, or None."""
        conflicts = self.found.conflicts(here)
        needs = f"needs {'; '.join(conflicts)}" if conflicts else ""
        own = f"mcp-host add pypi:{canonicalize_name(self.name)}   (an environment and a process of its own)"
        if not self.downloaded:
            own = f"[plugins.NAME] with a command and requirements = [{str(local_path(self.wanted.url))!r}]"
        if not self.found.installed.plugins:
            # A distribution may only depend on others that have the plugins.
            if not needs and any(canonicalize_name(each.name).startswith(PREFIX) for each in self._requirements()):
                return None
            if self.found.is_server:
                what = f"{self.label} is a server and no plugin{f', and {needs}' if needs else ''}"
                return Problem(what, hint=own, code=ErrorCode.INCOMPATIBLE)
            programs = f"; its programs: {', '.join(self.found.scripts)}" if self.found.scripts else ""
            what = f"{self.label} has no plugin: no entry point of the group {GROUP!r}{programs}"
            return Problem(what, hint="correct the name", code=ErrorCode.NOT_INSTALLED)
        if not needs:
            return None
        hint = own
        if any(canonicalize_name(each.name) == HOST_DISTRIBUTION for each in self._unmet(here)):
            hint = f"{environment.upgrade_host}, or add another version of {self.name}"
        return Problem(f"{self.label} {needs}", hint=hint, code=ErrorCode.INCOMPATIBLE)

    def _requirements(self) -> list[Requirement]:
        return list(requirements(self.found.installed.requires))

    def _unmet(self, here: Mapping[str, Installed]) -> list[Requirement]:
        return [
            each
            for each in self._requirements()
            if (found := here.get(canonicalize_name(each.name))) is not None
            and not each.specifier.contains(found.version, prereleases=True)
        ]


def _without_marker(requirement: Requirement) -> str:
    bare = Requirement(str(requirement))
    bare.marker = None
    return str(bare)


@dataclass(frozen=True)
class Finder:
    """Finds the files of what the user named. `guesses` are the names that were not a distribution's, by the guess."""

    environment: Environment
    downloads: Downloads
    here: Mapping[str, Installed]
    guesses: Mapping[str, str]

    def candidates(self, wanted: Sequence[Wanted], *, upgrade: bool) -> list[Candidate]:
        """Return the file of each distribution that is to be installed and is no project's folder.

        Raises:
            HostError: One is not there, has only its source, has no plugin, or cannot live beside mcp-host.
        """
        found, problems = [], []
        for each in wanted:
            if each.editable or not (upgrade or each.url or what_is_missing(each, self.here)):
                continue
            try:
                candidate = self._candidate(each)
            except HostError as error:
                problems.append(replace(error.problem, where=error.where or self._where(each)))
                continue
            refusal = candidate.refusal(self.here, self.environment) if candidate is not None else None
            if refusal is not None:
                problems.append(replace(refusal, where=self._where(each)))
            elif candidate is not None:
                found.append(candidate)
        if problems:
            raise InvalidConfigError(problems)
        return found

    def _where(self, wanted: Wanted) -> str:
        return f"command line: {self.guesses.get(wanted.text, wanted.text)}"

    def _candidate(self, wanted: Wanted) -> Candidate | None:
        path = local_path(wanted.url) if wanted.url else None
        if path is not None:
            return self._from_path(wanted, path)
        if wanted.url:
            return self._from_url(wanted)
        assert wanted.requirement is not None
        try:
            with status(f"Looking for {wanted.text} with {self.environment.installer} ..."):
                found = look_up(str(wanted.requirement), self.downloads.fetch)
        except NotFoundError as error:
            meant = self.guesses.get(wanted.text)
            raise (self._nothing_named(meant) if meant is not None else error) from None
        assert found.file is not None
        return Candidate(wanted, found, found.file)

    def _from_path(self, wanted: Wanted, path: Path) -> Candidate | None:
        if path.is_dir():
            return None
        if path.suffix != ".whl":
            self._refuse_source(wanted)
            return None
        with tempfile.TemporaryDirectory(prefix="mcp-host-") as folder:
            unpack(path, Path(folder))
            return Candidate(wanted, read_unpacked(Path(folder)), File(path.name, sha256_of(path)), downloaded=False)

    def _from_url(self, wanted: Wanted) -> Candidate | None:
        if not wanted.url.endswith(".whl"):
            self._refuse_source(wanted)
            return None
        with (
            tempfile.TemporaryDirectory(prefix="mcp-host-") as folder,
            status(f"Looking at {wanted.url} with {self.environment.installer} ..."),
        ):
            place = Path(folder, "unpacked")
            file = self.downloads.fetch(wanted.arguments[-1], place)
            return Candidate(wanted, read_unpacked(place), file)

    def _refuse_source(self, wanted: Wanted) -> None:
        if not self.downloads.build:
            what = f"{wanted.text} is no wheel but source, and building it runs its code"
            raise HostError(what, hint="--allow-build, if you trust it")

    def _nothing_named(self, name: str) -> HostError:
        """Return the refusal of a name that is no plugin's, with what a distribution of exactly this name is."""
        absent = f"no plugin {name!r} is installed, and the index has no {PREFIX}{name}"
        try:
            with status(f"Looking for {name} with {self.environment.installer} ..."):
                found = look_up(name, self.downloads.fetch)
        except NotFoundError:
            hint = 'correct the name; a distribution with another name is added as "NAME==VERSION", or by a path'
            return HostError(f"{absent} and no {name}", hint=hint, code=ErrorCode.UNKNOWN_NAME)
        except HostError as error:
            return HostError(f"{absent}; {error.what}", hint=f'"{name}==VERSION" names this distribution itself')
        label = f"{found.installed.name} {found.installed.version}"
        if found.installed.plugins:
            what = f"{label}, whose plugin is {', '.join(found.installed.plugins)}"
            hint = f'mcp-host add "{found.installed.name}=={found.installed.version}", if you meant this one'
        elif found.is_server:
            needs = found.conflicts(self.here)
            what = f"{label}, which is a server and no plugin{f', and needs {needs[0]}' if needs else ''}"
            hint = f"mcp-host add pypi:{found.installed.name}   (an environment and a process of its own)"
        else:
            what, hint = f"{label}, which is neither a plugin nor a server", "correct the name"
        return HostError(f"{absent}; it has {what}", hint=hint, code=ErrorCode.UNKNOWN_NAME)


def can_ask() -> bool:
    """Return whether a person can answer: both stdin and stderr are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(found: Sequence[Distribution | Candidate], *, yes: bool) -> None:
    """Show what was found, and ask if it comes from somewhere else.

    Raises:
        HostError: The answer is no, or nobody can answer.
    """
    for each in found:
        write(printable(_shown(each)), sys.stderr)
    asked = [each for each in found if not isinstance(each, Candidate) or each.downloaded]
    if not asked or yes:
        return
    names = ", ".join(f"{_name(each)}" for each in asked)
    if not can_ask():
        what = f"{names} comes from an index or a URL, and nobody can be asked whether it is the right one"
        raise HostError(f"{what}; nothing was installed", where="command line", hint="--yes, if it is")
    if not typer.confirm(f"Install {names}?", default=False, err=True):
        raise HostError("nothing was installed", where="your answer")


def _name(found: Distribution | Candidate) -> str:
    return found.label if isinstance(found, Candidate) else found.installed.label


def _shown(candidate: Distribution | Candidate) -> str:
    found = candidate.found if isinstance(candidate, Candidate) else candidate
    file = candidate.file
    points = dict(zip(found.installed.plugins, found.plugin_values, strict=True))
    lines = [_name(candidate)]
    if file is not None:
        lines += [f"  file:      {file.name}", f"  sha256:    {file.sha256}"]
    lines += [f"  plugin:    {name} = {value}" for name, value in points.items()]
    if found.scripts:
        lines.append(f"  programs:  {', '.join(found.scripts)}")
    if file is not None and file.note:
        lines.append(f"  warning:   {file.note}")
    return "\n".join(lines)
