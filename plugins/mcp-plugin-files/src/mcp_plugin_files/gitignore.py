"""Reads the `.gitignore` files of a root, and decides what they leave out of listings and searches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Folder
from mcp_plugin_files.paths import Parts
from mcp_plugin_files.reading import read_up_to
from mcp_plugin_files.roots import Root

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_NAME: Final = ".gitignore"
_MOST: Final = 2**20

Rules = tuple[tuple[int, "GitIgnoreSpec"], ...]
"""The patterns that apply in a folder, each with the depth of its `.gitignore`. The deepest are the last."""


def rules_above(root: Root, parts: Parts) -> Rules:
    """Return the rules from the root down to a folder, without its own. A folder that they leave out has no rules.

    So a caller who names an ignored folder sees what is in it.

    Raises:
        FileRefusedError: A folder on the path does not exist.
    """
    rules: Rules = ()
    for depth in range(len(parts) if root.rules.gitignore else 0):
        with root.open(parts[:depth]) as folder:
            rules += rules_in(root, parts[:depth], folder)
        if leaves_out(rules, parts[: depth + 1], folder=True):
            return ()
    return rules


def rules_in(root: Root, parts: Parts, folder: Folder) -> Rules:
    """Return the rules of an open folder's own `.gitignore`, if it has one."""
    if not root.rules.gitignore:
        return ()
    with suppress(FileRefusedError):  # There is none, or it is a link: then it does not count.
        descriptor = root.open_in(folder, (*parts, _NAME), hint=False)
        try:
            text = read_up_to(descriptor, _MOST).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
        return ((len(parts), _parsed(text.splitlines())),)
    return ()


def leaves_out(rules: Rules, parts: Parts, *, folder: bool) -> bool:
    """Return whether a file or folder is left out. The deepest `.gitignore` with a fitting pattern decides."""
    for depth, spec in reversed(rules):
        found = spec.check_file("/".join(parts[depth:]) + ("/" if folder else "")).include
        if found is not None:
            return found
    return False


def _parsed(lines: Sequence[str]) -> GitIgnoreSpec:
    """Return the patterns. A line that git would not understand is left out, as git does it."""
    from pathspec import GitIgnoreSpec

    good = []
    for line in lines:
        with suppress(ValueError):
            GitIgnoreSpec.from_lines([line])
            good.append(line)
    return GitIgnoreSpec.from_lines(good)
