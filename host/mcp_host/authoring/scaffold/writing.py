"""Writes a project to the disk: all files or none."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from mcp_host.errors import HostError


def write_project(folder: Path, files: Mapping[str, str], *, finish: Callable[[Path], None] | None = None) -> None:
    """Write files (texts by path) below `folder`, which is new, or empty except for a `.git`.

    `finish` is called with the folder while it is still temporary, with all files in it. If it raises, nothing remains.

    Raises:
        HostError: The folder is not empty, or something cannot be written.
    """
    made: list[Path] = []
    try:
        _refuse_unless_free(folder)
        made += [parent for parent in folder.absolute().parents if not parent.exists()]
        # On the same file system as `folder`. If `folder` exists, inside it: its parent may not be writable.
        near = folder if folder.exists() else folder.absolute().parent
        near.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=near, prefix=".mcp-host-new-") as temporary:
            draft = Path(temporary, "project")
            for path, text in files.items():
                target = draft / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="\n")
            if finish is not None:
                finish(draft)
            _move(draft, folder)
    except BaseException as error:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            what = f"cannot write {folder}: {error.strerror or error}"
            raise HostError(what, where="command line: --directory", hint="--directory FOLDER") from error
        raise


def _refuse_unless_free(folder: Path) -> None:
    if folder.is_dir():
        if any(child.name != ".git" for child in folder.iterdir()):
            what, hint = f"{folder} already exists and is not empty", "--directory FOLDER   (a new or empty one)"
            raise HostError(what, where="command line: --directory", hint=hint)
    elif folder.exists():
        raise HostError(f"{folder} is not a folder", where="command line: --directory", hint="--directory FOLDER")


def _move(draft: Path, folder: Path) -> None:
    if not folder.exists():
        draft.rename(folder)
        return
    # The folder itself is not replaced, because it may be the working directory of a shell.
    moved: list[Path] = []
    try:
        for child in list(draft.iterdir()):
            moved.append(child.rename(folder / child.name))
    except BaseException:
        for child in moved:
            child.rename(draft / child.name)
        raise
