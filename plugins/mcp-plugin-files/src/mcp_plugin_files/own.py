"""The files of the host itself, which no root serves: configuration, secrets, the data of plugins, and its code."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from operator import is_not
from pathlib import Path

from mcp_plugin_files.paths import Parts

OwnPaths = Callable[[], tuple[tuple[Path, ...], ...]]
"""Returns groups of paths. A group that did not change is the same object."""


class Own:
    """The host's own files, as one root sees them. A reload can change the `paths`."""

    def __init__(self, root: Path, paths: OwnPaths) -> None:
        self._root = Path(os.path.realpath(root))
        self._paths = paths
        self._known: tuple[tuple[Path, ...], ...] = ()
        self._below: frozenset[Parts] = frozenset()
        self._all = False

    def hides(self, parts: Parts) -> bool:
        """Return whether a path below the root is an own file, or is inside an own folder. Case is ignored."""
        groups = self._paths()
        if len(groups) != len(self._known) or any(map(is_not, groups, self._known)):
            paths = [path for group in groups for path in group]
            self._below = frozenset(
                _folded(path.relative_to(self._root).parts) for path in paths if path.is_relative_to(self._root)
            )
            self._all = any(self._root.is_relative_to(path) for path in paths)
            self._known = groups
        if self._all:
            return True
        folded = _folded(parts)
        return any(folded[:end] in self._below for end in range(len(parts) + 1))

    def is_own(self, status: os.stat_result) -> bool:
        """Return whether this is the status of an own file, for example under another name (a hard link)."""
        for path in chain.from_iterable(self._paths()):
            with suppress(OSError):
                if os.path.samestat(status, os.stat(path)):
                    return True
        return False


def _folded(parts: Parts) -> Parts:
    # Some systems do not distinguish case. On the others, a file that differs only in case is hidden, too.
    return tuple(part.casefold() for part in parts)
