"""Opens a file as bytes: `.gz` and `.zst` files are decompressed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import BinaryIO, cast

COMPRESSED = (".gz", ".zst")
"""The suffixes of compressed files, in lower case."""


def open_bytes(path: Path) -> BinaryIO:
    """Return the content of a file, decompressed by its suffix."""
    match path.suffix.lower():
        case ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case ".zst":
            import zstandard

            stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True)
            return cast(BinaryIO, io.BufferedReader(stream))
        case _:
            return path.open("rb")
