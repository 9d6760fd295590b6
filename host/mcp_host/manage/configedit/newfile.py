"""The text of a new `mcp-host.toml`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tomlkit

from mcp_host.plugins.discovery import InstalledPlugin


def new_config(*, name: str, enabled: Sequence[str], installed: Iterable[InstalledPlugin], http: bool) -> str:
    """Return the text of a new file. The given plugins are enabled, the other installed ones are comments."""
    document = tomlkit.document()
    document.add(tomlkit.comment("What this server serves. All keys: mcp-host schema"))
    host = tomlkit.table()
    host.add("name", name or "mcp-host")
    document.add("host", host)
    transport = tomlkit.table()
    transport.add("kind", "http" if http else "stdio")
    document.add("transport", transport)
    plugins = tomlkit.table(is_super_table=True)
    for plugin in enabled:
        plugins.add(plugin, tomlkit.table())
    if enabled:
        document.add("plugins", plugins)
    text = tomlkit.dumps(document)
    for other in installed:
        if other.name not in enabled:
            key = tomlkit.key(other.name).as_string()
            text += f"\n# [plugins.{key}]    # {other.label}; remove the first # to enable it\n"
    return text
