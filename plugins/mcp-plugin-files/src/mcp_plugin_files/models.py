"""The results of the tools and listings as pydantic models. A client sees them as output schemas."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class ListedEntry(BaseModel):
    """A file or folder."""

    path: str = Field(description="Its path in the root.")
    kind: Literal["file", "folder", "link", "device", "fifo", "socket"] = Field(
        description="Only files can be read, and only folders can be listed."
    )
    size: int | None = Field(default=None, description="Size of a file in bytes.")
    modified: datetime = Field(description="When it was last changed, in UTC.")
    uri: str | None = Field(default=None, description="The resource of a file or folder.")


class Listing(BaseModel):
    """The entries of a folder."""

    root: str = Field(description="The root.")
    path: str = Field(description="The folder's path in the root; empty for the root itself.")
    entries: list[ListedEntry] = Field(description="Files and folders, sorted by name; empty for a tree.")
    tree: str | None = Field(default=None, description="The names below the folder, indented; folders end with /.")
    truncated: bool = Field(description="Whether there are more entries than listed.")
    notes: list[str] = Field(default_factory=list, description="What was left out, and why.")


class FoundLine(BaseModel):
    """A line that matches the pattern."""

    root: str = Field(description="The root of the file.")
    path: str = Field(description="The file's path in the root.")
    line: int = Field(description="The number of the line, or of the first one, from 1.")
    text: str = Field(
        description="The line, or the lines of a longer match. With context: all lines with numbers, and : after those "
        "that match. A long line is cut around the match."
    )


class SearchResult(BaseModel):
    """The lines that match a pattern."""

    matches: list[FoundLine] = Field(description="Matching lines, sorted by path.")
    files: int = Field(description="Number of searched files.")
    truncated: bool = Field(description="Whether there are more matches than listed.")
    notes: list[str] = Field(default_factory=list, description="What was left out, and why.")


class Written(BaseModel):
    """A file that was written, or in a dry run, the file as it is."""

    root: str = Field(description="The root.")
    path: str = Field(description="The file's path in the root.")
    uri: str = Field(description="The file's resource.")
    size: int = Field(description="Its size in bytes now.")
    hash: str | None = Field(description="Its hash now, for the next change.")
    created: bool = Field(description="Whether the file is new.")
    diff: str | None = Field(default=None, description="Of a dry run: a unified diff. Line ends are shown as LF.")


class Moved(BaseModel):
    """A file that has another path."""

    root: str = Field(description="The root.")
    path: str = Field(description="The file's new path in the root.")
    uri: str = Field(description="The file's new resource.")
    hash: str = Field(description="The file's hash, which is the same as before.")


class Deleted(BaseModel):
    """A file or an empty folder that does not exist any more."""

    root: str = Field(description="The root.")
    path: str = Field(description="Its path in the root.")
