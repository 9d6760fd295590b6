"""The files for a search: found by a walk and opened in batches. Each open file is known to be inside its root."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mcp_host.encodings import looks_binary
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folderview import fits
from mcp_plugin_files.listing import Found, Walk
from mcp_plugin_files.paths import Parts
from mcp_plugin_files.roots import Root

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

BATCH_FILES: Final = 64
BATCH_BYTES: Final = 32 * 2**20
_HEAD: Final = 8192


@dataclass(frozen=True)
class Candidates:
    """The files to search, in order, and notes about the files that are left out."""

    files: list[Found]
    large: int
    full: bool
    notes: list[str]


def candidates(roots: Sequence[Root], parts: Parts, walk: Walk, glob: GitIgnoreSpec | None, largest: int) -> Candidates:
    """Return every regular file below a folder that has at most `largest` bytes.

    Raises:
        FileRefusedError: The folder does not exist, and there is no other root to search.
    """
    files: list[Found] = []
    large = 0
    failed: list[str] = []
    for root in roots:
        try:
            for found in walk.of(root, parts, deep=True):
                if found.kind != "file" or (glob is not None and not fits(glob, found, parts)):
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


@dataclass
class OpenBatch:
    """Open files. It may be closed while a thread still opens files; then none stays open."""

    files: list[tuple[int, Found]] = field(default_factory=list)
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
            if looks_binary(_head(descriptor)):
                os.close(descriptor)
            else:
                self._add(descriptor, found)

    def _add(self, descriptor: int, found: Found) -> None:
        with self._lock:
            if self._closed:
                os.close(descriptor)
            else:
                self.files.append((descriptor, found))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self.files:
                os.close(self.files.pop()[0])


def _head(descriptor: int) -> bytes:
    try:
        head = os.read(descriptor, _HEAD)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        return b"\0"
    return head
