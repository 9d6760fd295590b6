"""The settings of `[plugins.files.settings]`: which folders are served, and how much one call may read."""

from __future__ import annotations

import codecs
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, field_validator

from mcp_host.encodings import Encoding, known_encoding

RootName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A name that does not change in a URI: clients write a URI's host in lower case."""


def _encoding(name: str) -> Encoding:
    """Return the encoding that browsers mean by a name, or else Python."""
    if (known := known_encoding(name)) is not None:
        return known
    try:
        "".encode(name)
        codec = codecs.lookup(name).name
    except (LookupError, UnicodeError):
        raise ValueError(f"there is no text encoding {name!r}: write, for example, gbk or windows-1252") from None
    return known_encoding(codec) or Encoding(codec, codec)


class RootFolder(BaseModel, extra="forbid"):
    """One folder."""

    path: str = Field(min_length=1, description="The folder; a relative path starts at the folder of mcp-host.toml.")
    writable: bool = Field(default=False, description="Whether its files may be written, moved and deleted.")
    hidden: bool = Field(
        default=False, description="Whether files and folders whose names begin with a dot are served."
    )
    ignore: list[str] = Field(
        default=["node_modules/", "__pycache__/"],
        description="Patterns of what is not served, as in a .gitignore: *.key, build/, /private/**.",
    )
    gitignore: bool = Field(
        default=True, description="Whether listings and searches leave out what .gitignore files in the root name."
    )
    encoding: str | None = Field(
        default=None, description="The encoding of text that is not UTF-8 and has no mark; default: windows-1252."
    )
    description: str = Field(default="", description="One line for the model about the content of the folder.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            _encoding(name)
        return name

    @property
    def other(self) -> Encoding | None:
        """The encoding of text that is not UTF-8, or None if the settings name none."""
        return _encoding(self.encoding) if self.encoding is not None else None

    @field_validator("ignore")
    @classmethod
    def _patterns(cls, lines: list[str]) -> list[str]:
        from pathspec import GitIgnoreSpec

        GitIgnoreSpec.from_lines(lines)  # raises a ValueError that names the pattern
        return lines


class Settings(BaseModel, extra="forbid"):
    """The keys of `[plugins.files.settings]`."""

    roots: dict[RootName, RootFolder | str] = Field(
        default_factory=dict,
        description='Folders by name (a-z 0-9 _ -): a path (roots.docs = "docs") or a table (path, writable, ...)',
    )
    max_bytes: int = Field(
        default=1_048_576,
        ge=1024,
        le=2**30,
        description="Largest file in bytes that is read whole, served as a resource or written.",
    )
    max_characters: int = Field(
        default=100_000, ge=100, description="Most characters that read_file returns at once; more is cut at a line."
    )
    max_scan_bytes: int = Field(
        default=268_435_456, ge=1024, description="Most bytes that read_file reads to find a line of a large file."
    )
    max_document_bytes: int = Field(
        default=33_554_432, ge=1024, description="Largest PDF or Office document in bytes whose text read_file returns."
    )
    max_search_bytes: int = Field(
        default=10_485_760, ge=1024, le=2**30, description="Largest file in bytes that search_files searches."
    )
    max_results: int = Field(
        default=200, ge=1, le=10_000, description="Most entries in a listing, and most lines found by a search."
    )
    max_entries: int = Field(
        default=100_000, ge=1, description="Most files and folders that one listing or search reads."
    )
    ripgrep: bool = Field(default=True, description="Search with ripgrep if it is on PATH, else in Python.")
    watch: bool = Field(default=True, description="Notify subscribed clients of files that change on disk.")

    @field_validator("roots")
    @classmethod
    def _folders(cls, roots: dict[str, RootFolder | str]) -> dict[str, RootFolder | str]:
        return {name: RootFolder(path=folder) if isinstance(folder, str) else folder for name, folder in roots.items()}

    @property
    def folders(self) -> dict[str, RootFolder]:
        """The roots as tables, also those written in the short form."""
        return {name: folder for name, folder in self.roots.items() if isinstance(folder, RootFolder)}

    @property
    def writable(self) -> bool:
        """Whether any root is writable."""
        return any(folder.writable for folder in self.folders.values())
