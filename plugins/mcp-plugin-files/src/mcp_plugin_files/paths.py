"""Paths inside a root, as callers write them, and their URIs. Nothing here uses the disk."""

from __future__ import annotations

import ntpath
import os
import sys
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import Final
from urllib.parse import quote

from mcp_plugin_files.errors import FileRefusedError

Parts = tuple[str, ...]
"""The names in a path; empty for the root itself."""

MOST_PARTS: Final = 100
"""The most names in a path."""

_UNQUOTED: Final = ":/[]@!$&'()*+,;="
"""Characters that RFC 6570 does not quote in `{+path}`, without `?` and `#`, which would end the path of a URI."""


def parts_of(path: str, *, windows: bool = os.name == "nt") -> Parts:
    """Split a path into its names.

    `.` and empty names are ignored. `windows` also refuses names with a special meaning on Windows.

    Raises:
        FileRefusedError: The path is absolute, has a `..`, or contains something that is not allowed in a file name.
    """
    if "\0" in path:
        raise FileRefusedError("A path cannot contain a NUL character.")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise FileRefusedError("A path must be Unicode text, without lone surrogates.") from None
    if path.startswith("/"):
        raise FileRefusedError(
            f"The path {shortened(path)} is absolute: write a path inside the root, such as 'notes/today.md'."
        )
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise FileRefusedError(f"The path {shortened(path)} has a '..': write the path from the root instead.")
    if len(parts) > MOST_PARTS:
        raise FileRefusedError(f"The path has {len(parts)} parts; at most {MOST_PARTS} are allowed.")
    if windows and any(_special(part) for part in parts):
        raise FileRefusedError(f"The path {shortened(path)} has a name with a special meaning on Windows.")
    return parts


def _special(part: str) -> bool:
    """Return whether Windows reads a name as a drive, a stream, a device or another name."""
    return any(sign in part for sign in '\\:*?"<>|') or part[-1] in ". " or _is_reserved(part)


def _is_reserved(part: str) -> bool:
    """Return whether a name is one of a device, such as `NUL`."""
    if sys.version_info >= (3, 13):
        return ntpath.isreserved(part)
    return PureWindowsPath(part).is_reserved()


def uri_of(root: str, parts: Sequence[str]) -> str:
    """Return the URI of a file or folder. The root's URI has no final `/`."""
    return f"files://{root}" + (f"/{quote('/'.join(parts), safe=_UNQUOTED)}" if parts else "")


def completable(path: str) -> str:
    """Return a path as a value for `{+path}`, with the characters quoted that would be misread in the URI."""
    return path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def printable(name: str) -> str:
    """Return a file name as text. Bytes that are not UTF-8 and control characters become escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def is_text(name: str) -> bool:
    """Return whether a file name is UTF-8, so that a caller can write it."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def shortened(text: str, most: int = 80) -> str:
    """Return the text in quotes, shortened for a message."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")
