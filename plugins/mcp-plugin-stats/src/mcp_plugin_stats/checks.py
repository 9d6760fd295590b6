"""The check for `mcp-host check`: the configured data files exist."""

from __future__ import annotations

from pathlib import Path

from mcp_host import PluginContext
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.settings import Settings


@plugin.check("the data files are there")
def files_are_there(context: PluginContext[Settings]) -> str | None:
    """Return the data sets whose file is missing or empty. The others are still served."""
    bad = []
    for name, file in context.settings.files.items():
        path = context.host.base_dir / Path(file.path).expanduser()
        if not path.is_file():
            bad.append(f"{name}: there is no file {file.path}")
        elif path.stat().st_size == 0:
            bad.append(f"{name}: {file.path} is empty")
    return "; ".join(bad) or None
