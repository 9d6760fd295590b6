"""The host's own files, which no plugin may serve: its configuration, its secrets, what plugins keep, and its code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mcp_host.config.pluginsection import PluginSection
from mcp_host.config.pythonfile import python_file
from mcp_host.config.references import is_reference
from mcp_host.config.sections import HostConfig
from mcp_host.config.values import split_object

OWN_PATHS: Final = "MCP_HOST_OWN_PATHS"
"""The variable with the own files of the host that runs this one as a child process for one of its plugins."""

CODE_PATHS: Final = "MCP_HOST_CODE_PATHS"
"""The same for the code that it runs."""

_CODE: Final = frozenset({".cjs", ".jar", ".js", ".mjs", ".py", ".pyz", ".rb", ".sh", ".ts"})


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
    paths += _of_parent(environ, OWN_PATHS)
    both = _both_ways(paths)
    helpers = [path.with_name(f".{path.name}{end}") for path in both for end in (".lock", ".edit") if path.name]
    return tuple(dict.fromkeys([*both, *helpers]))


def code_paths(config: HostConfig, modules: Iterable[str], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files and folders with code that the host runs, as named and with links resolved.

    These are the files that the configuration names, the imported `modules` with the packages they are in, and the
    virtual environment.
    """
    paths = [config.base_dir / name for section in config.plugins.values() for name in _scripts(section)]
    for name in dict.fromkeys(name.partition(".")[0] for name in modules):
        module = sys.modules.get(name)
        places = getattr(module, "__path__", None) or [getattr(module, "__file__", None)]
        paths += [Path(place) for place in places if place]
    if sys.prefix != sys.base_prefix:
        paths.append(Path(sys.prefix))
    paths += _of_parent(environ, CODE_PATHS)
    return tuple(dict.fromkeys(_both_ways(paths)))


def _scripts(section: PluginSection) -> Iterator[str]:
    """Return the files of code that a section names. Another argument of a command may be data."""
    if section.object is not None and (file := split_object(section.object)[0]).endswith(".py"):
        yield file
    for place, word in enumerate(section.command or ()):
        if isinstance(word, str) and (Path(word).suffix.lower() in _CODE or (not place and os.path.dirname(word))):
            yield os.path.join(section.cwd or "", word)


def _of_parent(environ: Mapping[str, str], variable: str) -> list[Path]:
    return [Path(path) for path in environ.get(variable, "").split(os.pathsep) if path]


def _both_ways(paths: Iterable[Path]) -> list[Path]:
    # A path with a NUL cannot be resolved. It is no file either.
    usable = [path for path in paths if "\0" not in str(path)]
    return [Path(os.path.abspath(path)) for path in usable] + [Path(os.path.realpath(path)) for path in usable]
