"""Finds installed plugins from the metadata of their distributions. Nothing of a plugin is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from importlib_metadata import EntryPoint, distributions
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mcp_host._version import __version__
from mcp_host.errors import HostError, did_you_mean

GROUP = "mcp.plugins"
"""The entry-point group whose names are plugin names."""

HOST_DISTRIBUTION = "mcp-host"


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of the group `mcp.plugins`, with the distribution it came from.

    `requires_host` is the range of `mcp-host` the distribution states, as written, or None when it states none.
    """

    name: str
    value: str
    distribution: str
    version: str
    requires_host: str | None = None

    @property
    def label(self) -> str:
        return f"{self.distribution} {self.version}"


def discover(path: Sequence[str] | None = None) -> tuple[InstalledPlugin, ...]:
    """Return every installed plugin, sorted by plugin name and distribution.

    `path` replaces `sys.path`. A distribution found twice on the path counts once, the first one, as for `import`.
    """
    found: list[InstalledPlugin] = []
    seen: set[str] = set()
    for distribution in distributions(path=list(path)) if path is not None else distributions():
        name = _name(distribution)
        if name is None or canonicalize_name(name) in seen:
            continue
        seen.add(canonicalize_name(name))
        found.extend(_plugins(name, distribution))
    return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.distribution)))


def _name(distribution: Any) -> str | None:
    # A half-removed distribution leaves a folder without METADATA; importlib then reports no name, or fails.
    try:
        name: str | None = distribution.metadata["Name"]
    except Exception:
        return None
    return name


def _plugins(name: str, distribution: Any) -> Iterable[InstalledPlugin]:
    try:
        entry_points: Iterable[EntryPoint] = distribution.entry_points.select(group=GROUP)
    except Exception:  # a mangled entry_points.txt belongs to somebody else, and hides only itself
        return
    for entry_point in entry_points:
        yield InstalledPlugin(
            name=entry_point.name,
            value=entry_point.value,
            distribution=name,
            version=distribution.version or "0",
            requires_host=_requires_host(distribution.requires or ()),
        )


def _requires_host(requires: Iterable[str]) -> str | None:
    ranges: list[str] = []
    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != HOST_DISTRIBUTION:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            ranges.append(str(requirement.specifier))
    return ",".join(filter(None, ranges)) if ranges else None


def find(name: str, installed: Sequence[InstalledPlugin]) -> InstalledPlugin:
    """Return the one installed plugin of this name.

    Raises:
        HostError: It is not installed, or two distributions claim the name; both are named.
    """
    claims = [plugin for plugin in installed if plugin.name == name]
    where = f"plugins.{name}"
    if not claims:
        known = sorted({plugin.name for plugin in installed})
        suggestion = did_you_mean(name, known)
        installed_text = f"; installed plugins: {', '.join(known)}" if known else "; no plugins are installed"
        raise HostError(
            f"plugin {name!r} is not installed{suggestion or installed_text}",
            where=where,
            mend=f"pip install mcp-plugin-{name}",
        )
    if len(claims) > 1:
        first, second, *_ = claims
        raise HostError(
            f"two distributions claim the plugin name {name!r}: {first.label} and {second.label}",
            where=where,
            mend=f"pip uninstall {second.distribution}   (or {first.distribution})",
        )
    return claims[0]


def check_compatible(plugin: InstalledPlugin, host_version: str = __version__) -> None:
    """Refuse a plugin whose distribution excludes this host, before anything of it is imported.

    Raises:
        HostError: The range stated for `mcp-host` in its `Requires-Dist` does not contain `host_version`.
    """
    if plugin.requires_host is None:
        return
    specifier = Requirement(f"{HOST_DISTRIBUTION}{plugin.requires_host}").specifier
    if not specifier.contains(host_version, prereleases=True):
        raise HostError(
            f"{plugin.label} needs mcp-host{plugin.requires_host}, this is mcp-host {host_version}",
            where=f"plugins.{plugin.name}",
            mend=f"pip install --upgrade {plugin.distribution}",
        )


def by_name(installed: Iterable[InstalledPlugin]) -> Mapping[str, tuple[InstalledPlugin, ...]]:
    """Group plugins by name; a name with more than one entry is claimed twice."""
    groups: dict[str, tuple[InstalledPlugin, ...]] = {}
    for plugin in installed:
        groups[plugin.name] = (*groups.get(plugin.name, ()), plugin)
    return groups
