"""A Python file in the place of an mcp-host.toml: `server.py` or `server.py:name`, whose object is the only plugin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mcp_host.config.layers import Draft

_PATH: Final = re.compile(r"(?P<file>[^:]+\.py)(:(?P<name>.*))?", re.DOTALL)


def python_file(path: Path | None) -> tuple[Path, str] | None:
    """Return the file and the name of an object in it or "", or None for a path of another kind."""
    found = _PATH.fullmatch(path.name) if path is not None else None
    return (path.with_name(found["file"]), found["name"] or "") if path is not None and found else None


def put_python_file(draft: Draft, file: Path, name: str) -> None:
    """Put the one plugin into a draft. It has the name of the file, and nothing is served without it."""
    plugin = re.sub(r"[^A-Za-z0-9_]+", "-", file.stem).strip("-") or "server"
    draft.put(("host", "name"), plugin, str(file))
    draft.put(("plugins", plugin, "object"), f"{file.name}:{name}" if name else file.name, str(file))
    draft.put(("plugins", plugin, "required"), True, str(file))
