"""The file that `--output` names: refused before the work if it cannot be written, and written after it."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_host.errors import HostError

_OPTION = "command line: --output"


def refuse_unwritable(path: Path, *, default: str) -> None:
    """Refuse a path that no file can be written to: a folder, or a file in a folder that is missing.

    Raises:
        HostError: The hint names a path below the folder, with the name `default`, or how to make the folder.
    """
    # Unlike `Path.is_dir`, this raises nothing for a name that is too long.
    if os.path.isdir(path):
        raise HostError(f"{path} is a folder, not a file", where=_OPTION, hint=f"--output {path / default}")
    if not os.path.isdir(path.parent):
        hint = f"create the folder first: mkdir -p {path.parent}"
        raise HostError(f"there is no folder {path.parent}", where=_OPTION, hint=hint)


def write_output(path: Path, content: bytes) -> None:
    """Write the file.

    Raises:
        HostError: It cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror or error}"
        raise HostError(what, where=_OPTION, hint="--output FILE   (a file that you may write)") from None
