"""What `mcp-host check` asks: whether the folders are there and allow what the settings say."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_host import PluginContext
from mcp_plugin_files.settings import Settings


def folders_are_there(context: PluginContext[Settings]) -> str | None:
    """The roots that cannot be used as configured; the others are served all the same."""
    bad = []
    for name, folder in context.settings.folders.items():
        path = context.host.base_dir / Path(folder.path).expanduser()
        if not path.exists():
            bad.append(f"{name}: there is no folder {folder.path}")
        elif not path.is_dir():
            bad.append(f"{name}: {folder.path} is not a folder")
        elif not os.access(path, os.R_OK | os.X_OK):
            bad.append(f"{name}: {folder.path} may not be read")
        elif folder.writable and not os.access(path, os.W_OK):
            bad.append(f"{name}: {folder.path} is writable = true and may not be written")
    if not context.settings.folders:
        bad.append('no folder is named: add settings.roots.docs = "docs", say')
    return "; ".join(bad) or None
