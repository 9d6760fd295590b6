"""Moves and deletes files that the caller has seen. Another file is never replaced.

A moved file first gets its new name as a second one; the system refuses this if the name is in use. The old name is
removed only if it still is a name of the same file. The caller runs only one change at a time. Another program could
still write to the file between the comparison of its hash and its removal.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.roots import Root
from mcp_plugin_files.writing import NO_LINKS, seen_data, writable_name


def move(root: Root, parts: Parts, new: Parts, expected: str, most: int) -> str:
    """Give a file, whose hash is still `expected`, another path in the root, and return its hash.

    Raises:
        FileRefusedError: The hash is different, the new path is in use, or one of the paths may not be written.
    """
    name, new_name = writable_name(root, parts), writable_name(root, new)
    exists = FileRefusedError(f"{uri_of(root.name, new)} exists already: choose another path, or delete it first.")
    with (
        root.open(parts[:-1]) as folder,
        _opened(root, parts, folder, expected, most) as status,
        root.open(new[:-1], make=True) as other,
        root.explained(new),
    ):
        try:
            folder.link(name, new_name, other)
        except FileExistsError:
            raise exists from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _move_unlinked(folder, name, other, new_name, exists)
        else:
            if not (_is_still(other, new_name, status) and _is_still(folder, name, status)):
                other.remove(new_name)
                raise _changed(root, parts)
            folder.remove(name)
    return expected.strip().lower()


def delete(root: Root, parts: Parts, expected: str, most: int) -> None:
    """Delete a file whose hash is still `expected`.

    Raises:
        FileRefusedError: The hash is different, or the file does not exist or may not be written.
    """
    name = writable_name(root, parts)
    with root.open(parts[:-1]) as folder, _opened(root, parts, folder, expected, most) as status:
        if not _is_still(folder, name, status):
            raise _changed(root, parts)
        with root.explained(parts):
            folder.remove(name)


def delete_folder(root: Root, parts: Parts) -> None:
    """Delete an empty folder.

    Raises:
        FileRefusedError: It is not a folder, is not empty, or may not be written.
    """
    name = writable_name(root, parts)
    root.require_served(parts, folder=True)
    with root.open(parts[:-1]) as folder, root.explained(parts, folder):
        try:
            folder.remove_folder(name)
        except NotADirectoryError:
            raise FileRefusedError(
                f"{uri_of(root.name, parts)} is not a folder. To delete a file, give its hash as expected_hash."
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise FileRefusedError(
                f"{uri_of(root.name, parts)} is not empty. Perhaps it has hidden or ignored files."
            ) from None


@contextmanager
def _opened(root: Root, parts: Parts, folder: Folder, expected: str, most: int) -> Iterator[os.stat_result]:
    """Yield the status of the file that the caller has seen, and keep it open so that its number is not used again."""
    descriptor = root.open_in(folder, parts, os.O_RDWR)
    try:
        seen_data(root, parts, descriptor, expected, most)
        yield os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _is_still(folder: Folder, name: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(folder.stat(name), status)
    except FileNotFoundError:
        return False


def _changed(root: Root, parts: Parts) -> FileRefusedError:
    return FileRefusedError(f"{uri_of(root.name, parts)} was replaced by another program meanwhile: read it again.")


def _move_unlinked(folder: Folder, name: str, other: Folder, new_name: str, exists: FileRefusedError) -> None:
    """Move a file on a file system without links: take the new name with an empty file, and rename over it."""
    try:
        os.close(other.create(new_name))
    except FileExistsError:
        raise exists from None
    try:
        folder.replace(name, new_name, other)
    except BaseException:
        other.remove(new_name)
        raise
