"""The check for `mcp-host check`: the configured data files exist."""

from __future__ import annotations

from mcp_host import PluginContext
from mcp_plugin_stats.app import plugin
from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.settings import Settings
from mcp_plugin_stats.sources import find_files


@plugin.check("the data files are there")
def files_are_there(context: PluginContext[Settings]) -> str | None:
    """Return the data sets whose file is missing or empty. The others are still served."""
    bad = []
    for name, file in context.settings.datasets.items():
        try:
            files = find_files(file, context.host.base_dir, context.host.owns)
        except FileNotFoundError as error:
            bad.append(f"{name}: {file.path}: {error}")
        except (DataError, OSError) as error:
            bad.append(f"{name}: {file.path} cannot be used: {error}")
        else:
            bad += [f"{name}: {each.label} is empty" for each in files if each.path.stat().st_size == 0]
    return "; ".join(bad) or None
