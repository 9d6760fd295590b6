"""Makes the listing of a folder for `list_files` and for the folder's resource."""

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
    """Return the listing of a folder, with at most `most` entries. With `glob`, only files that match it are listed.

    Raises:
        FileRefusedError: The folder does not exist or may not be opened.
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


def tree_of(root: Root, parts: Parts, walk: Walk, most: int, *, glob: GitIgnoreSpec | None = None) -> Listing:
    """Return the names below a folder as an indented tree of at most `most` characters.

    With `glob`, only files that match it are shown, with the folders that they are in.

    Raises:
        FileRefusedError: The folder does not exist or may not be opened.
    """
    lines: list[str] = []
    shown: Parts = parts
    size, truncated = 0, False
    with closing(walk.of(root, parts, deep=True)) as found:
        for each in found:
            if glob is not None and not fits(glob, each, parts):
                continue
            # The folders above that were not shown yet.
            same = len(parts)
            while same < min(len(shown), len(each.parts) - 1) and shown[same] == each.parts[same]:
                same += 1
            fresh = [each.parts[: depth + 1] for depth in range(same, len(each.parts))]
            new = [_leaf(inner, parts, inner != each.parts or each.kind == "folder") for inner in fresh]
            size += sum(len(line) + 1 for line in new)
            if size > most:
                truncated = True
                break
            lines += new
            shown = each.parts if each.kind == "folder" else each.parts[:-1]
    return Listing(
        root=root.name,
        path="/".join(parts),
        entries=[],
        tree="\n".join(lines),
        truncated=truncated or walk.full,
        notes=walk.notes(),
    )


def _leaf(inner: Parts, base: Parts, folder: bool) -> str:
    return f"{'  ' * (len(inner) - len(base) - 1)}{inner[-1]}{'/' if folder else ''}"


def glob_of(pattern: str | None) -> GitIgnoreSpec | None:
    """Parse a pattern in the form of a .gitignore. Here it selects the files to list or search.

    Raises:
        FileRefusedError: The pattern is not valid.
    """
    if pattern is None:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        raise FileRefusedError("glob is not a valid pattern: write, for example, *.md or src/**/*.py.") from None


def fits(glob: GitIgnoreSpec, found: Found, base: Parts) -> bool:
    """Return whether an entry is a file and its path below `base` matches the pattern."""
    return found.kind == "file" and glob.match_file("/".join(found.parts[len(base) :]))


def _entry(found: Found) -> ListedEntry:
    return ListedEntry(
        path=found.path,
        kind=found.kind,
        size=found.status.st_size if found.kind == "file" else None,
        modified=datetime.fromtimestamp(int(found.status.st_mtime), UTC),
        uri=found.uri if found.kind in ("file", "folder") else None,
    )
