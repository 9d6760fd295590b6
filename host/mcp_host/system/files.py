"""Writes a file whole or not at all, one process after the other."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


def atomic_write(path: Path, data: bytes, *, mode: int | None = None) -> Path:
    """Write a file, and its folder if that is missing; a reader sees the old content or the new one, never a part.

    Without a `mode`, a file that is there keeps its permissions, and a new one is for its owner only. Its owner stays,
    where the system allows it. A symbolic link stays, and what it points to is written. Returns the file written.

    Raises:
        OSError: It cannot be written; what was there is unchanged.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with Replacement(target) as replacement:
        replacement.commit(data, mode=mode, new_mode=0o600)
    return target


class Replacement:
    """The file next to another that takes its place. Who has it open and locked may change the other.

    Its name is always the same, so that what a killed process leaves is used and removed by the next one.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.edit")
        self._file = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        while True:
            self._file = os.open(self._path, flags, 0o666)
            _lock(self._file)
            # Whoever held the lock before may have given the file its new name, or removed it.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                    return self
            os.close(self._file)

    def commit(self, data: bytes, *, mode: int | None = None, new_mode: int | None = None) -> None:
        """Put the file with this content in the place of the other, whose owner stays where the system allows it.

        Without a `mode` its permissions stay too; a file that was not there gets `new_mode`, or what the umask leaves.
        """
        with suppress(FileNotFoundError):
            before = self._target.stat()
            with suppress(PermissionError, AttributeError):
                os.chown(self._path, before.st_uid, before.st_gid)
            new_mode = before.st_mode & 0o7777
        mode = new_mode if mode is None else mode
        if mode is not None:
            os.chmod(self._path, mode)
        os.ftruncate(self._file, 0)
        with os.fdopen(os.dup(self._file), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if sys.platform == "win32":
            os.close(self._file)
            self._file = -1
        os.replace(self._path, self._target)
        _sync_folder(self._target.parent)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Only one's own: after the rename the name may be another process's file already.
        with suppress(FileNotFoundError, OSError):
            if self._file == -1 or os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                if sys.platform == "win32" and self._file != -1:
                    os.close(self._file)
                    self._file = -1
                os.unlink(self._path)
        if self._file != -1:
            os.close(self._file)


def _lock(file: int) -> None:
    """Wait until no other process has the file locked; its end, however sudden, unlocks it."""
    if sys.platform != "win32":
        import fcntl

        # Some network file systems know no locks.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _sync_folder(folder: Path) -> None:
    """Have the rename itself on the disk."""
    if sys.platform != "win32":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
