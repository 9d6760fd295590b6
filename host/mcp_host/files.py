"""Writes a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
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
    before = target.stat() if target.exists() else None
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and hasattr(os, "chown"):
            # Only root may give a file away; anyone else is its owner already.
            with contextlib.suppress(OSError):
                os.chown(temporary, before.st_uid, before.st_gid)
        if mode is None and before is not None:
            mode = before.st_mode & 0o7777
        os.chmod(temporary, 0o600 if mode is None else mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return target
