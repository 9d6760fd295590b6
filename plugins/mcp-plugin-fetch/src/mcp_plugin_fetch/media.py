"""Finds a body's media type and encoding from its headers and its first bytes."""

from __future__ import annotations

import codecs
import re
from email.message import Message
from typing import Final

HTML: Final = frozenset({"text/html", "application/xhtml+xml"})

_TEXTS: Final = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/ecmascript", "application/yaml"}
    | {"application/toml", "application/sql", "application/graphql", "application/x-ndjson", "application/jsonl"}
    | {"application/x-yaml", "application/x-javascript", "application/x-sh", "application/xml-dtd", "image/svg+xml"}
    | {"application/x-www-form-urlencoded", "application/rtf", "application/x-tex", "application/x-httpd-php"}
)
_UNKNOWN: Final = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "application/unknown", "unknown/unknown"}
)

_IMAGES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
# The groups are atomic, so that many comments in a row cannot make the match slow.
_HTML_START: Final = re.compile(
    rb"\s*+(?:<!--(?>.*?-->)\s*+)*+<(?:!doctype\s++html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_META_CHARSET: Final = re.compile(rb"<meta\s[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_SNIFFED: Final = 1024
"""How many bytes are searched for HTML's encoding (HTML Living Standard, 13.2.3.2)."""


def media_type(header: str) -> tuple[str, str]:
    """Return the type in lower case and the charset parameter of a Content-Type header; either may be empty."""
    message = Message()
    message["Content-Type"] = header
    kind = message.get_content_type() if "/" in header.partition(";")[0] else ""
    charset = message.get_param("charset", "")
    return kind, charset if isinstance(charset, str) else ""


def may_be_text(kind: str) -> bool:
    """Return whether a type may be text. An unknown type may be."""
    return kind.startswith("text/") or kind in _TEXTS | _UNKNOWN | HTML or kind.endswith(("+json", "+xml", "+yaml"))


def image_type(data: bytes) -> str | None:
    """Return the type of an image that models can read, found from its first bytes, or None."""
    return next((kind for pattern, kind in _IMAGES if pattern.match(data)), None)


def is_html(kind: str, data: bytes) -> bool:
    """Return whether a body is HTML: by its type, or, if the type is unknown, by its first bytes."""
    return kind in HTML or (kind in _UNKNOWN and _HTML_START.match(data[:_SNIFFED]) is not None)


def is_pdf(kind: str, data: bytes) -> bool:
    """Return whether a body is a PDF: by its type, or, if the type is unknown, by its first bytes."""
    return kind in ("application/pdf", "application/x-pdf") or (kind in _UNKNOWN and data.startswith(b"%PDF-"))


def is_binary(data: bytes) -> bool:
    """Return whether a body is not text: it has NUL bytes and no mark of an encoding that uses them."""
    return b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decode(data: bytes, charset: str, *, html: bool) -> str:
    """Return the text of a body.

    The encoding comes from the first of these: the byte order mark, the header, HTML's `meta` element, UTF-8 if the
    bytes are valid UTF-8, and windows-1252. Names have the meaning that browsers give them (WHATWG Encoding Standard).
    Invalid bytes become U+FFFD.
    """
    import webencodings

    labels = [charset]
    if html and (meta := _META_CHARSET.search(data[:_SNIFFED])):
        labels.append(meta[1].decode("ascii"))
    known = (found for label in labels if (found := webencodings.lookup(label)) is not None)
    encoding = next(known, None) or ("utf-8" if _is_utf8(data) else "windows-1252")
    text, _ = webencodings.decode(data, encoding, errors="replace")
    return text.replace("\r\n", "\n")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
