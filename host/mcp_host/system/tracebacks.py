"""Finds the code of a plugin in the traceback of an error."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

_OWN: Final = str(Path(__file__).parents[1])
_IMPORTS: Final = ("<frozen importlib", str(Path(sysconfig.get_path("stdlib"), "importlib")))
_HOOKS: Final = str(Path(sysconfig.get_path("purelib"), "pluggy"))
_LIBRARIES: Final = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def foreign_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error from the first frame on that is not the host's, pluggy's or an import's."""
    frame = error.__traceback__
    while frame is not None and _is_own(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def place_of(error: BaseException) -> str:
    """Return `file:line` of the plugin's code that raised an error, or "" if no such code ran.

    It is the innermost frame that is not in a library. In a plugin that is itself installed, it is the innermost one.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{_shown(error.filename)}:{error.lineno}"
    first = foreign_frames(error)
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(first) if not _is_own(f.f_code.co_filename)]
    if not frames:
        return ""
    file, line = next((each for each in reversed(frames) if not is_installed(Path(each[0]))), frames[-1])
    return f"{_shown(file)}:{line}"


def is_installed(file: Path) -> bool:
    """Return whether a file belongs to Python or to an installed distribution, and not to somebody's project."""
    return any(file.is_relative_to(folder) for folder in _LIBRARIES)


def is_library(file: str) -> bool:
    """Return whether a file belongs to the host, or to Python's own library, and not to a plugin."""
    stdlib = sysconfig.get_path("stdlib")
    return file.startswith((_OWN, "<")) or (file.startswith(stdlib) and "site-packages" not in file)


def _is_own(file: str) -> bool:
    return file.startswith((_OWN, _HOOKS, *_IMPORTS))


def _shown(file: str) -> str:
    """Return the path, from the working directory if it is below it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):  # it is elsewhere, or the working directory is gone
        return file
