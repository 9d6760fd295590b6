"""Writes files atomically, one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOLCK, EOPNOTSUPP
from pathlib import Path


def atomic_write(path: Path, data: bytes, *, mode: int | None = None) -> Path:
    """Write a file, and its folder if that is missing. Readers see the old or the new content, never a part.

    Without a `mode`, an existing file keeps its permissions, and only the owner may read a new one. The owner stays the
    same if the system allows it. A symbolic link stays a link, and its target is written. Returns the written file.

    Raises:
        OSError: The file cannot be written. It is not changed.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        replace_file(target, data, mode=mode, new_mode=0o600)
    return target


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Lock a file for the block, after waiting for other processes. The lock of a killed process ends with it.

    Afterwards no helper files remain, also none of a killed process.

    Raises:
        OSError: The folder is missing or not writable.
    """
    # Imported here, because the import takes longer than a write, and few commands write files.
    from filelock import FileLock

    # Raises if the folder is missing, which filelock would create.
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
            # On Windows, filelock does this. It is deleted before the release, so that a waiting process notices it.
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def replace_file(target: Path, data: bytes, *, mode: int | None = None, new_mode: int | None = None) -> None:
    """Replace a file by one with this content, within a `locked` block.

    The owner stays the same if the system allows it. Without a `mode`, an existing file keeps its permissions, and a
    new one gets `new_mode` or the permissions of the umask.

    Raises:
        OSError: The file cannot be written. It is not changed.
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
    """Return the temporary file. Its name is always the same, so that the next write removes an old one."""
    return target.with_name(f".{target.name}.edit")


def _sync_folder(folder: Path) -> None:
    """Write the folder to the disk, so that the rename is on the disk, too."""
    if sys.platform != "win32":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
