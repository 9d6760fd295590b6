"""Finds the source files of loaded plugins, and removes their modules so that they are imported again."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.system.tracebacks import is_installed

_HOST = Path(__file__).resolve().parents[1]


def source_roots(plugins: Sequence[LoadedPlugin]) -> dict[Path, set[str]]:
    """Return the files and folders with the code of each plugin, with the names of the plugins that use them.

    They are the plugin's top-level package, and everything else that was imported with it and is not installed. Code
    of that kind which was imported before, with another plugin, belongs to each plugin that is not installed.
    """
    roots: dict[Path, set[str]] = {}
    shared: set[Path] = set()
    local: set[str] = set()
    for plugin in plugins:
        if plugin.module is None or (own := _root(plugin.module)) is None:
            continue
        roots.setdefault(own, set()).add(plugin.name)
        if not is_installed(own):
            local.add(plugin.name)
            shared.update(_others(plugin.imported, own))
    for root in shared:
        roots.setdefault(root, set()).update(local)
    return roots


def _root(module: str) -> Path | None:
    """Return the folder of a module's outermost package, or its file if it is in no package."""
    # A namespace package has no file, and other distributions may share its folders.
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        found = sys.modules.get(".".join(parts[:end]))
        file = getattr(found, "__file__", None)
        if file is not None:
            path = Path(file).resolve()
            return path.parent if path.stem == "__init__" else path
    return None


def _others(names: Collection[str], own: Path) -> Iterator[Path]:
    for name in names:
        root = _root(name)
        if root is not None and not is_installed(root) and own not in (root, *root.parents) and root != _HOST:
            yield root


def forget_modules(roots: Collection[Path]) -> Mapping[str, ModuleType]:
    """Remove the modules below these folders from `sys.modules`, and return them for `restore_modules`."""
    removed = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(root in (path := Path(file).resolve(), *path.parents) for root in roots):
            removed[name] = sys.modules.pop(name)
    return removed


def restore_modules(modules: Mapping[str, ModuleType]) -> None:
    """Restore the removed modules. They replace modules that were imported since."""
    sys.modules.update(modules)
