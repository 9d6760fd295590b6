"""Finds the encoding of a text: by its byte order mark, as UTF-8, or by a guess. Recognizes data that is not text."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from mcp_plugin_files.errors import FileRefusedError

SNIFFED: Final = 8192
"""How many bytes at the beginning are searched for a NUL. A file with one is not text, as in git and ripgrep."""

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that text in older encodings does not have. If there is one, no encoding is guessed."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, because it begins with UTF-16's mark
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Encoding:
    """A text encoding, by its name in Python, and the byte order mark at the beginning of the text, if any."""

    name: str
    mark: bytes = b""
    guessed: bool = False

    def decode(self, data: bytes) -> str:
        """Return the text without the mark. Invalid bytes become U+FFFD."""
        return data[len(self.mark) :].decode(self.name, "replace")

    def encode(self, text: str) -> bytes:
        """Return the bytes with the mark.

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
    """Return the encoding of a byte order mark, or None."""
    return next((Encoding(name, mark) for mark, name in _MARKS if data.startswith(mark)), None)


def looks_binary(head: bytes) -> bool:
    """Return whether a file's first bytes show that it is not text."""
    return marked(head) is None and b"\0" in head[:SNIFFED]


def encoding_of(data: bytes, other: str | None, *, whole: bool = True) -> Encoding | None:
    """Return the encoding of a text, or None if the data is not text.

    `other` is the encoding of text that has no mark and is not UTF-8. Without it, the encoding is guessed. If `whole`
    is false, `data` is only the beginning and may end inside a character.
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
