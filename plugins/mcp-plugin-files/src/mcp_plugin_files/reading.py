"""Reads files within bounds: whole ones up to a size, and the lines of larger ones."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import Final, TextIO

from mcp_plugin_files.encodings import Encoding, encoding_of
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.roots import Root

_BLOCK: Final = 65_536


@dataclass(frozen=True)
class Contents:
    """A file read whole."""

    data: bytes
    encoding: Encoding | None

    @property
    def hash(self) -> str:
        return digest(self.data)


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a text, none when `last` is below `first`. `lines` is None when the end was not reached."""

    text: str
    first: int
    last: int
    lines: int | None
    cut: bool = False


@dataclass(frozen=True)
class Part:
    """Lines of a file too large to be read whole."""

    excerpt: Excerpt
    encoding: Encoding
    size: int


def digest(data: bytes) -> str:
    """What tells one state of a file from another: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def read_up_to(descriptor: int, most: int) -> bytes:
    """The first bytes of an open file, `most` of them at most, however it grows meanwhile."""
    blocks: list[bytes] = []
    left = most
    while left > 0 and (block := os.read(descriptor, min(left, 1 << 20))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


def read_whole(root: Root, parts: Parts, most: int) -> Contents | None:
    """A file of at most `most` bytes, or None for a larger one.

    Raises:
        FileRefusedError: There is none that may be read.
    """
    with root.opened(parts) as descriptor, root.explained(parts):
        # The size alone is not believed: a file may grow, and those of /proc say 0.
        if os.fstat(descriptor).st_size > most or len(data := read_up_to(descriptor, most + 1)) > most:
            return None
    return Contents(data, encoding_of(data, root.rules.encoding))


def read_part(root: Root, parts: Parts, first: int, last: int | None, characters: int, scan: int) -> Part:
    """Lines of a file that is too large to be read whole.

    Raises:
        FileRefusedError: There is none that may be read, it is no text, or line `first` is beyond `scan` bytes.
    """
    with root.opened(parts) as descriptor, root.explained(parts):
        size = os.fstat(descriptor).st_size
        head = read_up_to(descriptor, _BLOCK)
        encoding = encoding_of(head, root.rules.encoding, whole=False)
        if encoding is None:
            raise FileRefusedError(
                f"{uri_of(root.name, parts)} is no text and has {size} bytes, more than max_bytes lets through."
            )
        os.lseek(descriptor, len(encoding.mark), os.SEEK_SET)
        with open(descriptor, encoding=encoding.name, errors="replace", newline="\n", closefd=False) as stream:
            excerpt = excerpt_of(stream, first, last, characters, scan)
    if excerpt is None:
        raise FileRefusedError(
            f"{uri_of(root.name, parts)} has {size} bytes, and line {first} is not within the first {scan} "
            "(max_scan_bytes): use search_files, or ask for an earlier line."
        )
    return Part(excerpt, encoding, size)


def excerpt_of_text(text: str, first: int, last: int | None, characters: int) -> Excerpt:
    """Lines of a text at hand. Lines end with LF; a CR before it belongs to the line."""
    excerpt = excerpt_of(io.StringIO(text, newline="\n"), first, last, characters, len(text) + 1, to_end=True)
    assert excerpt is not None
    return excerpt


def excerpt_of(
    stream: TextIO, first: int, last: int | None, characters: int, scan: int, *, to_end: bool = False
) -> Excerpt | None:
    """Lines `first` to `last` of a stream, cut before the line with which there would be more than `characters`.

    A first line that is longer is cut within. With `to_end`, lines are counted to the end. None when `scan` characters
    went by before line `first`.
    """
    taken: list[str] = []
    room, end, number, seen, cut = characters, first - 1, 0, 0, False
    while line := stream.readline(characters + 1):
        number += 1
        seen += len(line)
        rest = line
        while rest and not rest.endswith("\n") and (to_end or seen < scan):
            rest = stream.readline(_BLOCK)
            seen += len(rest)
        if number >= first and (last is None or number <= last) and not cut:
            cut = len(line) > room
            if not cut or not taken:
                taken.append(line[:room])
                room -= len(line)
                end = number
        if not to_end and (cut or number == last):
            return Excerpt("".join(taken), first, end, None, cut)
        if not to_end and seen >= scan:
            return Excerpt("".join(taken), first, end, None, cut=True) if taken else None
    return Excerpt("".join(taken), first, end, number, cut)
