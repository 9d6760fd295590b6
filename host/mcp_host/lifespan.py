"""Plugin lifespans: entered in order, each in a task and under a deadline of its own, and left in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from mcp_host.errors import HostError, text_of
from mcp_host.loader import LoadedPlugin
from mcp_host.records import Stage

logger = logging.getLogger(__name__)


class Lifespans:
    """Holds the lifespans of the plugins that started, and ends them. Deadlines are in seconds.

    Each lifespan lives in a task of its own from entering to leaving, so that the task groups and cancel scopes
    inside it are left by the task that entered them, and a crash in one reaches no other.
    """

    def __init__(self, *, start_timeout: float, stop_timeout: float) -> None:
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._running: list[_Running] = []

    async def start(self, plugins: Sequence[LoadedPlugin]) -> None:
        """Start the plugins still alive, one after another. One that cannot start fails; the rest go on."""
        for plugin in plugins:
            if not plugin.alive:
                continue
            try:
                lifespan = plugin.contributions.lifespan()
                if lifespan is not None:
                    running = _Running(plugin, lifespan)
                    plugin.state = await running.start(self._start_timeout, self._stop_timeout)
                    self._running.append(running)
            except HostError as error:
                plugin.fail(error)
            else:
                plugin.reach(Stage.STARTED)

    async def stop(self) -> None:
        """Leave every lifespan, the last one started first, whatever the others do."""
        while self._running:
            running = self._running.pop()
            await running.stop(self._stop_timeout)
            running.plugin.state = None


@dataclass(frozen=True)
class _Outcome:
    """What entering gave: a value that no exception type, `SystemExit` included, can turn into the loop's own end."""

    state: Any = None
    error: BaseException | None = None


class _Running:
    """One lifespan and the task it lives in."""

    def __init__(self, plugin: LoadedPlugin, lifespan: AbstractAsyncContextManager[Any]) -> None:
        self.plugin = plugin
        self._lifespan = lifespan
        self._entered: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(), name=f"lifespan of plugin {plugin.name}")

    async def _live(self) -> None:
        try:
            async with self._lifespan as state:
                self._entered.set_result(_Outcome(state))
                # Cancelled while it serves: the event loop is ending, and the plugin still gets to leave in order.
                with suppress(asyncio.CancelledError):
                    await self._stop.wait()
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            if not self._entered.done():
                self._entered.set_result(_Outcome(error=error))
            elif self._stop.is_set() and not cancelled:
                logger.error("the lifespan of plugin %s failed to stop", self.plugin.name, exc_info=error)
            elif not cancelled:
                # Something the lifespan runs in the background crashed while the plugin was serving.
                logger.debug("the lifespan of plugin %s ended by itself", self.plugin.name, exc_info=error)
                self.plugin.warn(f"its lifespan ended by itself: {text_of(error)}", mend="restart the host")
            if cancelled:
                raise

    async def start(self, timeout: float, stop_timeout: float) -> Any:
        """Wait until it is entered and return what it yielded.

        Raises:
            HostError: It raised, or was not entered within `timeout` seconds (it is cancelled then).
        """
        try:
            done, _ = await asyncio.wait([self._entered], timeout=timeout)
        except BaseException:
            self._task.cancel()
            raise
        if not done:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=stop_timeout)
            raise HostError(
                f"its lifespan did not start within {timeout:g} s",
                where=self.plugin.where,
                mend='[host] start_timeout = "..."   (longer), or make the start quicker',
            )
        outcome = self._entered.result()
        if outcome.error is not None:
            logger.debug("the lifespan of plugin %s failed to start", self.plugin.name, exc_info=outcome.error)
            raise HostError(
                f"its lifespan failed to start: {text_of(outcome.error)}",
                where=self.plugin.where,
                mend="MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)",
            )
        return outcome.state

    async def stop(self, timeout: float) -> None:
        self._stop.set()
        done, _ = await asyncio.wait([self._task], timeout=timeout)
        if not done:
            logger.error("the lifespan of plugin %s did not stop within %g s; left behind", self.plugin.name, timeout)
            self._task.cancel()
