"""A folder as its listing: what `list_files` and the resource of a folder answer."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.listing import Found, Walk
from mcp_plugin_files.models import ListedEntry, Listing
from mcp_plugin_files.paths import Parts
from mcp_plugin_files.roots import Root

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


def list_folder(
    root: Root, parts: Parts, walk: Walk, most: int, *, deep: bool = False, glob: GitIgnoreSpec | None = None
) -> Listing:
    """The listing of a folder, of `most` entries at most. With `glob`, only of files whose path in the folder fits.

    Raises:
        FileRefusedError: There is no such folder, or it may not be opened.
    """
    entries: list[ListedEntry] = []
    truncated = False
    with closing(walk.of(root, parts, deep=deep)) as found:
        for each in found:
            if glob is not None and not fits(glob, each, parts):
                continue
            if len(entries) == most:
                truncated = True
                break
            entries.append(_entry(each))
    return Listing(
        root=root.name,
        path="/".join(parts),
        entries=entries,
        truncated=truncated or walk.full,
        notes=walk.notes(),
    )


def glob_of(pattern: str | None) -> GitIgnoreSpec | None:
    """A pattern of a .gitignore, which says here what is wanted.

    Raises:
        FileRefusedError: It is none.
    """
    if pattern is None:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        raise FileRefusedError("glob is no pattern: write *.md, say, or src/**/*.py.") from None


def fits(glob: GitIgnoreSpec, found: Found, base: Parts) -> bool:
    """Whether it is a file, and its path below `base` fits the pattern."""
    return found.kind == "file" and glob.match_file("/".join(found.parts[len(base) :]))


def _entry(found: Found) -> ListedEntry:
    return ListedEntry(
        path=found.path,
        kind=found.kind,
        size=found.status.st_size if found.kind == "file" else None,
        modified=datetime.fromtimestamp(int(found.status.st_mtime), UTC),
        uri=found.uri if found.kind in ("file", "folder") else None,
    )
