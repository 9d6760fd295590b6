"""Unpacks a body that is encoded with gzip or deflate, and notices one that ends too early."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import httpx2

ACCEPTED: Final = "gzip, deflate"
"""What the client asks for. A server may still send another encoding; its body cannot be read."""

_PIECE: Final = 256 * 1024
"""The most bytes that one step returns, so that a small input cannot fill the memory before it is counted."""


class Unpacker:
    """Decodes one body piece by piece.

    gzip may consist of several members, one after the other (RFC 1952, 2.2). "deflate" is zlib's format (RFC 9110,
    8.4.1.2); some servers send it without zlib's header.

    Raises:
        httpx2.DecodingError: The encoding is not one of `ACCEPTED`, or the data is broken or ends too early.
    """

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise httpx2.DecodingError(f"the body is encoded as {coding[:40]!r}, which was not asked for")
        self._coding = coding
        self._kept = b""
        """The start of the data, while there is too little of it to know its form."""
        self._zlib: zlib._Decompress | None = None
        self._over = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Return the bytes that a piece of the body stands for."""
        try:
            yield from self._decode(self._kept + data)
        except zlib.error as error:
            raise httpx2.DecodingError(f"the body is not valid {self._coding}: {error}") from error

    def finish(self) -> None:
        """Check that the data is complete. A body without a single byte is complete."""
        if self._kept or (self._zlib is not None and not self._over):
            raise httpx2.DecodingError(f"the body ends early: its {self._coding} data is incomplete")

    def _decode(self, data: bytes) -> Iterator[bytes]:
        self._kept = b""
        while data:
            if self._zlib is None or self._over:
                if self._zlib is not None and (self._coding == "deflate" or data[0] != 0x1F):
                    return  # what stands behind the end is padding
                if len(data) < 2:
                    self._kept = data
                    return
                self._zlib, self._over = zlib.decompressobj(self._form(data)), False
            piece = self._zlib.decompress(data, _PIECE)
            while piece:
                yield piece
                piece = self._zlib.decompress(self._zlib.unconsumed_tail, _PIECE)
            self._over = self._zlib.eof
            data = self._zlib.unused_data

    def _form(self, data: bytes) -> int:
        if self._coding != "deflate":
            return zlib.MAX_WBITS | 16
        has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
