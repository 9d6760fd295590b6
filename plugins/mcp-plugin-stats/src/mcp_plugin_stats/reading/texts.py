"""Decodes the text of a file: by its byte order mark, by the `encoding` of the settings, or as strict UTF-8."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.bytestream import open_bytes

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and the encodings that remove them. UTF-32 comes before UTF-16, which begins with the same bytes."""


BEGINNING = 1 << 10
"""The bytes in which a file that is not text usually has zero bytes."""


def encoding_of(path: Path, named: str | None) -> str:
    """Return the encoding of a file. A byte order mark has precedence over the settings."""
    with open_bytes(path) as file:
        start = file.read(4)
    marked = next((encoding for mark, encoding in MARKS if start.startswith(mark)), None)
    if marked is None and named is None and b"\0" in start:
        raise DataError(
            "it has zero bytes and no byte order mark: if it is UTF-16, set its encoding, such as "
            'encoding = "utf-16-le"'
        )
    return marked or named or "utf-8"


@contextmanager
def open_text(path: Path, named: str | None) -> Iterator[TextIO]:
    """Yield the decoded text, with its line ends as they are.

    Raises DataError with the line of the first byte that is not text in this encoding.
    """
    encoding = encoding_of(path, named)
    try:
        with io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="strict", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        bad = error.object[error.start : error.start + 1].hex().upper()
        with open_bytes(path) as file:
            if named is None and b"\0" in file.read(BEGINNING):
                raise DataError("it has zero bytes, so it is not a text file") from None
        where = f"line {_bad_line(path, encoding)}: " if encoding.startswith("utf-8") else ""
        other = "another encoding" if named else "its encoding"
        raise DataError(
            f"{where}the byte {bad} is not {encoding.removesuffix('-sig').upper()} text: set {other}, such as "
            'encoding = "windows-1252"'
        ) from None
    except UnicodeError as error:
        raise DataError(f"it is not text in the encoding {encoding}: {error}") from None


def _bad_line(path: Path, encoding: str) -> int:
    number = 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return number


def as_utf8(path: Path, named: str | None, target: Path) -> Path:
    """Return a file with the same text in plain UTF-8: the file itself, or a copy at `target`."""
    encoding = encoding_of(path, named)
    if encoding == "utf-8" and path.suffix.lower() not in (".gz", ".zst"):
        return path
    with open_text(path, named) as text, target.open("w", encoding="utf-8", newline="") as copy:
        while part := text.read(1 << 20):
            copy.write(part)
    return target


def check_text(path: Path) -> None:
    """Raise DataError with the line if a file is not text in UTF-8."""
    with open_text(path, None) as text:
        while text.read(1 << 20):
            pass
