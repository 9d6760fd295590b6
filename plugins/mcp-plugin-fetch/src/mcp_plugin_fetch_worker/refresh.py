"""Reads where a page or a response sends its reader after some seconds."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urljoin

_SPACE: Final = "".join(map(chr, range(0x21)))
_REFRESH: Final = re.compile(
    r"\s*(\d{0,9})\d*(?:\.[\d.]*)?\s*(?:[;,\s]\s*(?:url\s*=\s*)?(.*))?", re.IGNORECASE | re.DOTALL
)


def parse_refresh(content: str, base: str) -> dict[str, Any] | None:
    """Read what `meta` and the header `Refresh` have (HTML Living Standard, 4.2.5.3): `seconds` and `url`."""
    found = _REFRESH.fullmatch(content)
    if found is None or not found[2]:
        return None
    target = found[2].strip()
    if target[:1] in ('"', "'"):
        target = target[1:].partition(target[0])[0]
    url = joined(base, target)
    return {"seconds": int(found[1] or 0), "url": url} if url.startswith(("http://", "https://")) else None


def joined(base: str, url: str) -> str:
    """Return the absolute form of a link, or an empty text if it has none."""
    try:
        return urljoin(base, re.sub(r"[\t\n\r]", "", url).strip(_SPACE))
    except ValueError:
        return ""
