"""Open folders, in which one name at a time is looked up, and links are never followed. All disk access is here.

Linux, macOS and the BSDs can look up a name in an open folder (`dir_fd`). There, another program that renames folders
or replaces them with links cannot redirect a walk. Windows cannot do this. There, every step is checked by resolving
its path before and after opening; a link that exists only between the two checks could be followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, Self

EntryKind = Literal["file", "folder", "link", "device", "fifo", "socket"]

BY_DESCRIPTOR: Final = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether this system can look up names in an open folder."""

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_CLOEXEC", 0)
# Without these flags, open() would block at a FIFO without a writer, and a terminal could become this process's own.
_SAFE: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
# With O_PATH, a folder on the path need not be readable.
_FOLDER: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_CLOEXEC", 0)
_REPARSE: Final = getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)


def kind_of(status: os.stat_result) -> EntryKind:
    """Return the kind of an entry from its own status."""
    mode = status.st_mode
    if stat.S_ISLNK(mode) or getattr(status, "st_file_attributes", 0) & _REPARSE:
        return "link"
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISFIFO(mode):
        return "fifo"
    return "socket" if stat.S_ISSOCK(mode) else "device"


class NotAFileError(OSError):
    """The entry is neither a file nor a folder."""

    def __init__(self, kind: EntryKind) -> None:
        super().__init__(errno.EINVAL, f"is a {kind}")
        self.kind = kind


@dataclass(frozen=True)
class Entry:
    """One name in a folder."""

    name: str
    status: os.stat_result

    @property
    def kind(self) -> EntryKind:
        return kind_of(self.status)


class Folder:
    """One open folder. Names have no slash. Every method may raise `OSError`. Close it, or use it in a `with` block."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: str, *, by_descriptor: bool = BY_DESCRIPTOR) -> Folder:
        """Open a root. Links in its path are followed, because the path comes from the settings."""
        if by_descriptor:
            return cls(path, os.open(path, _FOLDER))
        real = os.path.realpath(path, strict=True)
        if not os.path.isdir(real):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return cls(real, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def folder(self, name: str) -> Folder:
        """Open a folder in this one."""
        if self._descriptor is not None:
            try:
                return Folder(name, os.open(name, _FOLDER | _NO_FOLLOW, dir_fd=self._descriptor))
            except NotADirectoryError:
                # With O_DIRECTORY, the error for a link is "not a directory". Report what it really is.
                _require(self.stat(name), "folder")
                raise
        _require(self.stat(name), "folder")
        return Folder(self._resolved(name), None)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of the entry itself. A link is not followed."""
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open a regular file and return its descriptor.

        Anything else is not opened, because opening a device can have effects. If something else replaced the file just
        before it was opened, it is closed unread.

        Raises:
            NotAFileError: The entry is a link, a FIFO, a socket or a device.
        """
        _require(self.stat(name), "file")
        path = self._at(name) if self._descriptor is not None else self._resolved(name)
        descriptor = os.open(path, flags | _NO_FOLLOW | _BINARY | _SAFE, dir_fd=self._descriptor)
        try:
            _require(os.fstat(descriptor), "file")
            if self._descriptor is None and not os.path.samestat(os.fstat(descriptor), os.stat(self._resolved(name))):
                raise NotAFileError("link")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of the folder in the system's order. An entry that is removed meanwhile is left out."""
        if self._descriptor is None:
            readable: int | str = self._path
        else:
            readable = os.open(".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _BINARY, dir_fd=self._descriptor)
        try:
            with os.scandir(readable) as found:
                for entry in found:
                    with suppress(FileNotFoundError):
                        yield Entry(entry.name, entry.stat(follow_symlinks=False))
        finally:
            if isinstance(readable, int):
                os.close(readable)

    def create(self, name: str, mode: int = 0o666) -> int:
        """Create a new file and return its descriptor, open for writing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
        return os.open(self._at(name), flags, mode, dir_fd=self._descriptor)

    def make_folder(self, name: str) -> None:
        os.mkdir(self._at(name), dir_fd=self._descriptor)

    def link(self, source: str, target: str, other: Folder | None = None) -> None:
        """Give a file in this folder a second name, here or in another folder. Fails if the name is in use.

        A link is not followed: it gets the second name itself.
        """
        path, descriptor = (other or self).place(target)
        os.link(
            self._at(source),
            path,
            src_dir_fd=self._descriptor,
            dst_dir_fd=descriptor,
            # Windows does not allow False. There, links are not followed either.
            follow_symlinks=self._descriptor is None and os.name == "nt",
        )

    def replace(self, source: str, target: str, other: Folder | None = None) -> None:
        """Rename a file in this folder over another one, here or in another folder, in one step."""
        path, descriptor = (other or self).place(target)
        os.replace(self._at(source), path, src_dir_fd=self._descriptor, dst_dir_fd=descriptor)

    def place(self, name: str) -> tuple[str, int | None]:
        """Return the path of an entry, and the open folder to which it is relative, if any."""
        return self._at(name), self._descriptor

    def remove(self, name: str) -> None:
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(self._at(name), dir_fd=self._descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else os.path.join(self._path, name)

    def _resolved(self, name: str) -> str:
        """Return the path of an entry, and check that it resolves to itself. For systems without `dir_fd`."""
        path = os.path.join(self._path, name)
        if os.path.realpath(path, strict=True) != path:
            raise NotAFileError("link")
        return path


def _require(status: os.stat_result, kind: Literal["file", "folder"]) -> None:
    found = kind_of(status)
    if found == kind:
        return
    if found == "folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if found == "file":
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    raise NotAFileError(found)
