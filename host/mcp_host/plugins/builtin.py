"""The host's own plugin, written with the public API: it contributes the resource `mcp-host://plugins`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mcp_host.api import Plugin
from mcp_host.plugins.records import PluginRecord

NAME = "mcp-host"
PLUGINS_URI = "mcp-host://plugins"


def builtin_plugin(state: Callable[[], dict[str, Any]]) -> Plugin:
    """Return the host's own plugin. `state` returns what clients may know about the plugins."""
    plugin = Plugin()

    @plugin.resource(
        PLUGINS_URI,
        name="plugins",
        title="Plugins of this server",
        mime_type="application/json",
    )
    async def plugins() -> str:
        """Every plugin of this server: what it contributes and, if it failed, the id of the error in the log."""
        return json.dumps(state(), indent=2)

    return plugin


def failure_notice(records: Sequence[PluginRecord]) -> str | None:
    """Return one line for the server's instructions if plugins failed, so that a model can inform its user."""
    failed = [record for record in records if record.failed]
    if not failed:
        return None
    names = ", ".join(f"{record.name} ({record.fate}, error {record.error_id})" for record in failed)
    return (
        f"Not available, because it failed to start: {names}. Whoever runs this server finds the reason in its log, by "
        f"the error id, or with `mcp-host check`. {PLUGINS_URI} shows the state of every plugin."
    )
