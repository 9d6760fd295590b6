"""Which encoding the bytes of a text are in: a mark at their beginning, UTF-8, or a guess; or that they are no text."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from mcp_plugin_files.errors import FileRefusedError

SNIFFED: Final = 8192
"""Bytes at the beginning of a file in which a NUL says that it is no text, as git and ripgrep see it."""

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that no text in an older encoding has: with one of them, nothing is guessed."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Encoding:
    """A text encoding, as Python names it, and the byte order mark the text begins with, if any."""

    name: str
    mark: bytes = b""
    guessed: bool = False

    def decode(self, data: bytes) -> str:
        """The text, without the mark; bytes that do not fit become U+FFFD."""
        return data[len(self.mark) :].decode(self.name, "replace")

    def encode(self, text: str) -> bytes:
        """The bytes, with the mark.

        Raises:
            FileRefusedError: The encoding does not have one of the characters.
        """
        try:
            return self.mark + text.encode(self.name)
        except UnicodeEncodeError as error:
            missing = text[error.start : error.start + 1]
            raise FileRefusedError(
                f"The file is in {self.name}, which does not have the character {missing!r}."
            ) from None

    def __str__(self) -> str:
        return self.name + (" with a byte order mark" if self.mark else "") + (", guessed" if self.guessed else "")


UTF_8: Final = Encoding("utf-8")


def marked(data: bytes) -> Encoding | None:
    """The encoding that a byte order mark tells."""
    return next((Encoding(name, mark) for mark, name in _MARKS if data.startswith(mark)), None)


def looks_binary(head: bytes) -> bool:
    """Whether the first bytes of a file are those of no text."""
    return marked(head) is None and b"\0" in head[:SNIFFED]


def encoding_of(data: bytes, other: str | None, *, whole: bool = True) -> Encoding | None:
    """The encoding of a text, or None for what is no text.

    `other` is what text that is neither marked nor UTF-8 is in; without it, that is guessed. With `whole` false, `data`
    is only the beginning, which may end within a character.
    """
    mark = marked(data)
    if mark is not None:
        return mark if _fits(data[len(mark.mark) :], mark.name, whole) else None
    if looks_binary(data):
        return None
    if _fits(data, "utf-8", whole):
        return UTF_8
    if other is not None:
        return Encoding(other) if _fits(data, other, whole) else None
    if _CONTROLS.search(data):
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return None if best is None else Encoding(best.encoding, guessed=True)


def _fits(data: bytes, name: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(data, whole)
    except UnicodeError:
        return False
    return True
