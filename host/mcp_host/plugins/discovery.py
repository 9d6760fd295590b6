"""Finds installed plugins in the metadata of their distributions, without importing a plugin."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from importlib_metadata import EntryPoint, version
from packaging.specifiers import SpecifierSet

from mcp_host._version import __version__
from mcp_host.config.origins import dotted
from mcp_host.config.values import split_object
from mcp_host.errors import ErrorCode, HostError, did_you_mean
from mcp_host.plugins.metadata import SDK_DISTRIBUTION, name_of, range_of, range_of_host, scan, version_of

GROUP = "mcp.plugins"
"""The entry-point group whose names are plugin names."""


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of the group `mcp.plugins`, with its distribution.

    `requires_host` is the range of `mcp-host` that the distribution states: "" for any version, or None if it does not
    depend on the host. `requires_sdk` is the range of `mcp`.
    """

    name: str
    value: str
    distribution: str
    version: str
    requires_host: str | None = None
    requires_sdk: str | None = None

    @property
    def label(self) -> str:
        return f"{self.distribution} {self.version}"


def discover(path: Sequence[str] | None = None) -> tuple[InstalledPlugin, ...]:
    """Return every installed plugin, sorted by plugin name and distribution. `path` replaces `sys.path`."""
    found: set[InstalledPlugin] = set()
    for distribution in scan(path).values():
        found.update(_plugins(distribution))
    return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.distribution, plugin.value)))


def installed_from(value: str, *, name: str, path: Sequence[str] | None = None) -> InstalledPlugin | None:
    """Return the object `package.module:attribute`, which needs no entry point, as the plugin `name`, or None.

    Its module is searched in the files of all distributions, and in the folders of editable ones.
    """
    module = split_object(value)[0]
    for distribution in scan(path).values():
        try:
            if _holds(distribution, module):
                return _plugin(name, value, distribution)
        except Exception:  # damaged metadata must hide only its own distribution
            continue
    return None


def _plugins(distribution: Any) -> Sequence[InstalledPlugin]:
    try:
        entry_points: Iterable[EntryPoint] = distribution.entry_points.select(group=GROUP)
        return [_plugin(entry_point.name, entry_point.value, distribution) for entry_point in entry_points]
    except Exception:  # damaged metadata must hide only its own distribution
        return ()


def _plugin(name: str, value: str, distribution: Any) -> InstalledPlugin:
    host, sdk = range_of_host(distribution.requires), range_of(SDK_DISTRIBUTION, distribution.requires)
    return InstalledPlugin(name, value, name_of(distribution), version_of(distribution), host, sdk)


def _holds(distribution: Any, module: str) -> bool:
    base = module.replace(".", "/")
    record = distribution.read_text("RECORD")
    if record is None:
        # System packagers leave RECORD out.
        return module.partition(".")[0] in (distribution.read_text("top_level.txt") or "").split()
    if base not in record and ".pth" not in record:
        return False
    files = [row[0] for row in csv.reader(record.splitlines()) if row]
    if any(file == f"{base}/__init__.py" or file.startswith(f"{base}.") for file in files):
        return True
    for file in files:
        if file.endswith(".pth"):
            for folder in Path(str(distribution.locate_file(file))).read_text(encoding="utf-8").splitlines():
                place = Path(folder, base)
                if folder and (place.with_name(f"{place.name}.py").is_file() or (place / "__init__.py").is_file()):
                    return True
    return False


def with_extra(installed: Iterable[InstalledPlugin], extra: Sequence[InstalledPlugin]) -> tuple[InstalledPlugin, ...]:
    """Return the installed plugins and the extra ones. An extra one replaces an installed one with the same name."""
    names = {each.name for each in extra}
    return (*(each for each in installed if each.name not in names), *extra)


def find(name: str, installed: Sequence[InstalledPlugin]) -> InstalledPlugin:
    """Return the one installed plugin with this name.

    Raises:
        HostError: It is not installed, or several distributions claim the name. The error names all of them.
    """
    claims = [plugin for plugin in installed if plugin.name == name]
    where = dotted(("plugins", name))
    if not claims:
        known = sorted({plugin.name for plugin in installed})
        suggestion = did_you_mean(name, known)
        installed_text = f"; installed plugins: {', '.join(known)}" if known else "; no plugins are installed"
        raise HostError(
            f"plugin {name!r} is not installed{suggestion or installed_text}",
            where=where,
            # A distribution with the misspelt name may exist, and be another author's. `add` shows what it finds.
            hint=f"{'correct the name, or ' if suggestion else ''}mcp-host add {name}",
            code=ErrorCode.NOT_INSTALLED,
        )
    first, *more = {plugin.distribution: plugin for plugin in claims}.values()
    if more:
        raise HostError(
            f"{len(more) + 1} distributions claim the plugin name {name!r}: "
            f"{' and '.join(plugin.label for plugin in (first, *more))}",
            where=where,
            hint=f"pip uninstall {' '.join(plugin.distribution for plugin in more)}   (or another of them)",
            code=ErrorCode.NAME_CONFLICT,
        )
    if len(claims) > 1:
        raise HostError(
            f"{first.label} claims the plugin name {name!r} for {' and for '.join(plugin.value for plugin in claims)}",
            where=where,
            hint=f"pip install --upgrade {first.distribution}",
            code=ErrorCode.NAME_CONFLICT,
        )
    return first


def check_compatible(plugin: InstalledPlugin, host_version: str = __version__) -> None:
    """Refuse a plugin whose distribution excludes this host or its SDK, before it is imported.

    Raises:
        HostError: The range stated for `mcp-host` or `mcp` in its `Requires-Dist` does not contain the version here.
    """
    sdk = version(SDK_DISTRIBUTION) if plugin.requires_sdk else ""
    if plugin.requires_sdk and not SpecifierSet(plugin.requires_sdk).contains(sdk, prereleases=True):
        raise HostError(
            f"{plugin.label} needs mcp{plugin.requires_sdk}, and mcp-host has mcp {sdk}",
            where=dotted(("plugins", plugin.name)),
            hint=in_its_own_environment(plugin.name, plugin.distribution),
            code=ErrorCode.INCOMPATIBLE,
        )
    if plugin.requires_host is None:
        return
    if not SpecifierSet(plugin.requires_host).contains(host_version, prereleases=True):
        raise HostError(
            f"{plugin.label} needs mcp-host{plugin.requires_host}, this is mcp-host {host_version}",
            where=dotted(("plugins", plugin.name)),
            hint=f"pip install --upgrade {plugin.distribution}",
            code=ErrorCode.INCOMPATIBLE,
        )


def in_its_own_environment(name: str, distribution: str) -> str:
    """Return the hint for a distribution that cannot live beside the host: what gives it an environment of its own."""
    why = "(a process of its own, for what needs another SDK, such as mcp 1)"
    return f"mcp-host remove {name}, then mcp-host add pypi:{distribution}   {why}"


def by_name(installed: Iterable[InstalledPlugin]) -> Mapping[str, tuple[InstalledPlugin, ...]]:
    """Group plugins by name. A name with several entries is claimed by several entry points."""
    groups: dict[str, tuple[InstalledPlugin, ...]] = {}
    for plugin in installed:
        groups[plugin.name] = (*groups.get(plugin.name, ()), plugin)
    return groups
