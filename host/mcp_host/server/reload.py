"""Applies an edited configuration to a running server, notifies its clients, and watches for changes of files."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from mcp_host.config import HostConfig, python_file
from mcp_host.errors import HostError, text_of
from mcp_host.plugins.discovery import InstalledPlugin, discover
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.sources import forget_modules, restore_modules, source_roots
from mcp_host.server.hostserver import HostServer

logger = logging.getLogger(__name__)


class Reloader:
    """Reloads one server. `read` reads the configuration again; `find` discovers the installed plugins."""

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
        """Serve the current configuration. `changed` names plugins with new code.

        Returns True if it is served, and False if the old one was kept; the reason is logged. Each client is notified
        once for each list that has changed.
        """
        host = self._server.host
        # Code that another plugin uses, too, is imported again only if both have changed.
        roots = [root for root, names in source_roots(host.plugins).items() if names <= set(changed)]
        forgotten = forget_modules(roots)
        try:
            config = self._read_again()
            self._warn_of_what_needs_a_restart(config)
            await host.reload(config, installed=self._find(), changed=changed)
        except HostError:
            # The served plugins still import from their old modules.
            restore_modules(forgotten)
            return False
        self._done.set()
        self._done = asyncio.Event()
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
        """The served plugins."""
        return self._server.host.plugins

    async def reloaded(self) -> None:
        """Wait for the next successful reload."""
        await self._done.wait()

    def _warn_of_what_needs_a_restart(self, config: HostConfig) -> None:
        now = self._server.host.config
        for name in ("transport", "auth"):
            if getattr(config, name) != getattr(now, name):
                logger.warning("[%s] has changed: it takes effect at the next start", name)


Handling = Callable[[int, Callable[[], None]], AbstractContextManager[object]]
"""Has a function called in the event loop at each signal of a number, as long as the context lasts."""


@asynccontextmanager
async def following(
    reloader: Reloader, file: Path | None, *, handling: Handling, code: bool = False
) -> AsyncIterator[None]:
    """During the block, reload on SIGHUP and, if `file` is given, each time it is written.

    With `code`, plugins whose source changes are loaded again, too. A Python file that stands for the configuration is
    such a source.
    """
    wanted = asyncio.Event()
    hangup = getattr(signal, "SIGHUP", None)
    handled = handling(hangup, wanted.set) if hangup is not None else nullcontext()
    # Tasks instead of a task group, because a task group would wrap the server's own errors.
    followers = [asyncio.create_task(_reload_when(wanted, reloader), name="reloading")]
    if file is not None and python_file(file) is None:
        followers.append(asyncio.create_task(_watch(file, wanted), name=f"watching {file.name}"))
    if code:
        for what, folders in (("packages", True), ("files", False)):
            watching = _watch_code(reloader, folders=folders)
            followers.append(asyncio.create_task(watching, name=f"watching the code of plugins in {what}"))
    for follower in followers:
        follower.add_done_callback(_log_error)
    try:
        with handled:
            yield
    finally:
        for follower in followers:
            follower.cancel()
        await asyncio.wait(followers)


@contextmanager
def if_unhandled(number: int, function: Callable[[], None]) -> Iterator[None]:
    """Have a function called at a signal that would end the process. Another program's handler stays."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(function, context=context)

    signal.signal(number, handle)
    try:
        yield
    finally:
        if signal.getsignal(number) is handle:
            signal.signal(number, signal.SIG_DFL)


async def _reload_when(wanted: asyncio.Event, reloader: Reloader) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        await reloader.reload()


async def _watch(file: Path, wanted: asyncio.Event) -> None:
    # The folder is watched, because editors replace the file by a new one. The target of a link may be elsewhere.
    names = {file.absolute(), file.resolve()}
    served = _states(names)
    async for written in _written(*{name.parent for name in names}, recursive=False):
        found = _states(names)
        if (written is None and found != served) or (written is not None and written & names):
            wanted.set()
        served = found


async def _watch_code(reloader: Reloader, *, folders: bool) -> None:
    """Watch the packages of the plugins with all that is below them, or the single files."""

    def roots() -> dict[Path, set[str]]:
        return {root: names for root, names in source_roots(reloader.plugins).items() if root.is_dir() == folders}

    while True:
        watched = roots()
        if not watched:
            # There is nothing to watch until another configuration has a plugin with code in files.
            await reloader.reloaded()
            continue
        # The folder of a file is watched, because editors replace the file by a new one.
        places = watched if folders else {root.parent for root in watched}
        async for written in _written(*places, recursive=folders):
            # A file whose name is not known may belong to any plugin.
            files = set(watched) if written is None else written
            changed = {name for root, names in watched.items() for name in names if any(_is_in(f, root) for f in files)}
            if changed:
                logger.info("changed: %s", ", ".join(sorted(str(file) for file in files)))
                await reloader.reload(changed)
            if roots() != watched:
                break


async def _written(*folders: Path, recursive: bool = True) -> AsyncIterator[set[Path] | None]:
    """Yield the files written in the folders, sometimes an empty set, and None if files were written but not known.

    The watcher fails at a file name that is not UTF-8 and loses what else it had seen. A new watcher replaces it.
    """
    from watchfiles import awatch

    missed = warned = False
    while True:
        # None is yielded only after the new watcher's first report. From then on, it misses nothing.
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
            if not warned:
                warned = True
                logger.warning("watching goes on after a file that cannot be named: %s", unreadable.exceptions[0])


def _states(files: Collection[Path]) -> dict[Path, tuple[int, int, int] | None]:
    """Return the state of each file, or None for a missing file. Two states differ if the file was changed."""
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


def _log_error(follower: asyncio.Task[None]) -> None:
    """Log the error that ended a task of `following`. Nothing else reads it before the server stops."""
    if not follower.cancelled() and (error := follower.exception()) is not None:
        logger.error("%s has stopped, restart the host to start it again: %s", follower.get_name(), text_of(error))
