"""The files for a search: found by a walk and opened in batches. Each open file is known to be inside its root."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mcp_host.encodings import Encoding, encoding_of, looks_binary
from mcp_plugin_files.engines import Searched
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import kind_of
from mcp_plugin_files.folderview import fits
from mcp_plugin_files.listing import Found, Walk
from mcp_plugin_files.paths import Parts
from mcp_plugin_files.reading import read_up_to
from mcp_plugin_files.roots import Root

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

BATCH_FILES: Final = 64
BATCH_BYTES: Final = 32 * 2**20
_HEAD: Final = 2**20
"""How many bytes at the beginning of a file decide how it is searched."""


@dataclass(frozen=True)
class Candidates:
    """The files to search, in order, and notes about the files that are left out."""

    files: list[Found]
    large: int
    full: bool
    notes: list[str]


def candidates(roots: Sequence[Root], parts: Parts, walk: Walk, glob: GitIgnoreSpec | None, largest: int) -> Candidates:
    """Return every regular file below a folder that has at most `largest` bytes. The path may also be one of a file.

    Raises:
        FileRefusedError: The path does not exist, and there is no other root to search.
    """
    files: list[Found] = []
    large = 0
    failed: list[str] = []
    for root in roots:
        try:
            for found in _all(root, parts, walk):
                if found.kind != "file" or (glob is not None and not fits(glob, found, _base(found, parts))):
                    continue
                if found.status.st_size > largest:
                    large += 1
                else:
                    files.append(found)
        except FileRefusedError as error:
            if len(roots) == 1:
                raise
            failed.append(f"Not searched: {error}")
    notes = [*failed, *walk.notes()]
    if large:
        notes.append(f"Not searched, because they are larger than max_search_bytes ({largest}): {large} files.")
    return Candidates(files, large, walk.full, notes)


def _all(root: Root, parts: Parts, walk: Walk) -> Iterator[Found]:
    if parts:
        root.require_served(parts)
        with root.open(parts[:-1]) as folder, root.explained(parts, folder):
            status = folder.stat(parts[-1])
        if kind_of(status) != "folder":
            if kind_of(status) != "file":
                root.descriptor(parts)  # raises an error that says what it is
            yield Found(root, parts, "file", status)
            return
    yield from walk.of(root, parts, deep=True)


def _base(found: Found, parts: Parts) -> Parts:
    """Return the folder to which a glob is relative."""
    return parts[:-1] if found.parts == parts else parts


def batches(files: Sequence[Found]) -> Iterator[list[Found]]:
    """Yield the files in order, in batches that limit the open files and the memory."""
    batch: list[Found] = []
    size = 0
    for found in files:
        if batch and (len(batch) == BATCH_FILES or size + found.status.st_size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(found)
        size += found.status.st_size
    if batch:
        yield batch


@dataclass(frozen=True)
class OpenFile:
    """An open file, and whether ripgrep reads it right: as UTF-8, or as UTF-16 with a mark, with LF at line ends."""

    searched: Searched
    found: Found
    plain: bool


@dataclass
class OpenBatch:
    """Open files. It may be closed while a thread still opens files; then none stays open."""

    files: list[OpenFile] = field(default_factory=list)
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, batch: Sequence[Found]) -> None:
        """Open the files that still exist and look like text."""
        for found in batch:
            if self._closed:
                return
            try:
                descriptor = found.root.descriptor(found.parts)
            except FileRefusedError:
                continue  # The file is gone, not readable, or not a regular file any more.
            other = found.root.rules.other
            try:
                head = read_up_to(descriptor, _HEAD)
            except OSError:
                head = b"\0"
            encoding = encoding_of(head, other=other, whole=len(head) < _HEAD)
            if encoding is None and looks_binary(head):
                os.close(descriptor)
                continue
            self._add(OpenFile(Searched(descriptor, other), found, _is_plain(head, encoding)))

    def _add(self, file: OpenFile) -> None:
        with self._lock:
            if self._closed:
                os.close(file.searched.descriptor)
            else:
                self.files.append(file)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self.files:
                os.close(self.files.pop().searched.descriptor)


def _is_plain(head: bytes, encoding: Encoding | None) -> bool:
    if encoding is None:
        return True
    if encoding.codec.startswith("utf-16"):
        return bool(encoding.mark)
    return encoding.codec == "utf-8" and (b"\r" not in head or b"\n" in head)
