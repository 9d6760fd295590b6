"""Reads the metadata of installed distributions: which of them count, and what they need."""

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


def scan(path: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Return the distributions that count, by normalized name. `path` replaces `sys.path`.

    One found twice on the path counts once, the first one, as for `import`. Of those in one folder, as a broken
    upgrade leaves them, the highest version counts, and none that pip has renamed to take it away.
    """
    found: dict[str, Any] = {}
    for distribution in distributions(path=list(path)) if path is not None else distributions():
        # A half-removed distribution leaves a folder without METADATA, and a mangled one is somebody else's.
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
    # pip puts a ~ in the place of a name's first letter while it replaces a distribution.
    folder = getattr(distribution, "_path", None)
    return folder is not None and str(folder.name).startswith("~")


def name_of(distribution: Any) -> str:
    """Return its name as it is written there, "" when there is none."""
    return distribution.metadata["Name"] or ""


def version_of(distribution: Any) -> str:
    """Return its version, "0" when there is none."""
    try:
        return distribution.version or "0"
    except KeyError:
        return "0"


def requirements(lines: Iterable[str] | None, *, extra: str = "") -> Iterator[Requirement]:
    """Yield what applies here of the lines that a distribution states as `Requires-Dist`, or a project by itself.

    A line that cannot be read belongs to somebody else, and is left out.
    """
    for line in lines or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if applies(requirement, extra=extra):
            yield requirement


def applies(requirement: Requirement, *, extra: str = "") -> bool:
    """Whether its marker holds in this environment, with an extra asked for; one that cannot be evaluated does not."""
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def range_of_host(lines: Iterable[str] | None) -> str | None:
    """Return the range of `mcp-host` that the lines state, "" for any version, or None when they do not name it."""
    ranges = [each.specifier for each in requirements(lines) if canonicalize_name(each.name) == HOST_DISTRIBUTION]
    stated = SpecifierSet(",".join(filter(None, map(str, ranges))))
    return str(stated) if ranges else None
