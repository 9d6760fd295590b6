"""Finds the media type of a file: by the first bytes for images, by the name for other files."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Final

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_ADDED: Final = {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".flac": "audio/flac",
    ".js": "text/javascript",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".ogg": "audio/ogg",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".rst": "text/x-rst",
    ".toml": "application/toml",
    ".wav": "audio/wav",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""Types that differ or are missing in some versions of Python."""


def _types() -> MimeTypes:
    """Return Python's own table without the machine's, so that the types are the same on every machine."""
    types = MimeTypes(filenames=())
    for suffix, media_type in _ADDED.items():
        types.add_type(media_type, suffix)
    return types


_TYPES: Final = _types()
_TEXT: Final = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/yaml", "application/toml"}
)
OCTETS: Final = "application/octet-stream"


def type_of_text(name: str) -> str:
    """Return the media type of a text file."""
    known = _TYPES.guess_type(name)[0] or ""
    return known if known.startswith("text/") or known in _TEXT else "text/plain"


def type_of_bytes(name: str, head: bytes) -> str:
    """Return the media type of a file that is not text.

    A name is not enough for an image type: model providers refuse a whole conversation if an image is not valid.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    known, compressed = _TYPES.guess_type(name)
    if known is None or compressed or known.startswith(("image/", "text/")):
        return OCTETS
    return known
