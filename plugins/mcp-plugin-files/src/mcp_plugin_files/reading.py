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
class Span:
    """The wanted lines of a text: from `first` to `last`, or the last `tail` ones."""

    first: int = 1
    last: int | None = None
    tail: int | None = None


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a text; no lines if `last` is below `first`.

    `from_end` means the last lines of the text. `lines` is None if the whole text was not read.
    """

    text: str
    first: int
    last: int
    lines: int | None
    cut: bool = False
    from_end: bool = False


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


def read_head(root: Root, parts: Parts) -> tuple[int, bytes]:
    """Return the size of a file and its first bytes."""
    with root.opened(parts) as descriptor, root.explained(parts):
        return os.fstat(descriptor).st_size, read_up_to(descriptor, 8)


def read_part(root: Root, parts: Parts, span: Span, characters: int, scan: int) -> Part:
    """Return lines of a file that is too large to read whole.

    Raises:
        FileRefusedError: The file does not exist, may not be read or is not text, or the first wanted line is not
            within the first `scan` bytes.
    """
    with root.opened(parts) as descriptor, root.explained(parts):
        size = os.fstat(descriptor).st_size
        head = read_up_to(descriptor, _BLOCK)
        encoding = encoding_of(head, other=root.rules.other, whole=False)
        if encoding is None:
            raise FileRefusedError(
                f"{uri_of(root.name, parts)} is not text and has {size} bytes, more than max_bytes allows."
            )
        end = line_end(encoding.decode(head))
        if span.tail is not None:
            return Part(_tail_of_file(descriptor, size, encoding, span.tail, characters, end), encoding, size)
        os.lseek(descriptor, len(encoding.mark), os.SEEK_SET)
        with open(descriptor, encoding=encoding.codec, errors="replace", newline=end, closefd=False) as stream:
            excerpt = excerpt_of(stream, span.first, span.last, characters, scan, end=end)
    if excerpt is None:
        raise FileRefusedError(
            f"{uri_of(root.name, parts)} has {size} bytes, and line {span.first} is not within the first {scan} "
            "(max_scan_bytes): use tail or search_files, or read an earlier line."
        )
    return Part(excerpt, encoding, size)


def line_end(text: str) -> str:
    """Return the character at the end of a text's lines: CR if there is no LF, else LF, perhaps after a CR."""
    return "\r" if "\r" in text and "\n" not in text else "\n"


def excerpt_of_text(text: str, span: Span, characters: int) -> Excerpt:
    """Return lines of a text. A CR before an LF belongs to the line."""
    end = line_end(text)
    if span.tail is not None:
        kept, count, cut = _tail(text, span.tail, characters, end)
        lines = text.count(end) + (bool(text) and not text.endswith(end))
        return Excerpt(kept, lines - count + 1, lines, lines, cut, from_end=True)
    excerpt = excerpt_of(
        io.StringIO(text, newline=end), span.first, span.last, characters, len(text) + 1, to_end=True, end=end
    )
    assert excerpt is not None
    return excerpt


def _tail_of_file(descriptor: int, size: int, encoding: Encoding, tail: int, characters: int, end: str) -> Excerpt:
    """Return the last lines of a large file. At most four bytes for each wanted character are read."""
    width = {"utf-16": 2, "utf-32": 4}.get(encoding.codec[:6], 1)
    mark = len(encoding.mark)
    begin = max(mark, size - 4 * (characters + 2))
    begin += (mark - begin) % width
    os.lseek(descriptor, begin, os.SEEK_SET)
    data = read_up_to(descriptor, size - begin)
    if encoding.codec == "utf-8":
        data = data.lstrip(bytes(range(0x80, 0xC0)))  # the rest of a character that begins earlier
    text = data.decode(encoding.codec, "replace")
    kept, count, cut = _tail(text, tail, characters, end)
    if len(kept) == len(text) and begin > mark and end in kept[:-1]:  # The first line may begin earlier.
        kept, count, cut = kept.partition(end)[2], count - 1, True
    return Excerpt(kept, 1, count, None, cut, from_end=True)


def _tail(text: str, tail: int, characters: int, end: str) -> tuple[str, int, bool]:
    """Return the last lines, their number, and whether some of them were left out, or a part of the only one."""
    begin, count = len(text), 0
    while begin and count < tail:
        before = text.rfind(end, 0, begin - 1) + 1
        if len(text) - before > characters:
            return (text[begin:], count, True) if count else (text[-characters:], 1, True)
        begin, count = before, count + 1
    return text[begin:], count, False


def excerpt_of(
    stream: TextIO,
    first: int,
    last: int | None,
    characters: int,
    scan: int,
    *,
    to_end: bool = False,
    end: str = "\n",
) -> Excerpt | None:
    """Return lines `first` to `last` of a stream, cut before the line that would exceed `characters`.

    If the first line is longer than that, it is cut inside. With `to_end`, lines are counted to the end. Returns None
    if line `first` is not within `scan` characters.
    """
    taken: list[str] = []
    room, until, number, seen, cut = characters, first - 1, 0, 0, False
    while line := stream.readline(characters + 1):
        number += 1
        seen += len(line)
        rest = line
        while rest and not rest.endswith(end) and (to_end or seen < scan):
            rest = stream.readline(_BLOCK)
            seen += len(rest)
        if number >= first and (last is None or number <= last) and not cut:
            cut = len(line) > room
            if not cut or not taken:
                taken.append(line[:room])
                room -= len(line)
                until = number
        if not to_end and (cut or number == last):
            return Excerpt("".join(taken), first, until, None, cut)
        if not to_end and seen >= scan:
            return Excerpt("".join(taken), first, until, None, cut=True) if taken else None
    return Excerpt("".join(taken), first, until, number, cut)
