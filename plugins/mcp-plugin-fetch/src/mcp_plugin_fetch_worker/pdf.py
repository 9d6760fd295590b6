"""Reads the text of a PDF."""

from __future__ import annotations

import io
import logging
import time
from typing import Any

from mcp_plugin_fetch_worker.characters import visible


def read_pdf(data: bytes, seconds: float, most: int) -> tuple[dict[str, Any], str]:
    """Return what is known of a PDF, and the text of its pages, until the time is up or `most` characters are read.

    `pages` is the number of pages, `read` how many of them were read. `problem` says why there is no text.
    """
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    end = time.monotonic() + seconds
    try:
        document = pypdf.PdfReader(io.BytesIO(data))
        if document.is_encrypted and not document.decrypt(""):
            return {"problem": "it needs a password"}, ""
        title = str((document.metadata.title if document.metadata else None) or "")
        count = len(document.pages)
    except Exception as error:  # a broken file can raise anything
        return {"problem": f"it is broken ({type(error).__name__})"}, ""
    texts: list[str] = []
    length, failed = 0, 0
    for number in range(count):
        if time.monotonic() > end or length > most:
            break
        try:
            text = visible(document.pages[number].extract_text()).strip()
        except Exception:
            text, failed = "", failed + 1
        texts.append(text)
        length += len(text) + 2
    facts = {"title": " ".join(title.split())[:300], "pages": count, "read": len(texts), "failed": failed}
    return facts, "\n\n".join(text for text in texts if text)
