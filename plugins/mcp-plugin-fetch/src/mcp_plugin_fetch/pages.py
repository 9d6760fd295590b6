"""A fetched page, and the heading that a model sees above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """Where a page came from. `url` is the last one, after redirects; `kind` is its media type."""

    url: str
    status: int
    kind: str


@dataclass(frozen=True)
class Refresh:
    """Where a page sends its reader, after how many seconds."""

    url: str
    seconds: int

    @classmethod
    def of(cls, found: Mapping[str, Any] | None) -> Refresh | None:
        """Return what `mcp_plugin_fetch_worker.refresh` has found."""
        return cls(found["url"], found["seconds"]) if found else None


@dataclass(frozen=True)
class Text:
    """A whole text. `note` says how it was converted, `remarks` are lines about what is missing in it."""

    source: Source
    text: str
    title: str = ""
    note: str = ""
    remarks: tuple[str, ...] = ()
    refresh: Refresh | None = None


@dataclass(frozen=True)
class Picture:
    """An unchanged image. Its media type is found from its bytes."""

    source: Source
    data: bytes


def remarks_on(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader should know about a page beside its text."""
    lines = []
    script = facts.get("script")
    if script == "all":
        lines.append("The page has no text without JavaScript: a browser builds it with scripts. They are not run.")
    elif script == "most":
        lines.append("The page may have more text in a browser, which builds it with JavaScript. That is not run here.")
    if script and facts["description"]:
        lines.append(f"Its description: {facts['description']}")
    if script and facts["goes_on"]:
        lines.append(f"Its script goes on to {facts['goes_on']}")
    return tuple(lines)


def remarks_on_pdf(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how much of a PDF was read."""
    lines = []
    if facts["read"] < facts["pages"]:
        lines.append(f"Only the first {facts['read']} of {facts['pages']} pages were read; more would take too long.")
    if facts["failed"]:
        lines.append(f"{facts['failed']} of its pages could not be read.")
    return tuple(lines)


def heading(page: Text, start: int, end: int) -> str:
    """Return the heading above a part of a text: its URL, which part it is, and how to read on."""
    source = page.source
    lines = [f"URL: {source.url}"]
    if page.title:
        lines.append(f"Title: {page.title}")
    lines.append(f"Type: {source.kind}{page.note}" + (f" (status {source.status})" if source.status != 200 else ""))
    lines += page.remarks
    if page.refresh is not None:
        lines.append(f"After {page.refresh.seconds} s, the page goes on to {page.refresh.url}")
    total = len(page.text)
    if not total and not page.remarks:
        lines.append("The page has no text.")
    elif end < total:
        lines.append(f"Characters: {start} to {end} of {total}; to read on, call again with start={end}.")
    elif start:
        lines.append(f"Characters: {start} to {end} of {total}, the end.")
    return "\n".join(lines)
