"""A plugin made of contributions of any kind."""

from __future__ import annotations

from typing import Any

from mcp_host import Completion, Plugin, Prompt, Resource


def plugin_of(*parts: Any) -> Plugin:
    """Return a plugin with these contributions. Whatever is of no other kind is a tool."""
    plugin = Plugin()
    for part in parts:
        match part:
            case Resource():
                plugin._resources.append(part)
            case Prompt():
                plugin._prompts.append(part)
            case Completion():
                plugin._completions.append(part)
            case _:
                plugin._tools.append(part)
    return plugin
