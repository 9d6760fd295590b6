"""Finds and reads mcp-host.toml into a HostConfig, or every problem it has."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from mcp_host.config.explain import Explainer
from mcp_host.config.layers import DEEPEST, Draft, deeper_than, too_deep
from mcp_host.config.origins import Origins, statements
from mcp_host.config.references import looks_secret
from mcp_host.config.sections import HostConfig
from mcp_host.errors import InvalidConfigError, Problem

FILE_NAME: Final = "mcp-host.toml"


def user_dir(
    kind: Literal["config", "data", "cache"], environ: Mapping[str, str], *, platform: str = sys.platform
) -> Path | None:
    """Return mcp-host's folder in the user's configuration, data or cache directory, or None when there is no home.

    On Linux and its like the XDG base directories, on macOS `~/Library/Application Support` and `~/Library/Caches`, on
    Windows `%APPDATA%` for configuration and `%LOCALAPPDATA%` for the others.
    """
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") and platform != "win32" else Path.home()
    except RuntimeError:
        return None
    if platform == "win32":
        named = environ.get("APPDATA" if kind == "config" else "LOCALAPPDATA")
        default = home / "AppData" / ("Roaming" if kind == "config" else "Local")
    elif platform == "darwin":
        named, default = None, home / "Library" / ("Caches" if kind == "cache" else "Application Support")
    else:
        named = environ.get(f"XDG_{kind.upper()}_HOME")
        default = home / {"config": ".config", "data": ".local/share", "cache": ".cache"}[kind]
        # The XDG specification has a relative path ignored.
        named = named if named and named.startswith("/") else None
    return (Path(named) if named else default) / "mcp-host"


def find_config(
    explicit: Path | None, environ: Mapping[str, str], cwd: Path, *, platform: str = sys.platform
) -> Path | None:
    """Return the file to read: `explicit`, `$MCP_HOST_CONFIG`, `mcp-host.toml` in `cwd`, or the user's own.

    Returns None when there is no file and none was asked for. Raises `ConfigError` when `explicit` or the variable
    names a file that does not exist.
    """
    variable = environ.get("MCP_HOST_CONFIG")
    asked, where = (Path(variable), "environment: MCP_HOST_CONFIG") if variable else (None, "")
    if explicit is not None:
        asked, where = explicit, "command line: --config"
    if asked is not None:
        path = cwd / asked
        if not _exists(path):
            raise InvalidConfigError([Problem(f"there is no file {path}", where=where, hint="mcp-host init")])
        return path
    folders = [cwd, user_dir("config", environ, platform=platform)]
    return next((folder / FILE_NAME for folder in folders if folder and _exists(folder / FILE_NAME)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # It is there, behind a folder that may not be entered; reading it says so.
        return True


def load_config(
    path: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> HostConfig:
    """Read a file, or none, and what lies over it; later wins: defaults, the file, `MCP_*` variables, `overrides`.

    `overrides` are command-line flags as tables of the file's shape, where None is a flag not given; `environ` is
    the process's environment unless given. Raises `InvalidConfigError` with every problem found.
    """
    if path is None:
        return parse_config("", source="", overrides=overrides, environ=environ)
    return parse_config(_read(path), source=path, overrides=overrides, environ=environ)


def parse_config(
    text: str,
    *,
    source: Path | str = FILE_NAME,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> HostConfig:
    """Do as `load_config` does, with a text; `source` names it in errors, and a `Path` sets where relative paths start.

    Raises `InvalidConfigError` with every problem found.
    """
    environ = os.environ if environ is None else environ
    text = text.removeprefix("\ufeff")
    draft = Draft(_parse(text, str(source)))
    draft.lay_variables(environ)
    draft.lay_flags(overrides or {})
    if deeper_than(DEEPEST, draft.data):
        raise InvalidConfigError([too_deep(str(source))])
    origins = Origins(str(source), text, draft.labels, frozenset(draft.flags))
    try:
        config = HostConfig.model_validate(draft.data)
    except ValidationError as error:
        problems = draft.problems + Explainer(draft.data, HostConfig, origins.where).problems(error)
    else:
        if not draft.problems:
            path = source if isinstance(source, Path) else None
            return config.located(path, user_data=user_dir("data", environ), origins=origins)
        problems = draft.problems
    raise InvalidConfigError(problems)


def _read(path: Path) -> str:
    try:
        # Opening a folder is another error on each system.
        if not path.is_dir():
            return path.read_bytes().decode("utf-8")
        problem = Problem("this is a folder, not a file", where=str(path), hint=f"name {path / FILE_NAME}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem("the file is not UTF-8 text", where=f"{path}:{line}", hint="save it as UTF-8")
    except FileNotFoundError:
        problem = Problem("there is no such file", where=str(path), hint="mcp-host init")
    except (OSError, ValueError) as error:
        # ValueError is a path with a NUL in it.
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a usable path"
        problem = Problem(f"the file cannot be read: {reason}", where=str(path))
    raise InvalidConfigError([problem])


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError:
        problem = Problem("the text is not Unicode", where=file, hint="save it as UTF-8")
    except RecursionError:
        problem = too_deep(file)
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_error(str(error), text, file)
    except ValueError:
        # Python refuses to read whole numbers of thousands of digits.
        problem = Problem("invalid TOML: a number has too many digits", where=file)
    raise InvalidConfigError([problem])


def _syntax_error(message: str, text: str, file: str) -> Problem:
    said, _, place = message.partition(" (at ")
    at = re.match(r"line (\d+), column (\d+)", place)
    if not at:
        return Problem(f"invalid TOML: {said}, at the end of the file", where=file)
    line, column = int(at[1]), int(at[2])
    what = f"invalid TOML: {said}"
    lines = text.replace("\r\n", "\n").split("\n")[:line]
    if not _may_hold_secret("\n".join(lines)):
        start = max(0, column - 60)
        shown = lines[-1][start : column + 60]
        # Tabs stay tabs, so that the caret stands below its character at any tab width.
        indent = re.sub(r"[^\t]", " ", lines[-1][start : column - 1])
        what += f"\n    {shown}\n    {indent}^"
    return Problem(what, where=f"{file}:{line}:{column}")


def _may_hold_secret(text: str) -> bool:
    """Tell whether the text, which cannot be parsed, may end in a table with settings or a key that looks secret."""
    table = ""
    for _, statement in statements(text):
        table = statement if statement.lstrip().startswith("[") else table + statement
    # Inside a text of many lines, any line may look like a header.
    in_text = any(text.count(quotes) % 2 for quotes in ('"""', "'''"))
    return in_text or any(word == "settings" or looks_secret(word) for word in re.findall(r"[\w-]+", table))
