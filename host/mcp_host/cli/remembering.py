"""Remembers the names that a configuration serves, so that completion can offer them without loading a plugin."""

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
"""The most configurations that are remembered; the oldest are dropped."""

Names = Mapping[str, Mapping[str, str]]
"""For each kind (tools, prompts, resources, templates, commands): names or URIs, and the first line about each."""


def remember(host: Host, installed: Sequence[InstalledPlugin]) -> None:
    """Remember what a host serves. An error is ignored, because completion works without it, too."""
    config = host.config
    if config.path is None or config.set_by_flags("plugins"):
        return
    with suppress(OSError, ValueError):
        catalog = host.catalog
        # Only the names and texts that completion shows.
        names = {
            **{
                kind.plural: {name: _first_line(each.wire.description) for name, each in items.items()}
                for kind, items in catalog.items.items()
            },
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
    """Return what this configuration last served, or nothing if it or the installed plugins have changed."""
    _, entries = _read()
    entry = entries.get(_key(config))
    return entry["names"] if entry is not None and entry["stamp"] == _stamp(config, installed) else {}


def _stamp(config: Path, installed: Sequence[InstalledPlugin]) -> list[Any]:
    stat = config.stat()
    # Only the names of the variables: their values may be secrets.
    variables = sorted(name for name in os.environ if name.startswith("MCP_HOST__"))
    return [stat.st_mtime_ns, stat.st_size, variables, sorted(f"{each.name} {each.label}" for each in installed)]


def _key(config: Path) -> str:
    return str(config.resolve())


def _read() -> tuple[Path, dict[str, Any]]:
    """Return the file and its content, which is empty if the file is missing or damaged."""
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
