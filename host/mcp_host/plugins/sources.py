"""Finds the source files of loaded plugins, and removes their modules so that they are imported again."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from mcp_host.plugins.plugin import LoadedPlugin


def source_roots(plugins: Sequence[LoadedPlugin]) -> dict[Path, set[str]]:
    """Return the folder of each plugin's top-level package, or its file, with the names of the plugins in it."""
    roots: dict[Path, set[str]] = {}
    for plugin in plugins:
        if plugin.record.import_ms is None:
            continue  # the plugin was given as an object, so its module is not the plugin's
        top = (plugin.record.value or "").partition(":")[0].partition(".")[0]
        module = sys.modules.get(top)
        file = getattr(module, "__file__", None)
        # A namespace package has no file, and other distributions may share its folders.
        if file is not None:
            path = Path(file).resolve()
            roots.setdefault(path.parent if path.stem == "__init__" else path, set()).add(plugin.name)
    return roots


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
