"""Applies an edited configuration to a running server, tells its clients what changed, and notices when to do so."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ServerEvent, ToolsListChanged

from mcp_host.catalog.catalog import Catalog
from mcp_host.config import HostConfig
from mcp_host.errors import HostError, text_of
from mcp_host.plugins.discovery import InstalledPlugin, discover
from mcp_host.plugins.kinds import KINDS, FilterKey
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.sources import forget_modules, restore_modules, source_roots
from mcp_host.server.hostserver import HostServer

logger = logging.getLogger(__name__)


class Reloader:
    """Reloads one server. `read` reads the configuration anew; `find` discovers what is installed now."""

    def __init__(
        self,
        server: HostServer,
        read: Callable[[], HostConfig],
        find: Callable[[], Sequence[InstalledPlugin]] = discover,
    ) -> None:
        self._server = server
        self._read = read
        self._find = find
        self._done = asyncio.Event()

    async def reload(self, changed: Collection[str] = ()) -> bool:
        """Serve what the configuration says now. `changed` names plugins whose code is new.

        Returns True when it is served, and False when the old one was kept: the log says why.
        Each client hears once of each kind of list that is different.
        """
        host = self._server.host
        before = host.catalog
        roots = [root for root, names in source_roots(host.plugins).items() if names & set(changed)]
        forgotten = forget_modules(roots)
        try:
            config = self._read_again()
            self._warn_of_what_needs_a_restart(config)
            after = await host.reload(config, installed=self._find(), changed=changed)
        except HostError:
            # What is served still imports from the modules it came with.
            restore_modules(forgotten)
            return False
        self._done.set()
        self._done = asyncio.Event()
        for event in changes(before, after):
            await self._server.bus.publish(event)
        logger.info("reloaded: %s", ", ".join(plugin.name for plugin in host.plugins if plugin.alive) or "no plugins")
        return True

    def _read_again(self) -> HostConfig:
        try:
            return self._read()
        except HostError as error:
            self._server.host.keep_old(error)
            raise

    @property
    def plugins(self) -> Sequence[LoadedPlugin]:
        """The plugins that are served now."""
        return self._server.host.plugins

    async def reloaded(self) -> None:
        """Wait for the next reload that is served."""
        await self._done.wait()

    def _warn_of_what_needs_a_restart(self, config: HostConfig) -> None:
        now = self._server.host.config
        for name in ("transport", "auth"):
            if getattr(config, name) != getattr(now, name):
                logger.warning("[%s] has changed: it takes effect at the next start", name)


def changes(before: Catalog, after: Catalog) -> list[ServerEvent]:
    """Return one event for each kind of list in which the two differ."""
    different = {kind.filter for kind in KINDS if before.listed(kind) != after.listed(kind)}
    return [event() for key, event in _EVENTS.items() if key in different]


_EVENTS: Mapping[FilterKey, Callable[[], ServerEvent]] = {
    "tools": ToolsListChanged,
    "prompts": PromptsListChanged,
    "resources": ResourcesListChanged,
}


@asynccontextmanager
async def following(reloader: Reloader, file: Path | None, *, code: bool = False) -> AsyncIterator[None]:
    """Reload on SIGHUP and, when `file` is given, each time it is written, for the length of the block.

    With `code`, also load plugins again whose source changes.
    """
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None:
        loop.add_signal_handler(hangup, wanted.set)
    # Tasks and not a task group: an error of the server's is to come out as it is.
    followers = [asyncio.create_task(_reload_when(wanted, reloader), name="reloading")]
    if file is not None:
        followers.append(asyncio.create_task(_watch(file, wanted), name=f"watching {file.name}"))
    if code:
        followers.append(asyncio.create_task(_watch_code(reloader), name="watching the code of plugins"))
    for follower in followers:
        follower.add_done_callback(_say_how_it_ended)
    try:
        yield
    finally:
        if hangup is not None:
            loop.remove_signal_handler(hangup)
        for follower in followers:
            follower.cancel()
        await asyncio.wait(followers)


async def _reload_when(wanted: asyncio.Event, reloader: Reloader) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        await reloader.reload()


async def _watch(file: Path, wanted: asyncio.Event) -> None:
    # The folder, because editors put a new file in the place of the old one. What a link points to may be elsewhere.
    names = {file.absolute(), file.resolve()}
    served = _states(names)
    async for written in _written(*{name.parent for name in names}, recursive=False):
        found = _states(names)
        if (written is None and found != served) or (written is not None and written & names):
            wanted.set()
        served = found


async def _watch_code(reloader: Reloader) -> None:
    while True:
        roots = source_roots(reloader.plugins)
        if not roots:
            # Nothing to watch until another configuration brings a plugin with code in files.
            await reloader.reloaded()
            continue
        async for written in _written(*roots):
            # A file whose name is not known may be anyone's.
            files = set(roots) if written is None else written
            changed = {name for root, names in roots.items() for name in names if any(_is_in(f, root) for f in files)}
            if changed:
                logger.info("changed: %s", ", ".join(sorted(str(file) for file in files)))
                await reloader.reload(changed)
            if source_roots(reloader.plugins) != roots:
                break


async def _written(*folders: Path, recursive: bool = True) -> AsyncIterator[set[Path] | None]:
    """Yield what is written in the folders, an empty set now and then, and None where something was but not its name.

    The watcher breaks on a file name that is not UTF-8 and forgets what else it had seen; another takes its place.
    """
    from watchfiles import awatch

    missed = told = False
    while True:
        # None only after the new watcher's first report: from then on it misses nothing.
        watcher = awatch(*folders, recursive=recursive, yield_on_timeout=True, rust_timeout=500)
        try:
            async for changes in watcher:
                yield None if missed else {Path(path) for _, path in changes}
                missed = False
        except ExceptionGroup as group:
            unreadable, others = group.split(RuntimeError)
            if unreadable is None or others is not None:
                raise
            missed = True
            if not told:
                told = True
                logger.warning("watching goes on after a file that cannot be named: %s", unreadable.exceptions[0])


def _states(files: Collection[Path]) -> dict[Path, tuple[int, int, int] | None]:
    """Return what tells one state of each file from another, None for a file that is not there."""
    states: dict[Path, tuple[int, int, int] | None] = {}
    for file in files:
        try:
            found = file.stat()
        except OSError:
            states[file] = None
        else:
            states[file] = (found.st_ino, found.st_mtime_ns, found.st_size)
    return states


def _is_in(file: Path, root: Path) -> bool:
    return root == file or root in file.parents


def _say_how_it_ended(follower: asyncio.Task[None]) -> None:
    """Log the error that ended a watch: nobody else looks before the server stops."""
    if not follower.cancelled() and (error := follower.exception()) is not None:
        logger.error("%s has stopped, restart to have it again: %s", follower.get_name(), text_of(error))
