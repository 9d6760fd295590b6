"""Plugin lifespans: started in order and stopped in reverse, each in its own task with its own deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio

from mcp_host.containment.runner import Work, owned
from mcp_host.errors import ErrorCode, HostError, text_of, wrapped
from mcp_host.plugins.hooks import SHOWN_AFTER
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import Stage

logger = logging.getLogger(__name__)

_SHORTEST = 0.2
"""Seconds that each lifespan has to stop, even if the host has no time left."""


class Lifespans:
    """Starts and stops the lifespans of plugins. Timeouts are in seconds.

    Each lifespan is entered and left in one task of its own, because task groups and cancel scopes inside it must be
    left by the task that entered them. A crash in one lifespan does not affect the others.
    """

    def __init__(
        self,
        *,
        start_timeout: float,
        stop_timeout: float,
        after_start: Callable[[LoadedPlugin], None] | None = None,
    ) -> None:
        self._after_start = after_start
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._running: list[_Running] = []
        self._starting: set[asyncio.Task[None]] = set()
        self._given_up = False

    @property
    def plugins(self) -> list[LoadedPlugin]:
        """The plugins whose lifespan is running."""
        return [running.plugin for running in self._running]

    async def start(self, plugins: Sequence[LoadedPlugin]) -> None:
        """Start the plugins that have not failed. If one cannot start, only that plugin fails.

        Plugins that are other servers start at the same time, the others one after another. If this is cancelled, the
        started plugins are stopped.
        """
        alive = [plugin for plugin in plugins if plugin.alive]
        try:
            async with asyncio.TaskGroup() as group:
                for plugin in alive:
                    if plugin.connection is not None:
                        task = group.create_task(self._start(plugin), name=f"start of plugin {plugin.name}")
                        self._starting.add(task)
                        task.add_done_callback(self._starting.discard)
                for plugin in alive:
                    if plugin.connection is None:
                        await self._start(plugin)
            for plugin in alive:
                if self._given_up and plugin.alive and plugin.record.stage != Stage.STARTED:
                    what = "it was ended while it started"
                    plugin.fail(HostError(what, where=plugin.where, code=ErrorCode.START_FAILED))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise

    def stop_starting(self) -> None:
        """Cancel the starts of plugins that are other servers. They fail; the others start as before."""
        self._given_up = True
        for task in self._starting:
            task.cancel()

    async def _start(self, plugin: LoadedPlugin) -> None:
        try:
            lifespan = plugin.contributions.lifespan()
            if lifespan is not None:
                running = _Running(plugin, lifespan)
                # The connection to another server has its own times, and may first have to make an environment.
                timeout = self._start_timeout if plugin.connection is None else None
                plugin.state = await running.start(timeout, self._stop_timeout)
                self._running.append(running)
        except HostError as error:
            plugin.fail(error)
        except asyncio.CancelledError:
            if not self._given_up:
                raise
        else:
            plugin.reach(Stage.STARTED)
        finally:
            if self._after_start is not None:
                self._after_start(plugin)

    async def stop(self, plugins: Collection[LoadedPlugin] | None = None, *, until: float | None = None) -> None:
        """Stop all lifespans, or those of the given plugins, in reverse order. A failure does not stop the others.

        Plugins that are other servers stop at the same time, before the others. With `until`, in the loop's time, all
        have stopped by then: a plugin that does not stop takes only its share of the time.
        """
        stopping = [running for running in reversed(self._running) if plugins is None or running.plugin in plugins]
        servers = [running for running in stopping if running.plugin.connection is not None]
        others = [running for running in stopping if running.plugin.connection is None]
        await asyncio.gather(*(self._stop(running, until, len(others) + 1) for running in servers))
        for index, running in enumerate(others):
            await self._stop(running, until, len(others) - index)

    async def _stop(self, running: _Running, until: float | None, shares: int) -> None:
        self._running.remove(running)
        timeout = self._stop_timeout
        if until is not None:
            left = until - asyncio.get_running_loop().time()
            timeout = min(timeout, max(_SHORTEST, left / shares))
        await running.stop(timeout)
        running.plugin.state = None


@contextmanager
def _shown_if_slow(message: str, *arguments: object) -> Iterator[None]:
    timer = asyncio.get_running_loop().call_later(SHOWN_AFTER, logger.info, message, *arguments)
    try:
        yield
    finally:
        timer.cancel()


@dataclass(frozen=True)
class _StartResult:
    """The state or the error of a start. As a value, even a `SystemExit` cannot end the event loop."""

    state: Any = None
    error: BaseException | None = None


class _Running:
    """One lifespan and its task."""

    def __init__(self, plugin: LoadedPlugin, lifespan: AbstractAsyncContextManager[Any]) -> None:
        self.plugin = plugin
        self._lifespan = lifespan
        self._entered: asyncio.Future[_StartResult] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        with owned(Work(plugin, "lifespan")):
            self._task = asyncio.create_task(self._live(), name=f"lifespan of plugin {plugin.name}")

    async def _live(self) -> None:
        failure: BaseException | None = None
        try:
            async with self._lifespan as state:
                self._entered.set_result(_StartResult(state))
                # If the task is cancelled here, the event loop is ending. The lifespan still stops normally.
                with suppress(asyncio.CancelledError):
                    await self._stop.wait()
        except BaseException as error:
            failure = error
        if not self._entered.done():
            self._entered.set_result(_StartResult(error=failure))
        elif self._stop.is_set():
            if failure is not None and not isinstance(failure, asyncio.CancelledError):
                logger.error("the lifespan of plugin %s failed to stop", self.plugin.name, exc_info=failure)
        elif not self._cancelled_from_outside():
            # A background task of the lifespan crashed or cancelled it while the plugin was serving.
            logger.debug("the lifespan of plugin %s ended by itself", self.plugin.name, exc_info=failure)
            why = f": {text_of(failure)}" if failure is not None else ""
            self.plugin.warn(f"its lifespan ended by itself{why}", hint="restart the host")

    @staticmethod
    def _cancelled_from_outside() -> bool:
        """Return whether other code cancelled the task. The lifespan's own scopes withdraw their cancellation."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def start(self, timeout: float | None, stop_timeout: float) -> Any:
        """Wait until the lifespan has started, and return what it yielded.

        Raises:
            HostError: The lifespan raised, or it did not start within `timeout` seconds and was cancelled.
        """
        try:
            with _shown_if_slow("starting plugin %s ...", self.plugin.name):
                done, _ = await asyncio.wait([self._entered], timeout=timeout)
        except BaseException:
            # What it has begun is undone before the event loop ends.
            with anyio.CancelScope(shield=True):
                await self._abandon(stop_timeout)
            raise
        if not done:
            await self._abandon(stop_timeout)
            raise HostError(
                f"its lifespan did not start within {timeout:g} s",
                where=self.plugin.where,
                hint='[host] start_timeout = "..."   (longer), or make the start quicker',
                code=ErrorCode.START_FAILED,
            )
        result = self._entered.result()
        if result.error is not None:
            error = result.error
            if isinstance(error, HostError) and self.plugin.connection is not None:
                # It is not the plugin's own code that failed.
                raise HostError(error.what, where=self.plugin.where, hint=error.hint, code=ErrorCode.START_FAILED)
            raise wrapped(
                error,
                "its lifespan failed to start",
                where=self.plugin.where_of(error),
                hint="MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)",
                code=ErrorCode.START_FAILED,
            ) from error
        return result.state

    async def stop(self, timeout: float) -> None:
        self._stop.set()
        with _shown_if_slow("waiting for plugin %s to stop, %g s at most", self.plugin.name, timeout):
            done, _ = await asyncio.wait([self._task], timeout=timeout)
        if not done:
            logger.error(
                "the lifespan of plugin %s did not stop within %g s and is cancelled", self.plugin.name, timeout
            )
            self._task.cancel()

    async def _abandon(self, timeout: float) -> None:
        """Cancel the lifespan, and wait for its end. If it starts nevertheless, it stops immediately."""
        self._stop.set()
        self._task.cancel()
        await asyncio.wait([self._task], timeout=timeout)
