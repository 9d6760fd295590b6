"""What is wrong with a request for a file, in words for the caller: the one kind of error the rest raises."""

from __future__ import annotations

import errno
from typing import Final


class FileRefusedError(Exception):
    """The file is not served, or not in this way. The text says why, and what would be served."""


class FileMissingError(FileRefusedError):
    """There is no such root, folder or file."""


_REASONS: Final = {
    errno.EACCES: "may not be opened by this server (permission denied)",
    errno.EPERM: "may not be opened by this server (operation not permitted)",
    errno.ELOOP: "is a symbolic link, and links are not followed: name the file itself",
    errno.EMLINK: "is a symbolic link, and links are not followed: name the file itself",
    errno.ENAMETOOLONG: "has a name longer than the file system takes",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "exists already",
    errno.ENOSPC: "was not written: no space is left on the device",
    errno.EDQUOT: "was not written: the disk quota is used up",
    errno.EROFS: "was not written: its file system is read-only",
    errno.EILSEQ: "has a name the file system does not take",
    errno.EINVAL: "has a name the file system does not take",
}


def refusal(error: OSError, shown: str) -> FileRefusedError:
    """The refusal that says what the system said about `shown`, without a path of the machine."""
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return FileMissingError(f"{shown} does not exist.")
    if error.errno == errno.ENOTDIR:
        return FileMissingError(f"{shown} is not a folder.")
    reason = _REASONS.get(error.errno or 0, f"cannot be used: {error.strerror or type(error).__name__}")
    return FileRefusedError(f"{shown} {reason}.")
