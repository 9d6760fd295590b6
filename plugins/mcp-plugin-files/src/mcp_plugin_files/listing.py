"""Walks through the served files of a root: one folder, or everything below it, sorted by name."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

from mcp_plugin_files.errors import FileRefusedError
from mcp_plugin_files.folders import Entry, EntryKind, Folder
from mcp_plugin_files.gitignore import Rules, leaves_out, rules_above, rules_in
from mcp_plugin_files.paths import MOST_PARTS, Parts, is_text, printable, uri_of
from mcp_plugin_files.roots import Root

_NAMED: Final = 5
"""How many names a note about left-out entries contains."""


class StoppedError(Exception):
    """The walk was stopped, because its caller has gone."""


@dataclass(frozen=True)
class Found:
    """An entry that a root serves."""

    root: Root
    parts: Parts
    kind: EntryKind
    status: os.stat_result

    @property
    def path(self) -> str:
        return "/".join(self.parts)

    @property
    def uri(self) -> str:
        return uri_of(self.root.name, self.parts)


@dataclass
class Walk:
    """A walk's limit, and the entries that it had to leave out. `stop` ends it from another thread."""

    most: int
    stop: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    unnamed: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    ignored: int = 0

    @property
    def full(self) -> bool:
        """Whether there were more than `most` entries, so that some are missing."""
        return self.seen > self.most

    def notes(self) -> list[str]:
        """Return notes for the caller about the entries that were left out."""
        notes = []
        if self.full:
            notes.append(f"Only {self.most} files and folders were read (max_entries): choose a folder further down.")
        if self.unnamed:
            notes.append(f"Not shown, because their names are not UTF-8: {_some(self.unnamed)}.")
        if self.ignored:
            notes.append(f"Left out by .gitignore (setting gitignore): {self.ignored} files and folders.")
        if self.closed:
            notes.append(f"Not opened: {_some(self.closed)}")
        return notes

    def of(self, root: Root, parts: Parts, *, deep: bool) -> Generator[Found]:
        """Yield the entries of a folder. With `deep`, each folder is followed by its own entries.

        Raises:
            FileRefusedError: The folder does not exist or may not be opened.
            StoppedError: `stop` was set.
        """
        root.require_served(parts, folder=True)
        rules = rules_above(root, parts)
        with root.open(parts) as folder:
            yield from self._inside(root, parts, folder, rules, deep)

    def _inside(self, root: Root, parts: Parts, folder: Folder, rules: Rules, deep: bool) -> Generator[Found]:
        rules += rules_in(root, parts, folder)
        with root.explained(parts):
            entries = self._sorted(root, parts, folder, rules)
        for entry in entries:
            if self.stop.is_set():
                raise StoppedError
            inner = (*parts, entry.name)
            yield Found(root, inner, entry.kind, entry.status)
            if deep and entry.kind == "folder" and len(inner) < MOST_PARTS and not self.full:
                try:
                    with root.explained(inner):
                        below = folder.folder(entry.name)
                    with below:
                        yield from self._inside(root, inner, below, rules, deep)
                except FileRefusedError as error:
                    # The folder is gone, not readable, or has become a link. The rest is still shown.
                    self.closed.append(str(error))

    def _sorted(self, root: Root, parts: Parts, folder: Folder, rules: Rules) -> list[Entry]:
        served = []
        for entry in folder.entries():
            if self.stop.is_set():
                raise StoppedError
            if not is_text(entry.name):
                if root.rules.hidden or not entry.name.startswith("."):
                    self.unnamed.append(printable(entry.name))
                continue
            inner = (*parts, entry.name)
            if not root.serves(inner, folder=entry.kind == "folder"):
                continue
            if leaves_out(rules, inner, folder=entry.kind == "folder"):
                self.ignored += 1
                continue
            self.seen += 1
            if self.full:
                break
            served.append(entry)
        return sorted(served, key=lambda entry: entry.name)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
