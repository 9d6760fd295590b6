"""The results of the tools and listings, as pydantic models: what a client sees as the output schema."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class ListedEntry(BaseModel):
    """A file or folder."""

    path: str = Field(description="Its path, from the root down.")
    kind: Literal["file", "folder", "link", "device", "fifo", "socket"] = Field(
        description="Only files can be read, and only folders listed."
    )
    size: int | None = Field(default=None, description="Bytes of a file.")
    modified: datetime = Field(description="When it was last changed, in UTC.")
    uri: str | None = Field(default=None, description="The resource of a file or folder.")


class Listing(BaseModel):
    """What is in a folder."""

    root: str = Field(description="The root.")
    path: str = Field(description="The folder's path in it; empty for the root itself.")
    entries: list[ListedEntry] = Field(description="Files and folders, by name.")
    truncated: bool = Field(description="Whether there is more than is listed.")
    notes: list[str] = Field(default_factory=list, description="What was left out, and why.")


class FoundLine(BaseModel):
    """A line in which the pattern was found."""

    root: str = Field(description="The root of the file.")
    path: str = Field(description="The file's path in it.")
    line: int = Field(description="The line's number, from 1.")
    text: str = Field(description="The line; a long one is cut around the find.")


class SearchResult(BaseModel):
    """Where a pattern was found."""

    matches: list[FoundLine] = Field(description="Lines, in the order of the paths.")
    files: int = Field(description="Files that were searched.")
    truncated: bool = Field(description="Whether there is more than is listed.")
    notes: list[str] = Field(default_factory=list, description="What was left out, and why.")


class Written(BaseModel):
    """A file that was written."""

    root: str = Field(description="The root.")
    path: str = Field(description="The file's path in it.")
    uri: str = Field(description="The file's resource.")
    size: int = Field(description="Its bytes now.")
    hash: str = Field(description="Its hash now, for the next change.")
    created: bool = Field(description="Whether the file is new.")
