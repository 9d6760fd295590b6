"""Writes a file whole or not at all, one process after the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOLCK, EOPNOTSUPP
from pathlib import Path


def atomic_write(path: Path, data: bytes, *, mode: int | None = None) -> Path:
    """Write a file, and its folder if that is missing; a reader sees the old content or the new one, never a part.

    Without a `mode`, a file that is there keeps its permissions, and a new one is for its owner only. Its owner stays,
    where the system allows it. A symbolic link stays, and what it points to is written. Returns the file written.

    Raises:
        OSError: It cannot be written; what was there is unchanged.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        replace_file(target, data, mode=mode, new_mode=0o600)
    return target


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for this file; the end of a process, however sudden, ends its own.

    Nothing is left beside the file, and what a killed process left there is removed.

    Raises:
        OSError: The folder is missing, or nothing may be written there.
    """
    # Only what writes a file needs it, and importing it takes longer than a write.
    from filelock import FileLock

    # filelock would make a folder that is missing.
    os.stat(target.parent)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire()
    except OSError as error:
        # Some network file systems have no locks.
        if error.errno not in (ENOLCK, EOPNOTSUPP):
            raise
    try:
        yield
    finally:
        _draft(target).unlink(missing_ok=True)
        if sys.platform != "win32":
            # On Windows filelock does this itself. Before the release, so that whoever waits sees it is gone.
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def replace_file(target: Path, data: bytes, *, mode: int | None = None, new_mode: int | None = None) -> None:
    """Put a file with this content in the place of another, within a `locked` block.

    The owner stays where the system allows it. Without a `mode` the permissions stay too; a file that was not there
    gets `new_mode`, or what the umask leaves.

    Raises:
        OSError: It cannot be written; what was there is unchanged.
    """
    draft = _draft(target)
    draft.unlink(missing_ok=True)
    with open(draft, "xb") as file:
        with suppress(FileNotFoundError):
            before = target.stat()
            with suppress(PermissionError, AttributeError):
                os.chown(draft, before.st_uid, before.st_gid)
            new_mode = before.st_mode & 0o7777
        mode = new_mode if mode is None else mode
        if mode is not None:
            os.chmod(draft, mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, target)
    _sync_folder(target.parent)


def _draft(target: Path) -> Path:
    """The file that is written before it takes the other's place: always the same, so that none is left for long."""
    return target.with_name(f".{target.name}.edit")


def _sync_folder(folder: Path) -> None:
    """Have the rename itself on the disk."""
    if sys.platform != "win32":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
