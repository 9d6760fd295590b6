"""Reads files with limits: whole files up to a size, and lines of larger files."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import Final, TextIO

from mcp_host.encodings import Encoding, encoding_of
from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.paths import Parts, uri_of
from mcp_plugin_files.roots import Root

_BLOCK: Final = 65_536


@dataclass(frozen=True)
class Contents:
    """The content of a whole file."""

    data: bytes
    encoding: Encoding | None

    @property
    def hash(self) -> str:
        return digest(self.data)


def in_words(encoding: Encoding, invalid: int = 0) -> str:
    """Return an encoding for the caller, with the number of bytes that are not valid in it."""
    words = (
        encoding.name + (" with a byte order mark" if encoding.mark else "") + (", guessed" if encoding.guessed else "")
    )
    return f"{words}, {invalid} bytes are not valid and shown as U+FFFD" if invalid else words


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a text; no lines if `last` is below `first`. `lines` is None if the end was not reached."""

    text: str
    first: int
    last: int
    lines: int | None
    cut: bool = False


@dataclass(frozen=True)
class Part:
    """Lines of a file that is too large to read whole."""

    excerpt: Excerpt
    encoding: Encoding
    size: int


def digest(data: bytes) -> str:
    """Return the hash of a file's content: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def read_up_to(descriptor: int, most: int) -> bytes:
    """Return at most the first `most` bytes of an open file, also if it grows meanwhile."""
    blocks: list[bytes] = []
    left = most
    while left > 0 and (block := os.read(descriptor, min(left, 1 << 20))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


def read_whole(root: Root, parts: Parts, most: int) -> Contents | None:
    """Return the content of a file of at most `most` bytes, or None for a larger file.

    Raises:
        FileRefusedError: The file does not exist or may not be read.
    """
    with root.opened(parts) as descriptor, root.explained(parts):
        # The size is not reliable: a file may grow, and files in /proc have size 0.
        if os.fstat(descriptor).st_size > most or len(data := read_up_to(descriptor, most + 1)) > most:
            return None
    return Contents(data, encoding_of(data, other=root.rules.other))


def read_part(root: Root, parts: Parts, first: int, last: int | None, characters: int, scan: int) -> Part:
    """Return lines of a file that is too large to read whole.

    Raises:
        FileRefusedError: The file does not exist, may not be read or is not text, or line `first` is not within the
            first `scan` bytes.
    """
    with root.opened(parts) as descriptor, root.explained(parts):
        size = os.fstat(descriptor).st_size
        head = read_up_to(descriptor, _BLOCK)
        encoding = encoding_of(head, other=root.rules.other, whole=False)
        if encoding is None:
            raise FileRefusedError(
                f"{uri_of(root.name, parts)} is not text and has {size} bytes, more than max_bytes allows."
            )
        os.lseek(descriptor, len(encoding.mark), os.SEEK_SET)
        with open(descriptor, encoding=encoding.codec, errors="replace", newline="\n", closefd=False) as stream:
            excerpt = excerpt_of(stream, first, last, characters, scan)
    if excerpt is None:
        raise FileRefusedError(
            f"{uri_of(root.name, parts)} has {size} bytes, and line {first} is not within the first {scan} "
            "(max_scan_bytes): use search_files, or read an earlier line."
        )
    return Part(excerpt, encoding, size)


def excerpt_of_text(text: str, first: int, last: int | None, characters: int) -> Excerpt:
    """Return lines of a text. Lines end with LF; a CR before it belongs to the line."""
    excerpt = excerpt_of(io.StringIO(text, newline="\n"), first, last, characters, len(text) + 1, to_end=True)
    assert excerpt is not None
    return excerpt


def excerpt_of(
    stream: TextIO, first: int, last: int | None, characters: int, scan: int, *, to_end: bool = False
) -> Excerpt | None:
    """Return lines `first` to `last` of a stream, cut before the line that would exceed `characters`.

    If the first line is longer than that, it is cut inside. With `to_end`, lines are counted to the end. Returns None
    if line `first` is not within `scan` characters.
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
