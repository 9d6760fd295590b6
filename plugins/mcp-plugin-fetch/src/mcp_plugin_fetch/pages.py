"""A fetched page, and the heading that a model sees above it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where a page came from. `url` is the last one, after redirects; `kind` is its media type."""

    url: str
    status: int
    kind: str


@dataclass(frozen=True)
class Text:
    """A whole text. `note` says how it was converted."""

    source: Source
    text: str
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An unchanged image. Its media type is found from its bytes."""

    source: Source
    data: bytes


def heading(page: Text, start: int, end: int) -> str:
    """Return the heading above a part of a text: its URL, which part it is, and how to read on."""
    source = page.source
    lines = [f"URL: {source.url}"]
    if page.title:
        lines.append(f"Title: {page.title}")
    lines.append(f"Type: {source.kind}{page.note}" + (f" (status {source.status})" if source.status != 200 else ""))
    total = len(page.text)
    if not total:
        lines.append("The page has no text.")
    elif end < total:
        lines.append(f"Characters: {start} to {end} of {total}; to read on, call again with start={end}.")
    elif start:
        lines.append(f"Characters: {start} to {end} of {total}, the end.")
    return "\n".join(lines)
