"""Reads the metadata of installed distributions: which of them are valid, and what they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from importlib_metadata import distributions
from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

HOST_DISTRIBUTION = "mcp-host"
SDK_DISTRIBUTION = "mcp"


def scan(path: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Return the valid distributions by normalized name. `path` replaces `sys.path`.

    If a name is found in several folders of the path, the first one is returned, as for `import`. If it is found
    several times in one folder, as after a broken upgrade, the highest version is returned. A distribution that pip has
    renamed before its removal is ignored.
    """
    found: dict[str, Any] = {}
    for distribution in distributions(path=list(path)) if path is not None else distributions():
        # A distribution that was only partly removed has no METADATA, and another one may be damaged.
        try:
            name = name_of(distribution)
            if not name or _is_left_over(distribution):
                continue
            key = canonicalize_name(name)
            other = found.get(key)
            if other is None or (
                other.locate_file("") == distribution.locate_file("")
                and Version(version_of(distribution)) > Version(version_of(other))
            ):
                found[key] = distribution
        except Exception:
            continue
    return found


def _is_left_over(distribution: Any) -> bool:
    # pip replaces the first letter of a name with ~ while it replaces a distribution.
    folder = getattr(distribution, "_path", None)
    return folder is not None and str(folder.name).startswith("~")


def unreadable_entry_points() -> list[str]:
    """Return the distributions whose entry points cannot be read. Some libraries fail at the first one."""
    found = []
    for distribution in scan().values():
        try:
            list(distribution.entry_points)
        except Exception:
            found.append(f"{name_of(distribution)} {version_of(distribution)}")
    return found


def name_of(distribution: Any) -> str:
    """Return its name as written in the metadata, or "" if there is none."""
    return distribution.metadata["Name"] or ""


def version_of(distribution: Any) -> str:
    """Return its version, or "0" if there is none."""
    try:
        return distribution.version or "0"
    except KeyError:
        return "0"


def requirements(lines: Iterable[str] | None, *, extra: str = "") -> Iterator[Requirement]:
    """Yield the requirements that apply here, from the `Requires-Dist` lines or a project's dependencies.

    A line that is not valid is left out.
    """
    for line in lines or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if applies(requirement, extra=extra):
            yield requirement


def applies(requirement: Requirement, *, extra: str = "") -> bool:
    """Return whether its marker is true in this environment with this extra. An invalid marker is false."""
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def range_of_host(lines: Iterable[str] | None) -> str | None:
    """Return the range of `mcp-host` in the lines: "" for any version, or None if they do not name it."""
    return range_of(HOST_DISTRIBUTION, lines)


def range_of(name: str, lines: Iterable[str] | None) -> str | None:
    """Return the range of a distribution in the lines: "" for any version, or None if they do not name it."""
    ranges = [each.specifier for each in requirements(lines) if canonicalize_name(each.name) == name]
    stated = SpecifierSet(",".join(filter(None, map(str, ranges))))
    return str(stated) if ranges else None
