"""The host's own files, which no plugin may serve: its configuration, its secrets, and what plugins keep."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mcp_host.config.pythonfile import python_file
from mcp_host.config.references import is_reference
from mcp_host.config.sections import HostConfig

OWN_PATHS: Final = "MCP_HOST_OWN_PATHS"
"""The variable with the own files of the host that runs this one as a child process for one of its plugins."""


def secret_files(config: HostConfig) -> list[Path]:
    """Return the files of all secrets that the configuration names, whether they exist or not."""
    found = []
    for name in dict.fromkeys(_file_references(config.model_dump())):
        try:
            found.append(config.base_dir / Path(name).expanduser())
        except RuntimeError:  # `~` without a home directory; reading the secret reports it
            continue
    return found


def _file_references(value: Any) -> Iterator[str]:
    if is_reference(value):
        if "file" in value:
            yield value["file"]
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _file_references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _file_references(inner)


def own_paths(config: HostConfig, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the host's own files and folders, as named and with links resolved.

    A file comes with the helper files of a write (`system.files`).
    """
    paths = [config.data_dir, *secret_files(config)]
    if config.path is not None and python_file(config.path) is None:
        paths.append(config.path)
    paths += [Path(path) for path in environ.get(OWN_PATHS, "").split(os.pathsep) if path]
    # A path with a NUL cannot be resolved. It is no file either.
    usable = [path for path in paths if "\0" not in str(path)]
    both = [Path(os.path.abspath(path)) for path in usable] + [Path(os.path.realpath(path)) for path in usable]
    helpers = [path.with_name(f".{path.name}{end}") for path in both for end in (".lock", ".edit") if path.name]
    return tuple(dict.fromkeys([*both, *helpers]))
