"""Remembers the names that a configuration serves, so that Tab can offer them without loading a plugin."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_host.config import user_dir
from mcp_host.errors import str_of

if TYPE_CHECKING:
    from mcp_host.plugins.discovery import InstalledPlugin
    from mcp_host.server.host import Host

FILE_NAME: Final = "completion.json"
MOST: Final = 32
"""Configurations that are remembered, the last used ones."""

Names = Mapping[str, Mapping[str, str]]
"""By kind (tools, prompts, resources, templates, commands): names or URIs, and the first line about each."""


def remember(host: Host, installed: Sequence[InstalledPlugin]) -> None:
    """Note what a host serves. It is a courtesy: what goes wrong here is nobody's trouble."""
    config = host.config
    if config.path is None or config.set_by_flags("plugins"):
        return
    with suppress(OSError, ValueError):
        catalog = host.catalog
        # The shape of the wire's listings, and no more of them than Tab shows.
        names = {
            "tools": {name: _first_line(tool.wire.description) for name, tool in catalog.tools.items()},
            "prompts": {name: _first_line(prompt.wire.description) for name, prompt in catalog.prompts.items()},
            "resources": {uri: _first_line(each.wire.description) for uri, each in catalog.resources.items()},
            "templates": {uri: _first_line(each.wire.description) for uri, each in catalog.templates.items()},
            "commands": {
                f"{plugin.name} {command.name}": _first_line(command.fn.__doc__)
                for plugin in host.plugins
                for command in plugin.contributions.commands
                if command.name
            },
        }
        entry = {"stamp": _stamp(config.path, installed), "names": names}
        file, entries = _read()
        key = _key(config.path)
        if entries.get(key) == entry:
            return
        entries.pop(key, None)
        kept = dict(list(entries.items())[1 - MOST :])

        from mcp_host.system.files import atomic_write

        atomic_write(file, json.dumps({**kept, key: entry}).encode())


def recall(config: Path, installed: Sequence[InstalledPlugin]) -> Names:
    """Return what this configuration served last, or nothing when it or what is installed has changed since."""
    _, entries = _read()
    entry = entries.get(_key(config))
    return entry["names"] if entry is not None and entry["stamp"] == _stamp(config, installed) else {}


def _stamp(config: Path, installed: Sequence[InstalledPlugin]) -> list[Any]:
    stat = config.stat()
    # Names of variables only: their values may be secrets.
    variables = sorted(name for name in os.environ if name.startswith("MCP_HOST__"))
    return [stat.st_mtime_ns, stat.st_size, variables, sorted(f"{each.name} {each.label}" for each in installed)]


def _key(config: Path) -> str:
    return str(config.resolve())


def _read() -> tuple[Path, dict[str, Any]]:
    """Return the file, and what is in it: nothing when it is missing or damaged."""
    folder = user_dir("cache")
    if folder is None:
        raise FileNotFoundError("the user has no home")
    file = folder / FILE_NAME
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return file, {}
    return file, data if isinstance(data, dict) else {}


def _first_line(text: object) -> str:
    return str_of(text).strip().partition("\n")[0] if isinstance(text, str) else ""
