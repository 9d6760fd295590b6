"""Finds the plugin to check: in a project's folder, among the installed ones, or in memory."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from inspect import ismodule
from pathlib import Path
from types import ModuleType

from pydantic import AliasPath, BaseModel, Field, ValidationError

from mcp_host.errors import HostError, did_you_mean
from mcp_host.plugins.discovery import GROUP, InstalledPlugin, discover, find, installed_from
from mcp_host.plugins.metadata import range_of_host

DEFAULT_NAME = "plugin"
"""The name of a plugin without an entry point."""


@dataclass(frozen=True)
class Target:
    """One plugin and its source.

    `installed` is what to import in a fresh interpreter, with `folders` first on its path. It is None for an object
    that no importable module contains; then `plugin` is that object. `by_entry_point` is true if an entry point names
    it, and false for any other object, such as an `MCPServer` in a module.
    """

    name: str
    installed: InstalledPlugin | None = None
    folders: tuple[str, ...] = ()
    plugin: object = None
    by_entry_point: bool = False

    @property
    def source(self) -> str:
        """The distribution and version as one phrase, or the object's path if there is no distribution."""
        if self.installed is None:
            return "an object in memory"
        return self.installed.label if self.installed.distribution else self.installed.value


def find_targets(plugin: object, *, name: str | None = None) -> tuple[Target, ...]:
    """Return the plugins for a name, a folder, `package.module:attribute`, a `Path`, or a plugin object.

    A folder is a project with a `pyproject.toml`. It need not be installed, and may have several plugins. `name`
    chooses one of them, or is the name for an object without an entry point.

    Raises:
        HostError: There is no such plugin, or its module is not in the project's folder.
    """
    if isinstance(plugin, Target):
        return (plugin,)
    if isinstance(plugin, Path):
        return tuple(_in_project(plugin, name))
    if not isinstance(plugin, str):
        return (_of_object(plugin, name),)
    installed = discover()
    if any(known.name == plugin for known in installed):
        return (Target(plugin, find(plugin, installed), by_entry_point=True),)
    if Path(plugin).is_dir():
        return tuple(_in_project(Path(plugin), name))
    if re.fullmatch(r"[\w.]+:[\w.]+", plugin):
        given = name or DEFAULT_NAME
        return (Target(given, installed_from(plugin, name=given) or _not_installed(given, plugin)),)
    known = sorted({each.name for each in installed})
    raise HostError(
        f"there is no folder and no installed plugin {plugin!r}{did_you_mean(plugin, known)}",
        where="the plugin to check",
        hint=f"a project's folder, package.module:attribute, or one of: {', '.join(known) or 'none is installed'}",
    )


def find_target(plugin: object, *, name: str | None = None) -> Target:
    """Return the one plugin, like `find_targets`. It also raises `HostError` if there are several."""
    first, *more = find_targets(plugin, name=name)
    if more:
        names = [target.name for target in (first, *more)]
        raise HostError(
            f"{plugin} has several plugins: {', '.join(names)}", where=str(plugin), hint=f'name="{first.name}"'
        )
    return first


def _not_installed(name: str, value: str) -> InstalledPlugin:
    return InstalledPlugin(name, value, distribution="", version="")


# A project's folder


class _Project(BaseModel):
    """The parts of a `pyproject.toml` (PEP 621, and hatchling's table) that name its plugins and their place."""

    name: str = Field(default="", validation_alias=AliasPath("project", "name"))
    version: str = Field(default="0", validation_alias=AliasPath("project", "version"))
    dependencies: list[str] = Field(default=[], validation_alias=AliasPath("project", "dependencies"))
    plugins: dict[str, str] = Field(default={}, validation_alias=AliasPath("project", "entry-points", GROUP))
    packages: list[str] = Field(
        default=[], validation_alias=AliasPath("tool", "hatch", "build", "targets", "wheel", "packages")
    )


