"""Finds mcp-host.toml and reads it into a HostConfig, or reports every problem in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from mcp_host.config.explain import Explainer
from mcp_host.config.layers import DEEPEST, Draft, deeper_than, too_deep
from mcp_host.config.origins import Origins, statements
from mcp_host.config.pythonfile import put_python_file, python_file
from mcp_host.config.references import looks_secret
from mcp_host.config.sections import HostConfig
from mcp_host.errors import InvalidConfigError, Problem

FILE_NAME: Final = "mcp-host.toml"


def user_dir(kind: Literal["config", "data", "cache"]) -> Path | None:
    """Return mcp-host's folder in the user's configuration, data or cache directory, or None when there is no home.

    The folders are those of the platform, and on Linux and macOS those that the XDG variables name.
    """
    from platformdirs import PlatformDirs

    folders = PlatformDirs("mcp-host", appauthor=False, roaming=kind == "config", opinion=False)
    try:
        folder: Path = getattr(folders, f"user_{kind}_path")
    except RuntimeError:
        return None
    return folder


def find_config(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the file to read: `explicit`, `$MCP_HOST_CONFIG`, `mcp-host.toml` in `cwd`, or the user's own.

    Returns None if there is no file and none was requested. Raises `InvalidConfigError` if `explicit` or the variable
    names a file that does not exist.
    """
    variable = environ.get("MCP_HOST_CONFIG")
    asked, where = (Path(variable), "environment: MCP_HOST_CONFIG") if variable else (None, "")
    if explicit is not None:
        asked, where = explicit, "command line: --config"
    if asked is not None:
        path = cwd / asked
        code = python_file(path)
        if not _exists(path if code is None else code[0]):
            hint = "mcp-host init" if code is None else ""
            what = f"there is no file {path if code is None else code[0]}"
            raise InvalidConfigError([Problem(what, where=where, hint=hint)])
        return path
    folders = [cwd, user_dir("config")]
    return next((folder / FILE_NAME for folder in folders if folder and _exists(folder / FILE_NAME)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Its folder is not accessible. Reading the file reports that.
        return True


def load_config(
    path: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> HostConfig:
    """Read the configuration from the defaults, the file if any, `MCP_*` variables and `overrides`. The later one wins.

    A Python file, `server.py` or `server.py:name`, stands for a configuration in which its object is the only plugin.

    `overrides` are command-line flags as tables with the file's structure; None means that a flag was not given. The
    default of `environ` is the process's environment. Raises `InvalidConfigError` with every problem found.
    """
    if path is None:
        return parse_config("", source="", overrides=overrides, environ=environ)
    if (code := python_file(path)) is not None:
        return parse_config("", source=path, overrides=overrides, environ=environ, serving=code)
    return parse_config(_read(path), source=path, overrides=overrides, environ=environ)


def parse_config(
    text: str,
    *,
    source: Path | str = FILE_NAME,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    serving: tuple[Path, str] | None = None,
) -> HostConfig:
    """Read a configuration from a text, as `load_config` does from a file.

    `source` names the text in errors. If it is a `Path`, relative paths start at its folder. `serving` is a Python
    file, and the name of an object in it or "", that is a plugin besides those of the text.

    Raises `InvalidConfigError` with every problem found.
    """
    environ = os.environ if environ is None else environ
    text = text.removeprefix("\ufeff")
    draft = Draft(_parse(text, str(source)))
    if serving is not None:
        put_python_file(draft, *serving)
    draft.put_variables(environ)
    draft.put_flags(overrides or {})
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
            return config.located(path, user_data=user_dir("data"), origins=origins, warnings=draft.warnings)
        problems = draft.problems
    raise InvalidConfigError(problems)


def _read(path: Path) -> str:
    try:
        # Each system raises another error when a folder is opened.
        if not path.is_dir():
            return path.read_bytes().decode("utf-8")
        problem = Problem("this is a folder, not a file", where=str(path), hint=f"name {path / FILE_NAME}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem("the file is not UTF-8 text", where=f"{path}:{line}", hint="save it as UTF-8")
    except FileNotFoundError:
        problem = Problem("there is no such file", where=str(path), hint="mcp-host init")
    except (OSError, ValueError) as error:
        # A path with a NUL raises ValueError.
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
    reason, _, place = message.partition(" (at ")
    at = re.match(r"line (\d+), column (\d+)", place)
    if not at:
        return Problem(f"invalid TOML: {reason}, at the end of the file", where=file)
    line, column = int(at[1]), int(at[2])
    what = f"invalid TOML: {reason}"
    lines = text.replace("\r\n", "\n").split("\n")[:line]
    if not _may_hold_secret("\n".join(lines)):
        start = max(0, column - 60)
        shown = lines[-1][start : column + 60]
        # Tabs are kept, so that the caret is below its character at any tab width.
        indent = re.sub(r"[^\t]", " ", lines[-1][start : column - 1])
        what += f"\n    {shown}\n    {indent}^"
    return Problem(what, where=f"{file}:{line}:{column}")


def _may_hold_secret(text: str) -> bool:
    """Return whether an invalid TOML text may end in a table with settings or a key that looks secret."""
    table = ""
    for _, statement in statements(text):
        table = statement if statement.lstrip().startswith("[") else table + statement
    # Inside a multi-line string, any line may look like a header.
    in_text = any(text.count(quotes) % 2 for quotes in ('"""', "'''"))
    return in_text or any(word == "settings" or looks_secret(word) for word in re.findall(r"[\w-]+", table))
