"""Paths inside a root, as callers write them, and the URIs they have: text only, no disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import Final
from urllib.parse import quote

from mcp_plugin_files.errors import FileRefusedError

Parts = tuple[str, ...]
"""The names from the root down; empty for the root itself."""

MOST_PARTS: Final = 100
"""Folders below one another that a path may name."""

_UNQUOTED: Final = ":/[]@!$&'()*+,;="
"""What RFC 6570 leaves as it is in `{+path}`, without `?` and `#`, which would end the path of a URI."""


def parts_of(path: str, *, windows: bool = os.name == "nt") -> Parts:
    """Split a path into its names.

    `.` and empty names are passed over. `windows` adds what only Windows takes for something else than a name.

    Raises:
        FileRefusedError: The path is absolute, has a `..`, or holds what no file name can.
    """
    if "\0" in path:
        raise FileRefusedError("A path cannot hold a NUL character.")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise FileRefusedError("A path must be Unicode text, without lone surrogates.") from None
    if path.startswith("/"):
        raise FileRefusedError(
            f"The path {shortened(path)} is absolute: paths begin inside the root, as in 'notes/today.md'."
        )
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise FileRefusedError(f"The path {shortened(path)} has a '..': name the file from the root down instead.")
    if len(parts) > MOST_PARTS:
        raise FileRefusedError(f"The path has {len(parts)} parts; at most {MOST_PARTS} are taken.")
    if windows and any(_special(part) for part in parts):
        raise FileRefusedError(f"The path {shortened(path)} is none that Windows takes for a plain file's.")
    return parts


def _special(part: str) -> bool:
    """Whether Windows reads a name as a drive, a stream, a device or another name."""
    return any(sign in part for sign in '\\:*?"<>|') or part[-1] in ". " or PureWindowsPath(part).is_reserved()


def uri_of(root: str, parts: Sequence[str]) -> str:
    """The URI of a file or folder; of the root itself without a final `/`."""
    return f"files://{root}" + (f"/{quote('/'.join(parts), safe=_UNQUOTED)}" if parts else "")


def completable(path: str) -> str:
    """A path as the value of `{+path}`: what its expansion would leave and the URI would misread is quoted."""
    return path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def printable(name: str) -> str:
    """A name of the disk as text: bytes that are not UTF-8 and control characters are shown as escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def is_text(name: str) -> bool:
    """Whether a name of the disk is UTF-8, so that a caller can write it."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def shortened(text: str, most: int = 80) -> str:
    """The text in quotes, cut for a message."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")
