"""Writes files completely or not at all, and replaces only files that the caller has seen.

Data is first written to a draft beside the file. For a new file, the draft is linked to the file's name; the system
refuses this if the name is in use. For a changed file, the hash is compared, and the draft is renamed over the file.
The caller runs only one write at a time. Another program could still write between the comparison and the renaming.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from mcp_host.encodings import encoding_of, readable
from mcp_plugin_files.edits import Edit, edited
from mcp_plugin_files.errors import FileMissingError, FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.reading import Contents, digest, read_up_to
from mcp_plugin_files.roots import DRAFT, Root

NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def create(root: Root, parts: Parts, data: bytes) -> None:
    """Write a new file. Missing folders in its path are created.

    Raises:
        FileRefusedError: The path is already in use, or the file cannot be written.
    """
    name = writable_name(root, parts)
    exists = _exists(root, parts)
    with root.open(parts[:-1], make=True) as folder, root.explained(parts):
        try:
            folder.stat(name)
        except FileNotFoundError:
            pass
        else:
            raise exists
        with _draft(folder, data, None) as draft:
            try:
                folder.link(draft, name)
            except FileExistsError:
                raise exists from None
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                _create_unlinked(folder, name, data, exists)


def require_new(root: Root, parts: Parts) -> None:
    """Refuse a path that is in use. Nothing is created.

    Raises:
        FileRefusedError: The path is in use, or may not be written.
    """
    name = writable_name(root, parts)
    with suppress(FileMissingError), root.open(parts[:-1]) as folder, root.explained(parts):
        folder.stat(name)
        raise _exists(root, parts)


def _exists(root: Root, parts: Parts) -> FileRefusedError:
    return FileRefusedError(
        f"{uri_of(root.name, parts)} exists already. To replace it, read it and give its hash as expected_hash."
    )


def replace(root: Root, parts: Parts, data: bytes, expected: str, most: int) -> None:
    """Replace the content of a file whose hash is still `expected`.

    Raises:
        FileRefusedError: The hash is different, or the file does not exist or cannot be written.
    """
    name = writable_name(root, parts)
    with root.open(parts[:-1]) as folder:
        _, mode = _seen(root, parts, folder, expected, most)
        with root.explained(parts), _draft(folder, data, mode) as draft:
            # Checked again, now that the draft is complete, so that another program has little time to interfere.
            _seen(root, parts, folder, expected, most)
            folder.replace(draft, name)


def current(root: Root, parts: Parts, expected: str, most: int) -> Contents:
    """Return the content of a file before a change.

    Raises:
        FileRefusedError: The file does not exist, its hash is not `expected`, or it is too large.
    """
    writable_name(root, parts)
    with root.open(parts[:-1]) as folder:
        data, _ = _seen(root, parts, folder, expected, most)
    return Contents(data, encoding_of(data, other=root.rules.other))


def with_edits(contents: Contents, edits: Sequence[Edit], shown: str) -> bytes:
    """Return the content of a file after edits, one after the other. Its encoding and its byte order mark stay.

    Raises:
        FileRefusedError: The file is not text, or one of the edits is not possible.
    """
    encoding = contents.encoding
    if encoding is None:
        raise FileRefusedError(f"{shown} is not text and cannot be edited: write the whole file with write_file.")
    text = encoding.decode_exactly(contents.data)
    if encoding.encode(text) != contents.data:
        raise FileRefusedError(f"{shown} has bytes that would change in {encoding.name}: it cannot be edited as text.")
    doubtful = encoding.guessed and readable(text) != text
    for number, edit in enumerate(edits, 1):
        if doubtful and not edit.new.isascii():
            raise FileRefusedError(
                f"The encoding of {shown} is probably not {encoding.name}, which is a guess: some bytes are not valid "
                "in it. So new text must be ASCII. To allow other text, set the encoding of the root in the settings."
            )
        try:
            text = edited(text, edit, shown)
        except FileRefusedError as error:
            raise error if len(edits) == 1 else FileRefusedError(f"Edit {number}: {error} No edit was made.") from None
    try:
        return encoding.encode(text)
    except UnicodeEncodeError as error:
        missing = error.object[error.start : error.start + 1]
        raise FileRefusedError(
            f"The file is in {encoding.name}, which does not have the character {missing!r}."
        ) from None


def writable_name(root: Root, parts: Parts) -> str:
    """Return the name of a file that the settings allow to change."""
    if not root.rules.writable:
        raise FileRefusedError(
            f"The root {root.name!r} is read-only: the settings have no roots.{root.name}.writable = true."
        )
    if not parts:
        raise FileRefusedError("Give the path of a file inside the root.")
    root.require_served(parts)
    return parts[-1]


def _seen(root: Root, parts: Parts, folder: Folder, expected: str, most: int) -> tuple[bytes, int]:
    """Return the bytes and permission bits of the file. Its hash must be the one that the caller has."""
    # Opened for writing, too, so that a read-only file is not replaced.
    descriptor = root.open_in(folder, parts, os.O_RDWR)
    try:
        data = seen_data(root, parts, descriptor, expected, most)
        # Set-user-ID and similar bits are dropped: an edited program must not run with another user's rights.
        return data, stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777
    finally:
        os.close(descriptor)


def seen_data(root: Root, parts: Parts, descriptor: int, expected: str, most: int) -> bytes:
    """Return the bytes of an open file.

    Raises:
        FileRefusedError: The file is too large, or its hash is not the one that the caller has.
    """
    shown = uri_of(root.name, parts)
    with root.explained(parts):
        data = read_up_to(descriptor, most + 1)
    if len(data) > most:
        raise FileRefusedError(f"{shown} is larger than the {most} bytes that may be written (max_bytes).")
    if digest(data) != expected.strip().lower():
        # The new hash is not in the error: with it, the file could be overwritten without being read.
        raise FileRefusedError(f"{shown} has changed since you read it: its hash is different. Read it again first.")
    return data


@contextmanager
def _draft(folder: Folder, data: bytes, mode: int | None) -> Iterator[str]:
    """Make a complete file with a temporary name, and remove it afterwards. `mode` is the mode of the replaced file."""
    name = f"{DRAFT}{secrets.token_hex(8)}"
    descriptor = folder.create(name, 0o666 if mode is None else 0o600)
    try:
        try:
            _write(descriptor, data)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield name
    finally:
        with suppress(FileNotFoundError):
            folder.remove(name)


def _create_unlinked(folder: Folder, name: str, data: bytes, exists: FileRefusedError) -> None:
    """Create a file on a file system without links: create it empty, which fails if it exists, and fill it."""
    try:
        descriptor = folder.create(name)
    except FileExistsError:
        raise exists from None
    try:
        _write(descriptor, data)
        os.fsync(descriptor)
    except BaseException:
        folder.remove(name)
        raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
