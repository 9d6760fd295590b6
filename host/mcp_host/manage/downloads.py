"""Downloads one file of a distribution, with uv or pip, and unpacks it without installing it or running its code."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from mcp_host.cli.output import write
from mcp_host.errors import ErrorCode, HostError
from mcp_host.manage.environment import Command, InstallerError, run
from mcp_host.system.texts import printable

_ABSENT = re.compile(r"No matching distribution found|was not found in |[Oo]nly \S+ (?:is|are) available|no versions")
"""What pip and uv write about a name or a version that is not there. Neither has an exit code for it."""

_UNREACHABLE = re.compile(
    r"Retrying \(|Could not fetch URL \S+: (?!404)|Failed to fetch|timed out|network connectivity"
)
"""What they write if the index cannot be asked. pip then writes that there is no such distribution, too."""

_SOURCE_ONLY = "no usable wheels"
"""What uv writes about a version that only has a source distribution."""


class NotFoundError(HostError):
    """The index has no such distribution, or no such version of it."""

    default_code = ErrorCode.UNKNOWN_NAME


@dataclass(frozen=True)
class File:
    """A file of a distribution that was downloaded, and not installed.

    `folder` is where pip finds it again. It is None if uv does, by its hash. `note` is a warning for the user.
    """

    name: str
    sha256: str
    folder: Path | None = None
    note: str = ""


@dataclass(frozen=True)
class Downloads:
    """Downloads with `tool`, the program uv or pip. `kept` is the folder for the files.

    With `build`, a source distribution is built where there is no wheel, which runs its code.
    """

    tool: Sequence[str]
    kept: Path
    build: bool = False

    @property
    def is_pip(self) -> bool:
        return self.tool[-1] == "pip"

    def fetch(self, requirement: str, folder: Path) -> File:
        """Download the newest file that fits, and unpack it into a folder.

        Raises:
            NotFoundError: There is no such distribution.
            HostError: It has no wheel, or the index cannot be asked.
        """
        try:
            return self._with_pip(requirement, folder) if self.is_pip else self._with_uv(requirement, folder)
        except InstallerError as error:
            raise self._refusal(requirement, error.output) from None

    def _with_pip(self, requirement: str, folder: Path) -> File:
        place = Path(tempfile.mkdtemp(dir=self.kept))
        only = ("wheel", "--wheel-dir") if self.build else ("download", "--only-binary", ":all:", "--dest")
        self._run(only[0], "--no-deps", *only[1:], str(place), requirement)
        (wheel,) = place.glob("*.whl")
        unpack(wheel, folder)
        return File(wheel.name, sha256_of(wheel), place, self._newer(requirement, wheel.name))

    def _with_uv(self, requirement: str, folder: Path) -> File:
        name, sha256, version = self._locked(requirement)
        wanted = _parsed(requirement)
        line = requirement if wanted is None or wanted.url else f"{_with_extras(wanted)}=={version}"
        listed = folder.parent / f"{folder.name}-requirements.txt"
        listed.write_text(f"{line} --hash=sha256:{sha256}\n", encoding="utf-8")
        try:
            self._run("install", *self.uv_options, "--no-deps", "--target", str(folder), "-r", str(listed))
        finally:
            listed.unlink()
        return File(name, sha256, None, self._newer(requirement, name))

    def _locked(self, requirement: str) -> tuple[str, str, str]:
        """Return the name, the SHA-256 and the version of the file that uv chooses (PEP 751)."""
        with tempfile.TemporaryDirectory(dir=self.kept) as place:
            wanted, lock = Path(place, "requirements.in"), Path(place, "pylock.toml")
            wanted.write_text(f"{requirement}\n", encoding="utf-8")
            options = ("--no-deps", "--format", "pylock.toml", "--quiet", "-o", str(lock))
            self._run("compile", *self.uv_options, *options, str(wanted))
            (package,) = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
        file = package.get("archive") or _best(package.get("wheels", [])) or package.get("sdist")
        name = Path(unquote(urlsplit(file.get("url") or file.get("path", "")).path)).name if file else ""
        sha256 = file.get("hashes", {}).get("sha256", "") if file else ""
        if not sha256:
            raise HostError(f"the index has no SHA-256 of {requirement}", hint="use another index, or a path")
        return name, sha256, package.get("version", "")

    @property
    def uv_options(self) -> tuple[str, ...]:
        return ("--python", sys.executable, *(() if self.build else ("--no-build",)))

    def _run(self, verb: str, *arguments: str) -> str:
        options = ("--disable-pip-version-check", "--no-input") if self.is_pip else ()
        return run([Command((*self.tool, *(() if self.is_pip else ("pip",)), verb, *options, *arguments))])

    def _newer(self, requirement: str, file: str) -> str:
        """Return a warning if the index has a newer version that could not be taken. A range is the user's own."""
        wanted = _parsed(requirement)
        if wanted is None or wanted.url or wanted.specifier or not file.endswith(".whl") or self.build:
            return ""
        taken = parse_wheel_filename(file)[1]
        if self.is_pip:
            found = max((each for each in self._listed(wanted.name)[0] if not each.is_prerelease), default=taken)
            newer = str(found) if found > taken else ""
            why = "has no wheel that fits here"
        else:
            try:
                self._locked(f"{wanted.name}>{taken}")
                return ""
            except InstallerError as error:
                matches = re.findall(rf"{re.escape(wanted.name)}==(\S+?)\s+has {_SOURCE_ONLY}", error.output)
                newer, why = (matches[-1] if matches else ""), "has no wheel that fits here"
        return f"{wanted.name} {newer} is newer than {taken}, and {why}: --allow-build builds it." if newer else ""

    def _listed(self, name: str) -> tuple[list[Version], str]:
        """Return all versions that pip's index has, with wheels or only with source, and what pip wrote."""
        try:
            written = self._run("index", "versions", "-vv", name)
        except InstallerError as error:
            return [], error.output
        found = re.search(r"^\s*Available versions: (.+)$", written, re.MULTILINE)
        return [Version(each.strip()) for each in found[1].split(",")] if found else [], written

    def _refusal(self, requirement: str, output: str) -> HostError:
        wanted = _parsed(requirement)
        by_name = wanted is not None and not wanted.url
        listed, written = self._listed(wanted.name) if wanted is not None and by_name and self.is_pip else ([], "")
        only_source = _SOURCE_ONLY in output or any(wanted is not None and each in wanted.specifier for each in listed)
        reachable = not _UNREACHABLE.search(output + written)
        if only_source and reachable and not self.build:
            what = f"{requirement} has no wheel that fits here, only its source, and building it runs its code"
            return HostError(what, hint="--allow-build, if you trust it")
        if reachable and _ABSENT.search(output):
            return NotFoundError(f"the index has no distribution {requirement}", hint="correct the name or the version")
        refused = re.findall(r"^Could not fetch URL .*", written, re.MULTILINE)
        write(printable("\n".join([output.strip(), *refused])), sys.stderr)
        return HostError(
            f"{requirement} could not be fetched", hint="see the output above", code=ErrorCode.INSTALLER_FAILED
        )


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel.

    Raises:
        HostError: It is no zip file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except (zipfile.BadZipFile, OSError) as error:
        raise HostError(f"the wheel cannot be read: {error}", where=str(wheel)) from None


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parsed(requirement: str) -> Requirement | None:
    try:
        return Requirement(requirement)
    except InvalidRequirement:
        return None


def _with_extras(wanted: Requirement) -> str:
    return f"{wanted.name}[{','.join(sorted(wanted.extras))}]" if wanted.extras else wanted.name


def _best(wheels: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the wheel that fits this Python best."""
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    found = []
    for number, wheel in enumerate(wheels):
        name = wheel.get("name") or Path(unquote(urlsplit(wheel.get("url") or wheel.get("path", "")).path)).name
        try:
            tags = parse_wheel_filename(name)[3]
        except InvalidWheelFilename:
            continue
        fitting = [ranks[tag] for tag in tags if tag in ranks]
        if fitting:
            found.append((min(fitting), number))
    return wheels[min(found)[1]] if found else None
