"""Reads the entries of `[host] requires` and `mcp-host add`, and finds out from metadata if they are installed."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from importlib_metadata import MetadataPathFinder
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from mcp_host.errors import HostError
from mcp_host.plugins.metadata import HOST_DISTRIBUTION, applies, name_of, requirements, scan, version_of

_ARCHIVES = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True)
class Wanted:
    """One distribution to install: by its name, or from a path or URL.

    `text` is its form in `mcp-host.toml`, `arguments` its form for pip and uv. `requirement` is None if the name is
    unknown before the distribution is built or downloaded. Then `url` identifies it.
    """

    text: str
    arguments: tuple[str, ...]
    requirement: Requirement | None = None
    url: str = ""
    editable: bool = False

    @property
    def name(self) -> str | None:
        """The normalized name of the distribution, or None if the text does not contain it."""
        return canonicalize_name(self.requirement.name) if self.requirement else None


@dataclass(frozen=True)
class Installed:
    """An installed distribution, from its metadata. `url` is its source if that was not an index."""

    name: str
    version: str
    url: str = ""
    editable: bool = False
    requires: tuple[str, ...] = ()
    plugins: tuple[str, ...] = field(default=())

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def key(self) -> str:
        """The normalized name."""
        return canonicalize_name(self.name)


def installed_now(group: str, path: Iterable[str] | None = None) -> dict[str, Installed]:
    """Return the installed distributions by normalized name, with their entry points of a group.

    `path` replaces `sys.path`.
    """
    # An installer may have changed them since the last scan.
    MetadataPathFinder.invalidate_caches()
    found: dict[str, Installed] = {}
    for key, distribution in scan(path).items():
        try:
            found[key] = _read(distribution, group)
        except Exception:  # damaged metadata must hide only its own distribution
            continue
    return found


def _read(distribution: Any, group: str) -> Installed:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if vcs := origin.get("vcs_info"):
        revision = vcs.get("requested_revision")
        url = f"{vcs['vcs']}+{url}{f'@{revision}' if revision else ''}"
    return Installed(
        name=name_of(distribution),
        version=version_of(distribution),
        url=url,
        editable=bool(origin.get("dir_info", {}).get("editable")),
        requires=tuple(distribution.requires or ()),
        plugins=tuple(point.name for point in distribution.entry_points.select(group=group)),
    )


def parse_wanted(text: str, *, base: Path, written: Path | None = None, editable: bool = False) -> Wanted:
    """Read one argument of pip, or `-e PATH`, as one distribution to install.

    Relative paths start at `base`. The path in the result's `text` is relative to `written`, the folder of the file.

    Raises:
        HostError: The text is not such an argument, or nothing exists at its path.
    """
    asked = text.strip()
    if match := re.match(r"(?:-e|--editable)(?:\s+|=)(.+)", asked):
        asked, editable = match[1].strip(), True
    if re.match(r"[A-Za-z][A-Za-z+.-]*://", asked):
        if asked.startswith("file://"):
            asked = url2pathname(urlsplit(asked).path)
        else:
            arguments = ("-e", asked) if editable else (asked,)
            name = _named_by_file(Path(urlsplit(asked).path).name)
            return Wanted(" ".join(arguments), arguments, name, url=asked.partition("#")[0], editable=editable)
    place, extras = _split_extras(asked)
    # Other options of pip are not allowed.
    if not asked.startswith("-") and (editable or _is_path(place, base)):
        return _from_path(place, extras, editable, base, written if written is not None else base)
    try:
        requirement = Requirement(asked)
    except InvalidRequirement:
        raise HostError(
            f"{text!r} is not something that can be installed",
            hint='a name, a range such as "name>=1.2", a path such as ./folder, a wheel, a URL, or -e ./folder',
        ) from None
    return Wanted(asked, (asked,), requirement, url=(requirement.url or "").partition("#")[0])


def _split_extras(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)(\[[A-Za-z0-9._, -]*\])", text)
    return (match[1], match[2]) if match else (text, "")


def _is_path(text: str, base: Path) -> bool:
    separators = "/\\" if os.sep == "\\" else "/"
    if text.startswith((".", "~")) or any(separator in text for separator in separators):
        return " @ " not in text
    return text.endswith(_ARCHIVES) and (base / text).is_file()


def _from_path(place: str, extras: str, editable: bool, base: Path, written: Path) -> Wanted:
    path = Path(os.path.abspath(base / os.path.expanduser(place)))
    if not path.exists():
        raise HostError(f"{path} does not exist", hint="name a folder with a pyproject.toml, or a wheel")
    if path.is_dir() and not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise HostError(f"{path} is not a Python project: it has no pyproject.toml")
    shown = str(path)
    if not (Path(place).is_absolute() or place.startswith("~")) or path.is_relative_to(written):
        shown = Path(os.path.relpath(path, written)).as_posix()
        shown = shown if shown.startswith(".") else f"./{shown}"
    arguments = ("-e", f"{path}{extras}") if editable else (f"{path}{extras}",)
    named = None if path.is_dir() else _named_by_file(path.name)
    return Wanted(f"{'-e ' if editable else ''}{shown}{extras}", arguments, named, path.as_uri(), editable)


def _named_by_file(name: str) -> Requirement | None:
    try:
        if name.endswith(".whl"):
            parsed, version, *_ = parse_wheel_filename(name)
        else:
            parsed, version = parse_sdist_filename(name)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return Requirement(f"{parsed}=={version}")


def find_wanted(wanted: Wanted, installed: Mapping[str, Installed]) -> Installed | None:
    """Return the installed distribution with this name or URL, of any version."""
    if wanted.name is not None:
        return installed.get(wanted.name)
    return next((each for each in installed.values() if each.url and _same(each.url, wanted.url)), None)


def what_is_missing(wanted: Wanted, installed: Mapping[str, Installed]) -> str:
    """Return why this must be installed, or "" if it is installed."""
    requirement = wanted.requirement
    if requirement is not None and not applies(requirement):
        return ""
    found = find_wanted(wanted, installed)
    if found is None:
        return "not installed"
    if requirement is not None:
        if not requirement.specifier.contains(found.version, prereleases=True):
            return f"{found.version} is installed"
        for needed in _of_extras(found, requirement.extras):
            if not _satisfied(needed, installed):
                return f"needs {needed.name} for [{','.join(sorted(requirement.extras))}]"
    if wanted.url and requirement is not None and requirement.url and not _same(found.url, wanted.url):
        return f"{found.version} is installed from {found.url or 'an index'}"
    if wanted.editable and not found.editable:
        return f"{found.version} is installed, but not editable"
    return ""


def _of_extras(found: Installed, extras: Iterable[str]) -> Iterator[Requirement]:
    always = set(requirements(found.requires))
    for extra in extras:
        yield from (needed for needed in requirements(found.requires, extra=extra) if needed not in always)


def _satisfied(needed: Requirement, installed: Mapping[str, Installed]) -> bool:
    found = installed.get(canonicalize_name(needed.name))
    return found is not None and needed.specifier.contains(found.version, prereleases=True)


def unmet(found: Installed, installed: Mapping[str, Installed]) -> list[str]:
    """Return what an installed distribution requires and what is not installed, in pip's form."""
    return [
        f"{needed.name}{needed.specifier}"
        for needed in requirements(found.requires)
        if not _satisfied(needed, installed)
    ]