def _in_project(folder: Path, name: str | None) -> Iterator[Target]:
    file = folder / "pyproject.toml"
    try:
        project = _Project.model_validate(tomllib.loads(file.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise HostError(
            f"it cannot be read: {error.strerror}", where=str(file), hint="name the folder of a plugin's project"
        ) from None
    except ValidationError as error:
        (fault, *_) = error.errors(include_url=False)
        keys = ".".join(map(str, fault["loc"]))
        raise HostError(f"{keys} is not valid: {fault['msg']}", where=str(file)) from None
    except ValueError as error:
        raise HostError(f"invalid TOML: {error}", where=str(file)) from None
    plugins = project.plugins
    if name is not None and name in plugins:
        plugins = {name: plugins[name]}
    elif name is not None or not plugins:
        missing = f"no plugin {name!r}{did_you_mean(name, plugins)}" if name else "no plugin"
        raise HostError(
            f"it names {missing}",
            where=f'{file}: [project.entry-points."{GROUP}"]',
            hint='NAME = "package.module:plugin"   (or install the project, and name the plugin)',
        )
    for entry, value in plugins.items():
        yield Target(
            entry,
            InstalledPlugin(
                entry,
                value,
                distribution=project.name or folder.resolve().name,
                version=project.version,
                requires_host=range_of_host(project.dependencies),
            ),
            folders=(str(_root_of(value, folder, project)),),
            by_entry_point=True,
        )


def _root_of(value: str, folder: Path, project: _Project) -> Path:
    """Return the folder with the entry point's module: `src`, the project's own, or one of hatchling's table."""
    top = value.partition(":")[0].partition(".")[0].strip()
    for root in (folder / "src", folder, *((folder / package).parent for package in project.packages)):
        if (root / top).is_dir() or (root / f"{top}.py").is_file():
            return root.resolve()
    raise HostError(
        f"there is no module {top} in it, nor in its src",
        where=f'{folder / "pyproject.toml"}: [project.entry-points."{GROUP}"]',
        hint=f"pip install -e {folder}   (and name the plugin in place of the folder)",
    )


# An object in memory


def _of_object(plugin: object, name: str | None) -> Target:
    """Find from where a fresh interpreter can import this same object. Otherwise the target has only the object."""
    for known in discover():
        if _value_of(known.value) is plugin and name in (None, known.name):
            return Target(known.name, known, by_entry_point=True)
    given = name or DEFAULT_NAME
    values = sorted(_values(plugin), key=lambda value: (value.count("."), value))
    if not values:
        return Target(given, plugin=plugin)
    found = installed_from(values[0], name=given)
    return Target(given, replace(found, value=values[0]) if found else _not_installed(given, values[0]))


def _value_of(value: str) -> object:
    """Return the object of an entry point, if its module is already imported."""
    module, _, attributes = value.partition("[")[0].partition(":")
    found: object = sys.modules.get(module.strip())
    for attribute in filter(None, attributes.strip().split(".")):
        found = getattr(found, attribute, None)
    return found


def _values(plugin: object) -> Iterator[str]:
    if ismodule(plugin):
        if _is_importable(plugin.__name__, plugin):
            yield plugin.__name__
        return
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is plugin and attribute.isidentifier() and _is_importable(name, module):
                yield f"{name}:{attribute}"


def _is_importable(name: str, module: ModuleType) -> bool:
    """Return whether a fresh interpreter with this path finds the same module. Only a test runner imports tests."""
    last = name.rpartition(".")[2]
    if name == "__main__" or last == "conftest" or last.startswith("test_") or last.endswith("_test"):
        return False
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = spec.submodule_search_locations if spec is not None else None
        part = ".".join(parts[:length])
        # Not importlib.util.find_spec: it also finds modules that are already imported, from any place.
        specs = (finder.find_spec(part, path) for finder in sys.meta_path)
        spec = next((found for found in specs if found is not None), None)
        if spec is None:
            return False
    return spec is not None and spec.origin == getattr(module, "__file__", None)
