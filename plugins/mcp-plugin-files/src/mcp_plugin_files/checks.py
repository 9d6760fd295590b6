"""The check for `mcp-host check`: the folders exist and can be used as configured."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_host import PluginContext
from mcp_plugin_files.settings import Settings


def folders_are_there(context: PluginContext[Settings]) -> str | None:
    """Return the roots that cannot be used as configured. The others are still served."""
    bad = []
    for name, folder in context.settings.folders.items():
        path = context.host.base_dir / Path(folder.path).expanduser()
        if not path.exists():
            bad.append(f"{name}: there is no folder {folder.path}")
        elif not path.is_dir():
            bad.append(f"{name}: {folder.path} is not a folder")
        elif context.host.owns(path) or context.host.runs(path):
            bad.append(f"{name}: {folder.path} belongs to mcp-host itself, and nothing in it is served")
        elif not os.access(path, os.R_OK | os.X_OK):
            bad.append(f"{name}: {folder.path} may not be read")
        elif folder.writable and not os.access(path, os.W_OK):
            bad.append(f"{name}: {folder.path} has writable = true but may not be written")
    if not context.settings.folders:
        bad.append('no folder is configured: for example, add settings.roots.docs = "docs"')
    return "; ".join(bad) or None
