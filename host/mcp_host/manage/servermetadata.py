"""What the metadata of a distribution says about serving it: its programs, its plugins, and the mcp that it needs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mcp_host.errors import HostError
from mcp_host.plugins.discovery import GROUP
from mcp_host.plugins.metadata import HOST_DISTRIBUTION, SDK_DISTRIBUTION, requirements

if TYPE_CHECKING:
    from mcp_host.manage.downloads import File
    from mcp_host.plugins.requirements import Installed

_OLD_API: Final = re.compile(
    r"^\s*(?:from mcp\.server\.fastmcp\b|import mcp\.server\.fastmcp\b)"
    r"|^\s*@\w+\.(?:list_tools|call_tool|list_resources|read_resource|list_prompts|get_prompt)\(\)",
    re.MULTILINE,
)
"""What a server for mcp 1 has in its code: FastMCP at its old place, or the decorators of the low-level server."""


@dataclass(frozen=True)
class Distribution:
    """What the metadata of a distribution says: whether it is a plugin, and how it is started as a server."""

    installed: Installed
    scripts: tuple[str, ...]
    modules: tuple[str, ...]
    """Packages that `python -m` runs."""
    is_for_mcp_1: bool = False
    """Whether its code uses what mcp 2 does not have any more."""
    plugin_values: tuple[str, ...] = ()
    """The objects of its plugins, such as `package.module:attribute`."""
    file: File | None = None
    """The file that the metadata was read from."""

    @property
    def is_server(self) -> bool:
        """Whether it seems to be an MCP server: it has a program, and needs mcp or has it in its name."""
        needs = any(
            each.name == SDK_DISTRIBUTION or "fastmcp" in each.name for each in requirements(self.installed.requires)
        )
        return bool(self.scripts or self.modules) and (needs or "mcp" in self.installed.key)

    @property
    def caps_sdk(self) -> bool:
        """Whether its own metadata keeps an installer from mcp 2."""
        return any(
            each.name == SDK_DISTRIBUTION and not _meet(each.specifier, SpecifierSet(">=2"))
            for each in requirements(self.installed.requires)
        )

    @property
    def requirements(self) -> list[str]:
        """Return what its environment needs. Old code may allow any mcp, and then would get one that it cannot use."""
        own = f"{self.installed.name}=={self.installed.version}"
        return [own, "mcp<2"] if self.is_for_mcp_1 and not self.caps_sdk else [own]

    def program(self) -> list[str]:
        """Return the command that starts it.

        Raises:
            HostError: It has no program, or several and none with its name.
        """
        key = self.installed.key
        same = [script for script in self.scripts if canonicalize_name(script) == key]
        servers = [script for script in self.scripts if "mcp" in script or "server" in script]
        for found in (self.scripts, same, servers):
            if len(found) == 1:
                return [found[0]]
        if len(self.modules) == 1 and not self.scripts:
            return ["python", "-m", self.modules[0]]
        pinned = f"requirements = {json.dumps(self.requirements)}"
        if self.plugin_values and not self.scripts:
            module, _, attribute = self.plugin_values[0].partition("[")[0].strip().partition(":")
            return ["python", "-c", f"import {module} as server; server{f'.{attribute}' if attribute else ''}.run()"]
        if not self.scripts:
            raise HostError(f"{self.installed.label} is no plugin and has no program", hint=f"a library? {pinned}")
        raise HostError(
            f"{self.installed.label} has several programs: {', '.join(self.scripts)}",
            hint=f'write one into the file: [plugins.NAME] command = ["{self.scripts[0]}"], {pinned}',
        )

    def conflicts(self, here: Mapping[str, Installed]) -> list[str]:
        """Return what it needs and cannot have beside mcp-host."""
        needed = _needed_by_host(here)
        return [
            f"{each.name}{each.specifier}, and {here[key].label} is here"
            for each in requirements(self.installed.requires)
            if (key := canonicalize_name(each.name)) in needed
            and not each.specifier.contains(here[key].version, prereleases=True)
        ]

    def lives_in_a_child(self, here: Mapping[str, Installed]) -> bool:
        """Return whether some environment can hold it and mcp-host: what both need themselves does not exclude it."""
        host = here.get(HOST_DISTRIBUTION)
        wanted = {
            canonicalize_name(each.name): each.specifier for each in (requirements(host.requires) if host else ())
        }
        return not (self.is_for_mcp_1 or self.caps_sdk) and all(
            _meet(each.specifier, wanted.get(canonicalize_name(each.name), SpecifierSet()))
            for each in requirements(self.installed.requires)
        )


def _meet(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Return whether a version can be in both ranges. The versions that they name, and the next ones, are tried."""
    both = one & other
    return not str(both) or any(both.contains(version, prereleases=True) for version in _tried(both))


def _tried(ranges: SpecifierSet) -> Iterator[Version]:
    for specifier in ranges:
        try:
            version = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        yield version
        yield Version(f"{version.base_version}.0.1")
    yield Version("0")
    yield Version("99999")


def wanted_name(text: str) -> Requirement | None:
    """Return what `NAME`, `NAME==1.2`, `NAME@1.2` or `NAME@latest` asks for, or None for anything else."""
    try:
        found = Requirement(re.sub(r"^([\w.-]+(?:\[[^\]]*\])?)@(?=\d)", r"\1==", text.removesuffix("@latest")))
    except InvalidRequirement:
        return None
    return None if found.url else found


def look_up(text: str, fetch: Callable[[str, Path], File | None]) -> Distribution:
    """Return what the metadata of a distribution says. `fetch` downloads it and unpacks it into a folder."""
    wanted = wanted_name(text)
    if wanted is None:
        raise HostError(f"{text!r} is not a distribution's name", hint="pypi:NAME, or pypi:NAME==1.2")
    with tempfile.TemporaryDirectory(prefix="mcp-host-") as folder:
        place = Path(folder, "unpacked")
        file = fetch(str(wanted), place)
        found = read_unpacked(place)
    if found.installed.key != canonicalize_name(wanted.name):
        raise HostError(f"what was downloaded for {text!r} is not {wanted.name}")
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return replace(found, installed=replace(found.installed, name=f"{found.installed.name}{extras}"), file=file)


def read_unpacked(folder: Path) -> Distribution:
    """Return what the metadata of a distribution says that was unpacked, alone, into a folder."""
    from mcp_host.plugins.metadata import scan
    from mcp_host.plugins.requirements import installed_now

    known = installed_now(GROUP, [str(folder)])
    if len(known) != 1:
        raise HostError("what was downloaded is not one distribution with readable metadata")
    ((key, found),) = known.items()
    points = scan([str(folder)])[key].entry_points
    scripts = tuple(sorted(point.name for point in points.select(group="console_scripts")))
    values = tuple(point.value for point in points.select(group=GROUP))
    modules = tuple(sorted(path.parent.name for path in folder.glob("*/__main__.py")))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*.py"))
    is_for_mcp_1 = any(_OLD_API.search(text) for text in texts)
    return Distribution(found, scripts, modules, is_for_mcp_1, values)


def _needed_by_host(here: Mapping[str, Installed]) -> set[str]:
    """Return the installed distributions that mcp-host needs, and itself."""
    found, waiting = set[str](), [HOST_DISTRIBUTION]
    while waiting:
        key = waiting.pop()
        if key not in found and key in here:
            found.add(key)
            waiting += [canonicalize_name(each.name) for each in requirements(here[key].requires)]
    return found
