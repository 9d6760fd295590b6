"""Finds the encoding of a text, and keeps bytes that are not valid. This is one rule for all plugins that read text."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["UTF_8", "WINDOWS_1252", "Encoding", "encoding_of", "known_encoding", "looks_binary", "readable"]

_KEEP: Final = "mcp_host.keep"
_KEPT: Final = re.compile("([\udc00-\udcff]+)")
"""Bytes that are not valid, each as the lone surrogate U+DC00 plus its value, as in PEP 383."""


@dataclass(frozen=True)
class Encoding:
    """A text encoding: the name to show, Python's name for it, and the byte order mark of the text, if any."""

    name: str
    codec: str
    mark: bytes = b""
    guessed: bool = False

    def decode(self, data: bytes) -> str:
        """Return the text without its mark. Each byte that is not valid becomes U+FFFD."""
        return readable(self.decode_exactly(data))

    def decode_exactly(self, data: bytes) -> str:
        """Return the text without its mark, from which `encode` makes the same bytes.

        Each byte that is not valid becomes a lone surrogate. `readable` returns such a text in a form for readers, with
        every character at the same place.
        """
        errors = "surrogateescape" if self.codec == "utf-8" else _KEEP
        return data[len(self.mark) :].decode(self.codec, errors)

    def encode(self, text: str) -> bytes:
        """Return the bytes of a text with the mark. Bytes that `decode_exactly` has kept are unchanged.

        Raises:
            UnicodeEncodeError: The encoding does not have one of the characters.
        """
        # Every second piece is a run of kept bytes.
        pieces = _KEPT.split(text)
        pieces[1::2] = ["".join(chr(ord(sign) - 0xDC00) for sign in run) for run in pieces[1::2]]
        return self.mark + b"".join(
            piece.encode("latin-1" if place % 2 else self.codec) for place, piece in enumerate(pieces)
        )


UTF_8: Final = Encoding("utf-8", "utf-8")
WINDOWS_1252: Final = Encoding("windows-1252", "cp1252")

_MARKS: Final = (
    Encoding("utf-8", "utf-8", codecs.BOM_UTF8),
    Encoding("utf-32le", "utf-32-le", codecs.BOM_UTF32_LE),  # before UTF-16, because it begins with UTF-16's mark
    Encoding("utf-32be", "utf-32-be", codecs.BOM_UTF32_BE),
    Encoding("utf-16le", "utf-16-le", codecs.BOM_UTF16_LE),
    Encoding("utf-16be", "utf-16-be", codecs.BOM_UTF16_BE),
)

_HEAD: Final = 8192
"""How many bytes at the beginning are searched for a NUL. Data with one is not text, as in git."""

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that text in older encodings does not have."""

_LATIN_OR_LONG: Final = re.compile(
    rb"[\xc2\xc3][\x80-\xbf]"
    rb"|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
"""Characters in UTF-8 that are very improbable as text in windows-1252."""

_TWO_BYTES: Final = re.compile(rb"[\xc4-\xdf][\x80-\xbf]")
"""The other characters in UTF-8. In windows-1252, they are a letter and a sign, as at the end of a quotation."""

_ASCII: Final = bytes(range(128))
_CERTAIN: Final = 10
"""How many times more valid than invalid UTF-8 a text must have, if a user has named another encoding for it."""


def known_encoding(label: str) -> Encoding | None:
    """Return the encoding that browsers mean by a name, or None (WHATWG Encoding Standard, 4.2).

    For example, `latin1` and `iso-8859-1` are windows-1252.
    """
    import webencodings

    try:
        found = webencodings.lookup(label)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    if found is None or found.name in ("replacement", "x-user-defined"):
        return None
    # The standard reads GBK with the decoder of its superset.
    return Encoding(found.name, "gb18030" if found.name == "gbk" else found.codec_info.name)


def looks_binary(head: bytes) -> bool:
    """Return whether the first bytes show that data is not text: a NUL without a byte order mark."""
    return _marked(head) is None and b"\0" in head[:_HEAD]


def encoding_of(data: bytes, *labels: str, other: Encoding | None = None, whole: bool = True) -> Encoding | None:
    """Return the encoding of a text, or None if the data is not text.

    The first of these decides: a byte order mark; the first of `labels` that browsers know; UTF-8, if all or most of
    the bytes beyond ASCII are valid; `other`; windows-1252. `labels` are what the sender declares. `other` is what a
    user expects of text that is not UTF-8. If `whole` is false, `data` is only the beginning of a longer text.
    """
    if (marked := _marked(data)) is not None:
        return marked if _reads(data, marked, whole) else None
    known = (found for label in labels if (found := known_encoding(label)) is not None)
    if (declared := next(known, None)) is not None:
        return None if b"\0" in data[:_HEAD] and not _is_wide(declared) else declared
    if other is not None and _is_wide(other):
        return other if _reads(data, other, whole) else None
    if b"\0" in data[:_HEAD]:
        return None
    seven_bits = other is not None and other.codec.startswith("iso2022") and b"\x1b" in data
    if not seven_bits and (_fits(data, UTF_8, whole) or _mostly_utf_8(data, other, whole)):
        return UTF_8
    if other is not None and _fits(data, other, whole):
        return other
    if _CONTROLS.search(data):
        return None
    return other or Encoding(WINDOWS_1252.name, WINDOWS_1252.codec, guessed=True)


def readable(text: str) -> str:
    """Return a text of `decode_exactly` with U+FFFD in the place of each byte that is not valid."""
    return _KEPT.sub(lambda run: "\ufffd" * len(run[0]), text)


def _marked(data: bytes) -> Encoding | None:
    return next((each for each in _MARKS if data.startswith(each.mark)), None)


def _is_wide(encoding: Encoding) -> bool:
    """Return whether text in an encoding contains NUL bytes."""
    return encoding.codec.startswith(("utf-16", "utf-32"))


def _fits(data: bytes, encoding: Encoding, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding.codec)().decode(data[len(encoding.mark) :], whole)
    except UnicodeError:
        return False
    return True


def _reads(data: bytes, encoding: Encoding, whole: bool) -> bool:
    """Return whether data is text in a Unicode encoding, perhaps with some bytes that are not valid."""
    if _fits(data, encoding, whole):
        return True
    text = encoding.decode_exactly(data)
    return "\0" not in text and 4 * sum(map(len, _KEPT.findall(text))) <= len(data)


def _mostly_utf_8(data: bytes, other: Encoding | None, whole: bool) -> bool:
    if not whole:  # The last line may end inside a character.
        data = data[: data.rfind(b"\n") + 1] or data
    rest, probable = _LATIN_OR_LONG.subn(b" ", data)
    rest, possible = _TWO_BYTES.subn(b" ", rest)
    invalid = len(rest.translate(None, _ASCII))
    certain = 1 if other is None or other.codec == WINDOWS_1252.codec else _CERTAIN
    return 2 * probable + possible > certain * invalid


def _keep(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_KEEP, _keep)
