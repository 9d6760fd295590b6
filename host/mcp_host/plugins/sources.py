"""The files that the code of loaded plugins is in, and forgetting modules so that they are imported anew."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from mcp_host.plugins.plugin import LoadedPlugin


def source_roots(plugins: Sequence[LoadedPlugin]) -> dict[Path, set[str]]:
    """Return the folder of each plugin's top-level package, or its one file, with the plugins whose code is there."""
    roots: dict[Path, set[str]] = {}
    for plugin in plugins:
        if plugin.record.import_ms is None:
            continue  # an object that was handed over: its module is somebody else's
        top = (plugin.record.value or "").partition(":")[0].partition(".")[0]
        module = sys.modules.get(top)
        file = getattr(module, "__file__", None)
        # A namespace package has no file, and its folders may be anybody's.
        if file is not None:
            path = Path(file).resolve()
            roots.setdefault(path.parent if path.stem == "__init__" else path, set()).add(plugin.name)
    return roots


def forget_modules(roots: Collection[Path]) -> Mapping[str, ModuleType]:
    """Take the modules below these folders out of `sys.modules`, and return them for `restore_modules`."""
    gone = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(root in (path := Path(file).resolve(), *path.parents) for root in roots):
            gone[name] = sys.modules.pop(name)
    return gone


def restore_modules(modules: Mapping[str, ModuleType]) -> None:
    """Put forgotten modules back in the place of what was imported since."""
    sys.modules.update(modules)