def needed_by(key: str, installed: Mapping[str, Installed]) -> list[Installed]:
    """Return the installed distributions that need the one with this normalized name."""
    return [
        other
        for other in installed.values()
        if other.key != key and any(canonicalize_name(each.name) == key for each in requirements(other.requires))
    ]


def name_in(requirement: str) -> str:
    """Return the normalized name at the start of a requirement, also of one that cannot be read otherwise."""
    return canonicalize_name(re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0])


def needed_only_by(keys: Iterable[str], installed: Mapping[str, Installed], *, wanted: Iterable[str] = ()) -> list[str]:
    """Return what these distributions need, at any depth, and neither mcp-host nor anything else that stays needs.

    `keys`, the `wanted` ones that stay, and the result are normalized names. Extras are followed, because metadata does
    not record the wanted ones.
    """

    def needed(start: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(start)
        while waiting:
            key = waiting.pop()
            if key in installed and key not in found:
                found.add(key)
                waiting += [name_in(text) for text in installed[key].requires]
        return found

    leaving = needed(keys)
    staying = (set(installed) - leaving) | {HOST_DISTRIBUTION, *wanted}
    return sorted(leaving - needed(staying) - set(keys))


def _same(one: str, other: str) -> bool:
    if one.startswith("file:") and other.startswith("file:"):
        return os.path.realpath(_local(one)) == os.path.realpath(_local(other))
    return unquote(one).removesuffix("/") == unquote(other).removesuffix("/")


def _local(url: str) -> str:
    return url2pathname(urlsplit(url).path)


def local_path(url: str) -> Path | None:
    """Return the path of a `file:` URL, or None for another one."""
    return Path(_local(url)) if url.startswith("file:") else None


def project_name(folder: Path) -> str | None:
    """Return the name that a project's pyproject.toml states, or None."""
    try:
        name = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8-sig"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None
