"""What was fetched, and how it is told to a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where something came from: `url` is the last one, after redirects; `kind` its media type."""

    url: str
    status: int
    kind: str


@dataclass(frozen=True)
class Text:
    """A whole text. `note` says what was done to it."""

    source: Source
    text: str
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An image as it came. Its media type is the one its bytes have."""

    source: Source
    data: bytes


def heading(page: Text, start: int, end: int) -> str:
    """What stands above a part of a text: where it is from, which part it is, and how to read on."""
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
