"""The environment in which a client starts a server, and what an entry must add to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_host.config.references import is_reference
from mcp_host.errors import Problem

if TYPE_CHECKING:
    from mcp_host.config import HostConfig

_WINDOWS: Final = (
    "APPDATA HOMEDRIVE HOMEPATH LOCALAPPDATA PATH PATHEXT PROCESSOR_ARCHITECTURE PROGRAMFILES SYSTEMDRIVE SYSTEMROOT "
    "TEMP USERNAME USERPROFILE"
)
_POSIX: Final = "HOME LOGNAME PATH SHELL TERM USER"

INHERITED: Final = frozenset((_WINDOWS if os.name == "nt" else _POSIX).split())
"""The variables that a client's SDK gives to every server. A client may give more."""

_PYTHON_PATHS: Final = ("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE")
"""The variables that decide where Python finds modules."""

_USER_FOLDERS: Final = ("XDG_CACHE_HOME", "XDG_DATA_HOME")
"""The variables that decide where mcp-host keeps the plugins' files, logins and environments."""

_SHORT: Final = ("MCP_DEBUG", "MCP_LOG_LEVEL")
_LONG: Final = "MCP_HOST__"


def client_environment(given: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a server that a client starts: the few that every client gives, and the entry's."""
    environ = os.environ if environ is None else environ
    # What starts with () is a function of a shell.
    inherited = {name: value for name, value in environ.items() if name in INHERITED and not value.startswith("()")}
    return {**inherited, **given}


def carried(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an entry needs to find the same modules and files as here, with absolute paths."""
    found = {}
    for name in (*_PYTHON_PATHS, *_USER_FOLDERS):
        if value := environ.get(name):
            found[name] = os.pathsep.join(os.path.abspath(path) for path in value.split(os.pathsep))
    return found


def not_given(config: HostConfig, environment: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each variable that an enabled plugin's table refers to and that an environment has not.

    `environ` is the environment of this process: it decides the hint.
    """
    for plugin, section in config.plugins.items():
        if not section.enabled:
            continue
        for name in dict.fromkeys(_variables(section.model_dump())):
            if not environment.get(name):
                here = f"-v {name}   (writes its value into the entry)" if environ.get(name) else f"-v {name}=VALUE"
                what = f"plugin {plugin} needs the variable {name}, which the client does not set"
                hint = f'{here}, or keep it in a file: {{ file = "PATH" }}'
                yield Problem(what, config.where("plugins", plugin), hint)


def _variables(value: Any) -> Iterator[str]:
    if is_reference(value):
        yield from [value["env"]] if "env" in value else []
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _variables(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _variables(inner)


_ONLY_LOG = frozenset({f"{_LONG}HOST__BLOCK_WARNING", f"{_LONG}HOST__IMPORT_WARNING"})
"""Variables that only decide what is logged."""


def only_here(given: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Return the variables that change what is served here and that an entry does not set."""
    names = [name for name in environ if environ[name] and (name in _SHORT or name.startswith(_LONG))]
    return sorted(set(names) - set(given) - _ONLY_LOG)


def has_password(text: str) -> bool:
    """Return whether a text has a URL with a password."""
    return re.search(r"://[^/\s]*@", text) is not None


def is_within(path: str | Path, folder: str | Path) -> bool:
    """Return whether a path, or what it links to, is in a folder."""
    return any(Path(each).is_relative_to(folder) for each in (path, os.path.realpath(path)))
