"""What the host itself contributes, as a plugin written on the public API: the resource `mcp-host://plugins`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from mcp_host.api import Plugin
from mcp_host.errors import Problem
from mcp_host.plugins.records import PluginRecord

NAME = "mcp-host"
PLUGINS_URI = "mcp-host://plugins"


def builtin_plugin(
    records: Callable[[], Sequence[PluginRecord]], reload_problem: Callable[[], Problem | None]
) -> Plugin:
    """Return the host's own plugin. Its arguments give the state of things at the moment they are called."""
    plugin = Plugin()

    @plugin.resource(
        PLUGINS_URI,
        name="plugins",
        title="Plugins of this server",
        mime_type="application/json",
    )
    async def plugins() -> str:
        """Every plugin of this server: what it contributes and, if it failed, why and how to fix it."""
        problem = reload_problem()
        state = {
            "plugins": [record.to_json() for record in records()],
            # Why an edited configuration is not the one that is served.
            "reload_problem": asdict(problem) if problem else None,
        }
        return json.dumps(state, indent=2)

    return plugin


def failure_notice(records: Sequence[PluginRecord]) -> str | None:
    """Return one line for the server's instructions when plugins failed, so that a model can tell its user."""
    failed = [f"{record.name} ({record.problem.what})" for record in records if record.problem is not None]
    if not failed:
        return None
    names = ", ".join(failed)
    return f"Not available, because it failed to start: {names}. Read {PLUGINS_URI} for how to fix it."
