"""The one connection to another server: started when it is wanted, kept, and started again when it ends."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Protocol

import anyio
import mcp.types as types
from mcp.shared.exceptions import MCPError
from mcp.types import REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_host._version import __version__
from mcp_host.errors import HostError, RefusedError
from mcp_host.plugins.records import ConnectionState, State
from mcp_host.upstream.changes import Lists, Subscriptions
from mcp_host.upstream.child import ChildState
from mcp_host.upstream.definitions import Definitions
from mcp_host.upstream.failures import NotLoggedInError, UnreachableError, explained, innermost
from mcp_host.upstream.session import Session
from mcp_host.upstream.source import Source
from mcp_host.upstream.wire import Wire


class Asked(Protocol):
    """Answers what the other server asks, and takes its log messages."""

    async def elicit(self, context: Any, params: Any) -> Any: ...

    async def sample(self, context: Any, params: Any) -> Any: ...

    async def list_roots(self, context: Any) -> Any: ...

    async def log(self, params: types.LoggingMessageNotificationParams) -> None: ...


class Connection:
    """Keeps a session in a task of its own, and gives it to calls.

    `on_lists` gets what the server lists when it is different from what is known. `on_updated` gets the URI of each
    resource that has changed. `on_trouble` gets why the server cannot be started, and a hint if there
    is one, and None when it is up.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        log: logging.Logger,
        *,
        asked: Asked,
        known: Definitions | None = None,
        on_lists: Callable[[Definitions], Awaitable[None]],
        on_updated: Callable[[str], Awaitable[None]],
        on_trouble: Callable[..., None],
    ) -> None:
        self.name = name
        self.lists = Lists(source, log, known, on_lists)
        self.subscriptions = Subscriptions(source.pace, log, on_updated)
        self._source = source
        self._pace = source.pace
        self._log = log
        self._asked = asked
        self._on_updated = on_updated
        self._on_trouble = on_trouble
        self._session: Session | None = None
        self._wire: Wire | None = None
        self._child = ChildState()
        self._state: State = "cold"
        self._trouble: str | None = None
        self._retry_at = 0.0
        self._starts = self._ups = self._failures = 0
        self._ends: deque[float] = deque(maxlen=source.pace.most_ends)
        self._may_come_back = self._is_first = self._is_settled = self._has_answered = False
        self._needs_login = False
        self._waiters = 0
        self._changed = asyncio.Event()
        self._dead = asyncio.Event()
        self._calls = 0
        self._last_use = time.monotonic()
        self._context = contextvars.copy_context()

    # What others see

    @property
    def state(self) -> ConnectionState:
        session, known, child = self._live, self.lists.known, self._child
        return ConnectionState(
            state=self._state,
            protocol_version=session.protocol_version if session else None,
            server=known.server if known else None,
            restarts=max(0, self._starts - 1),
            pid=child.pid if self._state in ("starting", "up") and not child.closed else None,
            retry_in=max(0.0, self._retry_at - time.monotonic()) if self._may_be_retried else None,
            last_end=self._trouble,
        )

    @property
    def _may_be_retried(self) -> bool:
        return self._state == "waiting" and not self._needs_login

    @property
    def _live(self) -> Session | None:
        """The session, if the server has not ended it."""
        gone = self._child.closed or self._wire is None or self._wire.ended.is_set()
        return None if gone else self._session

    @property
    def _is_wanted(self) -> bool:
        needed = self._source.must_start and not self._ups
        needed |= bool(self._waiters or self.subscriptions)
        return needed or not self._source.is_lazy or self.lists.known is None

    @property
    def is_modern(self) -> bool:
        """Whether the server speaks 2026-07-28, as far as is known."""
        session, known = self._live, self.lists.known
        version = session.protocol_version if session is not None else known and known.protocol_version
        return version in MODERN_PROTOCOL_VERSIONS

    def in_background(self, doing: Any, name: str) -> asyncio.Task[Any]:
        """Start a task that belongs to the plugin, and not to the call that starts it."""
        return asyncio.get_running_loop().create_task(doing, name=name, context=self._context.copy())

    # Its life

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[Connection]:
        """Keep the connection for the block. Wait for the first start of a server that is not started by a call.

        Raises:
            HostError: A server that the host needs, or of which nothing is known, ended before it was up.
        """
        self._context = contextvars.copy_context()
        keeper = asyncio.create_task(self._keep(), name=f"connection of plugin {self.name}")
        try:
            if self.lists.known is None or self._source.must_start or not self._source.is_lazy:
                self._is_first = True
                await self._first_start()
                self._is_first = False
            yield self
        finally:
            keeper.cancel()
            # A remote server may never answer the end of its session.
            done, _ = await asyncio.wait([keeper], timeout=self._pace.end)
            if not done:
                keeper.cancel()
                await asyncio.wait([keeper], timeout=self._pace.end)

    @property
    def _fails_with_its_first_start(self) -> bool:
        is_served_without = self.lists.known is not None or self._may_come_back
        return self._is_first and not self._ups and (self._source.must_start or not is_served_without)

    async def _first_start(self) -> None:
        waits = self._source.must_start or self._source.patient
        wait = self._pace.start if waits else self._pace.first_start
        if waits:
            # It may take minutes to make an environment.
            await self._until(lambda: self._state not in ("cold", "preparing"))
        try:
            async with asyncio.timeout(wait):
                await self._until(lambda: bool(self._ups or self._failures))
        except TimeoutError:
            if waits and (self._source.must_start or self.lists.known is None):
                raise HostError(
                    f"the server did not start within {wait:g} s",
                    hint='[host] start_timeout = "..."   (longer), or see what it writes: log_level = "info"',
                ) from None
            self._is_first = False
            self._log.info("it has not started within %g s; what it lists is served when it comes", wait)
            return
        if self._fails_with_its_first_start:
            raise HostError(f"the server did not start: {self._trouble}", hint=self._child.hint)

    def _set(self, state: State) -> None:
        self._state = state
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there():
            await self._changed.wait()

    async def _keep(self) -> None:
        pace = self._pace
        delay = pace.first_delay
        while True:
            await self._until(lambda: self._is_wanted)
            began, ups, login = time.monotonic(), self._ups, None
            self._child, self._dead = ChildState(), asyncio.Event()
            self._starts += 1
            self._is_settled = self._has_answered = False
            try:
                if self._source.prepare is not None:
                    self._set("preparing")
                    await self._source.prepare()
                self._set("starting")
                trouble = await self._session_of_its_life()
            except Exception as error:
                trouble = explained(error, self._child)
                inner = innermost(error)
                self._may_come_back = isinstance(inner, UnreachableError) or self._child.is_busy
                login = inner if isinstance(inner, NotLoggedInError) else None
            if trouble is None:
                self._log.debug("nobody has called it for a while; it is ended until the next call")
                self._set("cold")
                continue
            self._trouble = trouble
            if login is not None:
                await self._until_logged_in(login)
                continue
            self._ends.append(time.monotonic())
            if len(self._ends) == pace.most_ends and self._ends[-1] - self._ends[0] < pace.within:
                self._failures += 1
                self._set("stopped")
                self._on_trouble(f"it has ended {pace.most_ends} times, too often, and is not started again: {trouble}")
                return
            if self._ups == ups:
                self._failures += 1
            if self._ups == ups and not self._fails_with_its_first_start:
                self._on_trouble(f"it cannot be started: {trouble}", *filter(None, [self._child.hint]))
            elif self._has_answered or time.monotonic() - began > pace.healthy:
                delay = pace.first_delay
            wait = delay * random.uniform(0.75, 1.25)
            delay = min(delay * 2, pace.longest_delay)
            self._retry_at = time.monotonic() + wait
            if not self._fails_with_its_first_start:
                self._log.warning("%s; it can be started again in %.1f s", trouble, wait)
            self._set("waiting")
            await asyncio.sleep(wait)
            if not self._is_wanted:
                self._set("cold")

    async def _until_logged_in(self, error: NotLoggedInError) -> None:
        self._failures += 1
        self._trouble = f"{error.what}: {error.hint}"
        if not self._fails_with_its_first_start:
            self._on_trouble(error.what, error.hint)
        self._needs_login = True
        self._set("waiting")
        try:
            await error.wait()
        finally:
            self._needs_login = False
        self._set("cold")

    async def _session_of_its_life(self) -> str | None:
        """Open a session and keep it until it ends. Return why it ended, or None if nobody used it.

        Raises:
            Exception: It did not start.
        """
        async with AsyncExitStack() as stack:
            self._wire = wire = Wire(await stack.enter_async_context(self._source.connect(self._child)))
            session = await stack.enter_async_context(self._new_session(wire))
            ended = asyncio.create_task(wire.ended.wait(), name="end of the session")
            helpers: list[asyncio.Task[Any]] = [ended]
            try:
                ready = asyncio.create_task(self._greet(session, wire, helpers), name="start of the session")
                helpers.append(ready)
                await asyncio.wait({ended, ready}, timeout=self._pace.start, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not (ready.done() and not ready.cancelled() and ready.exception() is None):
                    await self._exit_status(self._child)
                    raise ConnectionError(str(self._child))
                if not ready.done():
                    raise TimeoutError(f"it did not answer within {self._pace.start:g} s")
                await self._learn(ready.result(), session)
                known = ready.result()
                following = self.lists.follow(session, wire, self._child)
                helpers.append(asyncio.create_task(following, name="lists of the session"))
                subscribing = self.subscriptions.follow(session, known.capabilities)
                helpers.append(asyncio.create_task(subscribing, name="subscriptions of the session"))
                return await self._lived(ended)
            finally:
                self._session = None
                for task in helpers:
                    task.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.gather(*helpers, return_exceptions=True)

    async def _learn(self, known: Definitions, session: Session) -> None:
        self._session = session
        self._last_use = time.monotonic()
        is_first = self.lists.known is None
        if is_first:
            await self.lists.learn(known)
        self._ups += 1
        self._set("up")
        self._on_trouble(None)
        if not is_first:
            await self.lists.learn(known)
        self._is_settled = True
        self._notify()

    async def _lived(self, ended: asyncio.Task[Any]) -> str | None:
        """Wait for the end of the session. Return why it ended, or None if that is because nobody has used it."""
        dead = asyncio.create_task(self._dead.wait(), name="end of the server")
        idle = self._source.idle_timeout
        try:
            while True:
                in_use = self._calls or self.subscriptions
                left = idle if in_use or idle is None else max(0.0, self._last_use + idle - time.monotonic())
                done, _ = await asyncio.wait({ended, dead}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if dead in done:
                    # Other calls of this session get the same answer. They are given the time for it.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._pace.worth_waiting):
                            await self._until(lambda: self._calls <= self._waiters)
                if done:
                    return await self._ended_how()
                unused = not self._calls and not self.subscriptions and not self._waiters
                if idle is not None and unused and time.monotonic() - self._last_use >= idle:
                    # From here on, calls wait for the next start.
                    self._session = None
                    return None
        finally:
            dead.cancel()

    async def _ended_how(self) -> str:
        """Return why a session ended that was up."""
        child = self._child
        if child.pid is None:
            return self._trouble if self._dead.is_set() and self._trouble else str(child)
        await self._exit_status(child)
        return (
            "its process does not read its stdin any more" if self._dead.is_set() and not child.closed else str(child)
        )

    @staticmethod
    async def _exit_status(child: ChildState) -> None:
        """Give the transport a moment to learn how its process ended."""
        if child.pid is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await child.ended.wait()

    def _new_session(self, wire: Wire) -> Session:
        asks = self._source.asks
        sampling = types.SamplingCapability(
            tools=types.SamplingToolsCapability(), context=types.SamplingContextCapability()
        )
        dispatcher: Any = wire
        return Session(
            dispatcher=dispatcher,
            client_info=types.Implementation(name="mcp-host", version=__version__),
            elicitation_callback=self._asked.elicit if asks else None,
            sampling_callback=self._asked.sample if asks else None,
            sampling_capabilities=sampling if asks else None,
            list_roots_callback=self._asked.list_roots if asks else None,
            logging_callback=self._asked.log,
            message_handler=self._noticed,
        )

    async def _greet(self, session: Session, wire: Wire, helpers: list[asyncio.Task[Any]]) -> Definitions:
        known = self.lists.known
        was_legacy = known is not None and known.protocol_version not in ("", *MODERN_PROTOCOL_VERSIONS)
        if self._source.legacy:
            await session.initialize()
        elif was_legacy:
            # Some servers print warnings when they are asked for the newer version first.
            try:
                await session.initialize()
            except (MCPError, ValidationError, RuntimeError):
                await session.discover()
        else:
            try:
                await session.discover()
            except (MCPError, ValidationError, RuntimeError) as error:
                try:
                    await session.initialize()
                except MCPError:
                    if not isinstance(error, MCPError) or error.code != REQUEST_TIMEOUT:
                        raise
                    # It was only slow: it has read the first request meanwhile, and refuses the handshake after it.
                    await session.discover()
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            # Before the lists are read, so that no change is missed.
            helpers.append(asyncio.create_task(self.lists.listen(session), name="changes of the lists"))
        return await self.lists.read(session, wire)

    # What it reports

    async def _noticed(self, message: Any) -> None:
        match message:
            case (
                types.ToolListChangedNotification()
                | types.PromptListChangedNotification()
                | types.ResourceListChangedNotification()
            ):
                self.lists.note_change()
            case types.ResourceUpdatedNotification(params=params):
                await self._on_updated(str(params.uri))

    def watch(self, uri: str) -> Callable[[], None]:
        """Have the server report changes of a resource, until the returned function is called.

        A server that is not up is started for it.
        """
        release = self.subscriptions.add(uri)
        self._notify()

        def no_longer() -> None:
            release()
            if not self.subscriptions:
                self._last_use = time.monotonic()

        return no_longer

    # Calls

    @contextmanager
    def in_use(self) -> Iterator[Callable[[], Awaitable[str]]]:
        """Keep the server from being ended as unused for the block. Yields how to learn how it ended in the block."""
        child = self._child

        async def how_it_ended() -> str:
            await self._exit_status(child)
            return str(child)

        self._calls += 1
        try:
            yield how_it_ended
            self._has_answered = True
        finally:
            self._calls -= 1
            self._last_use = time.monotonic()
            if self._dead.is_set():
                self._notify()

    async def session(self) -> Session:
        """Return the session, after a start if the server is not up.

        Raises:
            RefusedError: It is not up, and no start is near.
        """
        if self._live is not None:
            return self._live
        failures = self._failures
        self._waiters += 1
        self._notify()
        try:
            async with asyncio.timeout(self._pace.start):
                await self._until(lambda: self._live is not None or self._failures > failures or self._is_far)
        except TimeoutError:
            self._log.debug("a call has waited for it in vain")
        finally:
            self._waiters -= 1
        if self._live is not None:
            return self._live
        left = self._retry_at - time.monotonic()
        when = ""
        if self._state == "stopped":
            when = "; it is not started again"
        elif self._may_be_retried and left > 0:
            when = f"; it can be started again in {max(1, round(left))} s"
        why = self._trouble or f"it did not start within {self._pace.start:g} s"
        raise RefusedError(f"The server of {self.name} is not running ({why}){when}", "paused")

    @property
    def _is_far(self) -> bool:
        """Whether no start is near."""
        left = self._retry_at - time.monotonic()
        return (
            self._needs_login
            or self._state == "stopped"
            or (self._state == "waiting" and left > self._pace.worth_waiting)
        )

    async def connected(self) -> None:
        """Start the server if it is not up, and wait until what it lists is known.

        Raises:
            RefusedError: As `session` does.
        """
        await self.session()
        await self._until(lambda: self._is_settled or self._live is None)

    def lost(self, session: Session, why: str) -> None:
        """Note that the other side knows this session no longer. A new one is started."""
        if session is self._session:
            self._session = None
            self._trouble = why
            self._dead.set()
            self._set("starting")
