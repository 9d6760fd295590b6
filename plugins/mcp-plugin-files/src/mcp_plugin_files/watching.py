"""Watches the roots and announces changes in them.

Every served folder is watched separately, and found by the same walk that lists it, because a recursive watcher would
follow links out of the root. Before a change is announced, its path is looked up through the root again. So a folder
that has become a link announces nothing from its target.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from mcp_plugin_files.errors import FileMissingError, FileRefusedError
from mcp_plugin_files.folders import kind_of
from mcp_plugin_files.listing import Found, Walk
from mcp_plugin_files.paths import Parts, is_text, uri_of
from mcp_plugin_files.roots import Root
from mcp_plugin_files.served import Files

Announce = Callable[[str], Awaitable[None]]

AGAIN: Final = 2.0
"""Seconds between two searches for a missing root."""

_STEP, _DEBOUNCE = 50, 400
"""Changes are announced after `_STEP` milliseconds without a change, and at the latest after `_DEBOUNCE`."""

_MARGIN: Final = 1.0
"""How far the clock of a file system may be behind, in seconds."""


@dataclass(frozen=True)
class _Places:
    """The folders to watch, by their paths on the disk. A folder can be in several roots, if these are nested."""

    folders: Mapping[str, list[tuple[Root, Parts]]]
    missing: bool


@dataclass
class Watcher:
    """Announces changes while `run` runs."""

    files: Files
    announce: Announce
    log: logging.Logger
    _heard: float = field(default_factory=time.time)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled. `task_status` is started when all existing folders are watched."""
        before: _Places | None = None
        try:
            while True:
                places = await self.files.walk(self._places)
                changed, stop = anyio.Event(), anyio.Event()
                async with anyio.create_task_group() as tasks:
                    if places.folders:
                        tasks.start_soon(self._listen, places, changed, stop)
                        # awatch() sets up its watches before it first waits, so one checkpoint is enough.
                        await checkpoint()
                    try:
                        if before is None:
                            task_status.started()
                        else:
                            await self._catch_up(places, before)
                        with anyio.move_on_after(AGAIN if places.missing else None):
                            await changed.wait()
                    finally:
                        # awatch() reacts to a cancellation only after seconds, but to this event immediately.
                        stop.set()
                before = places
        except Exception:
            self.log.exception("changes of files are not announced any more")
            if before is None:
                task_status.started()

    def _places(self, walk: Walk) -> _Places:
        folders: dict[str, list[tuple[Root, Parts]]] = {}
        missing = False
        for root in self.files.roots:
            base = os.path.realpath(root.path)
            own = Walk(walk.most, walk.stop)
            try:
                inner = [found.parts for found in own.of(root, (), deep=True) if found.kind == "folder"]
            except FileRefusedError:
                missing = True
                continue
            if own.full:
                self.log.warning(
                    "root %s has more than %d entries: changes are announced for the first ones only",
                    root.name,
                    own.most,
                )
            for parts in [(), *inner]:
                folders.setdefault(os.path.join(base, *parts), []).append((root, parts))
        return _Places(folders, missing)

    async def _listen(self, places: _Places, changed: anyio.Event, stop: anyio.Event) -> None:
        from watchfiles import awatch

        try:
            async for batch in awatch(
                *places.folders,
                watch_filter=None,
                stop_event=stop,
                recursive=False,
                step=_STEP,
                debounce=_DEBOUNCE,
                ignore_permission_denied=True,
            ):
                self._heard = time.time()
                paths = {path for _, path in batch}
                uris, other_folders = await self.files.run(lambda paths=paths: _changes(paths, places))  # type: ignore[misc]
                await self._announce_all(uris)
                if other_folders:
                    changed.set()
        except FileNotFoundError:
            # A folder was removed between the walk and the watch.
            changed.set()
        except ExceptionGroup as group:
            if group.split(RuntimeError)[1] is not None:
                raise
            # For example, the watcher fails at a name that is not UTF-8. Changes during the pause are announced later.
            # The pause keeps a program that creates many such names from keeping this one busy.
            self.log.info("the folders are read again, because the watcher failed: %s", group.exceptions[0])
            with anyio.move_on_after(AGAIN):
                await stop.wait()
            changed.set()

    async def _catch_up(self, places: _Places, before: _Places) -> None:
        """Announce what changed while there was no watcher, and the files in new folders."""
        fresh = {
            place for path, all_places in places.folders.items() if path not in before.folders for place in all_places
        }
        since = self._heard - _MARGIN

        def look(walk: Walk) -> set[str]:
            uris: set[str] = set()
            for root in self.files.roots:
                try:
                    for found in Walk(walk.most, walk.stop).of(root, (), deep=True):
                        if found.status.st_ctime >= since or (root, found.parts[:-1]) in fresh:
                            uris |= _uris(found)
                except FileRefusedError:
                    continue  # The root is missing. It is searched again soon.
            return uris

        await self._announce_all(await self.files.walk(look))

    async def _announce_all(self, uris: Iterable[str]) -> None:
        for uri in sorted(uris):
            await self.announce(uri)


def _uris(found: Found) -> set[str]:
    """Return the resources that change with an entry: the entry and the listing that contains it."""
    return {found.uri, uri_of(found.root.name, found.parts[:-1])}


def _changes(paths: Iterable[str], places: _Places) -> tuple[set[str], bool]:
    """Return the URIs that change with paths on the disk, and whether the folders to watch have changed."""
    uris: set[str] = set()
    other_folders = False
    for path in paths:
        if any(not parts for _, parts in places.folders.get(path, ())) and not os.path.isdir(path):
            other_folders = True
        for root, parts in places.folders.get(os.path.dirname(path), ()):
            inner = (*parts, os.path.basename(path))
            if not is_text(inner[-1]) or not root.serves(inner):
                continue
            try:
                with root.open(parts) as folder, root.explained(inner):
                    try:
                        is_folder = kind_of(folder.stat(inner[-1])) == "folder"
                    except FileNotFoundError:
                        is_folder = False
            except FileMissingError:
                # The folder has been removed with its files.
                is_folder, other_folders = False, True
            except FileRefusedError:
                other_folders = True
                continue
            if is_folder and not root.serves(inner, folder=True):
                continue
            if is_folder != (path in places.folders):
                other_folders = True
            uris |= {uri_of(root.name, inner), uri_of(root.name, parts)}
    return uris, other_folders
