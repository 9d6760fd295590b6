"""The errors of this plugin: why a file is refused, as a text for the caller."""

from __future__ import annotations

import errno
from typing import Final


class FileRefusedError(Exception):
    """The file is not served, or not in this way. The text has the reason and, if possible, what to do."""


class FileMissingError(FileRefusedError):
    """The root, folder or file does not exist."""


_REASONS: Final = {
    errno.EACCES: "may not be opened by this server (permission denied)",
    errno.EPERM: "may not be opened by this server (operation not permitted)",
    errno.ELOOP: "is a symbolic link, and links are not followed: name the file itself",
    errno.EMLINK: "is a symbolic link, and links are not followed: name the file itself",
    errno.ENAMETOOLONG: "has a name that is too long for the file system",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "exists already",
    errno.ENOSPC: "was not written: no space is left on the device",
    errno.EDQUOT: "was not written: the disk quota is used up",
    errno.EROFS: "was not written: its file system is read-only",
    errno.EILSEQ: "has a name that the file system does not allow",
    errno.EINVAL: "has a name that the file system does not allow",
}


def refusal(error: OSError, shown: str) -> FileRefusedError:
    """Return the refusal for a system error about `shown`. It contains no path of this machine."""
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return FileMissingError(f"{shown} does not exist.")
    if error.errno == errno.ENOTDIR:
        return FileMissingError(f"{shown} is not a folder.")
    reason = _REASONS.get(error.errno or 0, f"cannot be used: {error.strerror or type(error).__name__}")
    return FileRefusedError(f"{shown} {reason}.")
