"""Writes files whole or not at all, and only over what the caller has seen.

What is written goes into a draft beside the file first. A new file is the draft linked to its name, which the system
refuses when something has the name already; a changed one is the draft renamed over it, after its hash was compared.
The caller sees to it that one write runs at a time; another program could still write between that comparison and the
renaming.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from mcp_plugin_files.encodings import UTF_8, Encoding, encoding_of
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.reading import Contents, digest, read_up_to
from mcp_plugin_files.roots import DRAFT, Root

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def create(root: Root, parts: Parts, data: bytes) -> None:
    """Write a new file; folders that are missing on the way are made.

    Raises:
        FileRefusedError: Something has this path already, or it cannot be written.
    """
    name = _required(root, parts)
    exists = FileRefusedError(
        f"{uri_of(root.name, parts)} exists already. To replace it, read it and give its hash as expected_hash."
    )
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
                if error.errno not in _NO_LINKS:
                    raise
                _create_unlinked(folder, name, data, exists)


def replace(root: Root, parts: Parts, data: bytes, expected: str, most: int) -> None:
    """Write over a file that is still as it was when its hash was `expected`.

    Raises:
        FileRefusedError: It is not, there is none, or it cannot be written.
    """
    name = _required(root, parts)
    with root.open(parts[:-1]) as folder:
        _, mode = _seen(root, parts, folder, expected, most)
        with root.explained(parts), _draft(folder, data, mode) as draft:
            # Once more, now that the draft is complete: the time in which another program can interfere is short.
            _seen(root, parts, folder, expected, most)
            folder.replace(draft, name)


def current(root: Root, parts: Parts, expected: str, most: int) -> Contents:
    """What a file that is to be changed holds.

    Raises:
        FileRefusedError: There is none, its hash is not `expected`, or it is too large to be changed.
    """
    _required(root, parts)
    with root.open(parts[:-1]) as folder:
        data, _ = _seen(root, parts, folder, expected, most)
    return Contents(data, encoding_of(data, root.rules.encoding))


def edited(text: str, old: str, new: str, shown: str) -> str:
    """The text with its one `old` replaced. Where lines end with CR LF, an `old` with LF alone is found, too.

    Raises:
        FileRefusedError: `old` is not there, is there twice, or is empty.
    """
    if not old:
        raise FileRefusedError("old_text is empty: give the text to be replaced, with enough around it to be unique.")
    if old not in text and "\r\n" in text:
        old, new = (value.replace("\r\n", "\n").replace("\n", "\r\n") for value in (old, new))
    at = text.find(old)
    if at < 0:
        raise FileRefusedError(f"old_text is not in {shown}: read the file again and copy it exactly, spaces included.")
    if text.find(old, at + 1) >= 0:
        raise FileRefusedError(f"old_text is in {shown} more than once: give more of the text around it.")
    return text[:at] + new + text[at + len(old) :]


def text_encoding(contents: Contents, shown: str) -> Encoding:
    """The encoding of a file's text.

    Raises:
        FileRefusedError: It is no text, or so unclear a one that writing it back could spoil it.
    """
    encoding = contents.encoding
    if encoding is None:
        raise FileRefusedError(f"{shown} is no text, so that it cannot be edited: write it whole with write_file.")
    if encoding is not UTF_8 and encoding.encode(encoding.decode(contents.data)) != contents.data:
        raise FileRefusedError(f"{shown} would not come back the same from {encoding}: it cannot be edited as text.")
    return encoding


def _required(root: Root, parts: Parts) -> str:
    if not root.rules.writable:
        raise FileRefusedError(
            f"The root {root.name!r} is read-only: the settings have no roots.{root.name}.writable = true."
        )
    if not parts:
        raise FileRefusedError("Give the path of a file inside the root.")
    root.require_served(parts)
    return parts[-1]


def _seen(root: Root, parts: Parts, folder: Folder, expected: str, most: int) -> tuple[bytes, int]:
    """The bytes and permission bits of the file, which must be the one whose hash the caller has."""
    shown = uri_of(root.name, parts)
    with root.explained(parts):
        # Opened for writing too, so that a file its owner made read-only is not replaced behind their back.
        descriptor = folder.open(parts[-1], os.O_RDWR)
        try:
            data = read_up_to(descriptor, most + 1)
            # Without set-user-ID and the like: whoever may edit a program may not make it another's.
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o777
        finally:
            os.close(descriptor)
    if len(data) > most:
        raise FileRefusedError(f"{shown} is larger than the {most} bytes that may be written (max_bytes).")
    if digest(data) != expected.strip().lower():
        # Its hash now is not told: with it, the file could be overwritten without being read.
        raise FileRefusedError(f"{shown} is not as you have seen it: its hash is another now. Read it again first.")
    return data, mode


@contextmanager
def _draft(folder: Folder, data: bytes, mode: int | None) -> Iterator[str]:
    """A complete file under a name of its own, which is gone afterwards. `mode` is that of the file it will replace."""
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
    """Where files cannot have two names: made empty, which fails if there is one, and filled."""
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
