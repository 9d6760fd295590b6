"""The one connection to another server: started when it is wanted, kept, started again when it ends, and listed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import mcp.types as types
from mcp.client.session import ClientSession
from mcp.client.subscriptions import SubscriptionLost, listen
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.types import CONNECTION_CLOSED
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_host._version import __version__
from mcp_host.errors import HostError, RefusedError, text_of
from mcp_host.plugins.records import ConnectionState, State
from mcp_host.upstream.child import ChildState, Streams
from mcp_host.upstream.definitions import Definitions, list_all
from mcp_host.upstream.wire import Wire

START_TIMEOUT: Final = 25.0
"""Seconds for a server to start, to agree on a protocol version, and to list what it has."""

FIRST_START: Final = 4.0
"""Seconds that the host waits for servers whose lists it does not know. What comes later is served when it comes."""

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 60.0
_HEALTHY = 60.0
"""Seconds of life after which the delays before a new start begin anew."""

_MOST_ENDS, _WITHIN = 30, 3600.0
"""So many ends within so many seconds, and it is not started again."""

_WORTH_WAITING = 1.0
"""A call waits for a start that is at most so many seconds away."""

_DEBOUNCE = 0.1
"""Seconds in which notices of changed lists are one."""


class Asked(Protocol):
    """Answers what the other server asks, and takes its log messages."""

    async def elicit(self, context: Any, params: Any) -> Any: ...

    async def sample(self, context: Any, params: Any) -> Any: ...

    async def list_roots(self, context: Any) -> Any: ...

    async def log(self, params: types.LoggingMessageNotificationParams) -> None: ...


Connect = Callable[[ChildState], AbstractAsyncContextManager[Streams]]
"""Opens the transport. It notes what it knows about a child process."""


Prepare = Callable[[], Awaitable[None]]
"""Makes what a server needs before it can be started. This may take minutes."""


@dataclass(frozen=True)
class Source:
    """Where the other server is, and how its connection is treated. Times are in seconds."""

    connect: Connect
    prepare: Prepare | None = None
    legacy: bool = False
    """Use the handshake, whatever else the server speaks."""
    is_lazy: bool = True
    asks: bool = True
    idle_timeout: float | None = None
    patient: bool = False
    """Wait for the first start however long it takes."""


class Connection:
    """Keeps a session in a task of its own, and gives it to calls.

    `on_lists` gets what the server lists when it is different from what is known. `on_updated` gets the URI of each
    resource that has changed.
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
        on_trouble: Callable[[str], None],
    ) -> None:
        self.name = name
        self.known = known
        self._source = source
        self._log = log
        self._asked = asked
        self._on_lists = on_lists
        self._on_updated = on_updated
        self._on_trouble = on_trouble
        self._session: ClientSession | None = None
        self._child = ChildState()
        self._state: State = "cold"
        self._trouble: str | None = None
        self._retry_at = 0.0
        self._starts = 0
        self._ends: deque[float] = deque(maxlen=_MOST_ENDS)
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._relist = asyncio.Event()
        self._dead = asyncio.Event()
        self._calls = 0
        self._last_call = time.monotonic()
        self._watched: dict[str, asyncio.Task[None] | None] = {}
        self._context = contextvars.copy_context()

    # What others see

    @property
    def state(self) -> ConnectionState:
        session, known = self._session, self.known
        return ConnectionState(
            state=self._state,
            protocol_version=session.protocol_version if session else None,
            server=f"{known.server_name} {known.server_version}".strip() if known else None,
            restarts=max(0, self._starts - 1),
            pid=self._child.pid if session is not None else None,
            retry_in=max(0.0, self._retry_at - time.monotonic()) if self._state == "waiting" else None,
            last_end=self._trouble,
        )

    @property
    def is_modern(self) -> bool:
        """Whether the server speaks 2026-07-28, as far as is known."""
        session = self._session
        version = session.protocol_version if session is not None else self.known and self.known.protocol_version
        return version in MODERN_PROTOCOL_VERSIONS

    def in_background(self, doing: Any, name: str) -> asyncio.Task[Any]:
        """Start a task that belongs to the plugin, and not to the call that starts it."""
        return asyncio.get_running_loop().create_task(doing, name=name, context=self._context.copy())

    # Its life

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[Connection]:
        """Keep the connection for the block. Wait for the first start where nothing is known of the server.

        Raises:
            HostError: It ended before it was up, or a server that the host needs did not start in time.
        """
        self._context = contextvars.copy_context()
        keeper = asyncio.create_task(self._keep(), name=f"connection of plugin {self.name}")
        try:
            if self.known is None or not self._source.is_lazy:
                self._wanted.set()
            if self.known is None:
                await self._first_start()
            yield self
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _first_start(self) -> None:
        wait = START_TIMEOUT if self._source.patient else FIRST_START
        if self._source.patient:
            await self._until(lambda: self._state not in ("cold", "preparing"))
        try:
            async with asyncio.timeout(wait):
                await self._until(lambda: self._state not in ("cold", "preparing", "starting"))
        except TimeoutError:
            if self._source.patient:
                raise HostError(f"the server did not start within {wait:g} s") from None
            return
        if self._session is None:
            raise HostError(f"the server did not start: {self._trouble}")

    def _set(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, there: Callable[[], bool]) -> None:
        while not there():
            await self._changed.wait()

    async def _keep(self) -> None:
        delay = _FIRST_DELAY
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            self._child, self._dead = ChildState(), asyncio.Event()
            self._starts += 1
            try:
                if self._source.prepare is not None:
                    self._set("preparing")
                    await self._source.prepare()
                self._set("starting")
                idle = await self._session_of_its_life()
                trouble = None if idle else str(self._child)
            except Exception as error:
                trouble = self._explained(error)
            finally:
                self._session = None
            if trouble is None:
                self._log.debug("nobody has called it for a while; it is ended until the next call")
                self._wanted.clear()
                self._set("cold")
                continue
            was_up = self._state == "up"
            self._trouble = trouble
            self._ends.append(time.monotonic())
            if len(self._ends) == _MOST_ENDS and self._ends[-1] - self._ends[0] < _WITHIN:
                self._on_trouble(f"it has ended {_MOST_ENDS} times within an hour and is not started again: {trouble}")
                self._set("stopped")
                return
            delay = _FIRST_DELAY if was_up and time.monotonic() - began > _HEALTHY else delay
            wait = delay * random.uniform(0.75, 1.25)
            delay = min(delay * 2, _LONGEST_DELAY)
            self._retry_at = time.monotonic() + wait
            self._log.warning("%s; it can be started again in %.1f s", trouble, wait)
            if self._source.is_lazy and self.known is not None:
                self._wanted.clear()
            self._set("waiting")
            await asyncio.sleep(wait)

    def _explained(self, error: Exception) -> str:
        inner: BaseException = error
        while isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        closed = isinstance(inner, ConnectionError) or (isinstance(inner, MCPError) and inner.code == CONNECTION_CLOSED)
        return str(self._child) if closed and self._child.returncode is not None else text_of(inner)

    async def _session_of_its_life(self) -> bool:
        """Open a session and keep it until it ends. Return whether that is because nobody used it."""
        async with AsyncExitStack() as stack:
            read, write = await stack.enter_async_context(self._source.connect(self._child))
            wire = Wire(JSONRPCDispatcher(read, write), self._log)
            session = await stack.enter_async_context(self._new_session(wire))
            ended = asyncio.create_task(wire.ended.wait(), name="end of the session")
            helpers: list[asyncio.Task[Any]] = [ended]
            try:
                ready = asyncio.create_task(self._greet(session), name="start of the session")
                helpers.append(ready)
                await asyncio.wait({ended, ready}, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not (ready.done() and not ready.cancelled() and ready.exception() is None):
                    await self._exit_status(self._child)
                    raise ConnectionError(str(self._child))
                if not ready.done():
                    raise TimeoutError(f"it did not answer within {START_TIMEOUT:g} s")
                await self._learn(ready.result(), session)
                helpers.append(asyncio.create_task(self._follow(session), name="lists of the session"))
                if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
                    helpers.append(asyncio.create_task(self._listen(session, None), name="changes of the lists"))
                for uri in list(self._watched):
                    self._watch(session, uri)
                return await self._lived(ended)
            finally:
                self._session = None
                watching = [task for task in self._watched.values() if task is not None]
                self._watched = dict.fromkeys(self._watched)
                for task in (*helpers, *watching):
                    task.cancel()
                await asyncio.gather(*helpers, *watching, return_exceptions=True)

    async def _learn(self, known: Definitions, session: ClientSession) -> None:
        before, self.known = self.known, known
        self._session = session
        self._last_call = time.monotonic()
        if before is None or not known.lists_the_same(before) or known.protocol_version != before.protocol_version:
            await self._on_lists(known)
        self._set("up")

    async def _lived(self, ended: asyncio.Task[Any]) -> bool:
        """Wait for the end of the session. Return whether it is ended here because nobody has used it for a while."""
        dead = asyncio.create_task(self._dead.wait(), name="end of the server")
        try:
            while True:
                idle = self._source.idle_timeout
                left = None if idle is None else max(0.0, self._last_call + idle - time.monotonic())
                if self._calls or self._watched:
                    left = idle
                done, _ = await asyncio.wait({ended, dead}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    await self._exit_status(self._child)
                    return False
                unused = not self._calls and not self._watched
                if idle is not None and unused and time.monotonic() - self._last_call >= idle:
                    return True
        finally:
            dead.cancel()

    @staticmethod
    async def _exit_status(child: ChildState) -> None:
        """Give the transport a moment to learn how its process ended."""
        if child.pid is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                await child.ended.wait()

    def _new_session(self, wire: Wire) -> ClientSession:
        asks = self._source.asks
        sampling = types.SamplingCapability(
            tools=types.SamplingToolsCapability(), context=types.SamplingContextCapability()
        )
        dispatcher: Any = wire
        return ClientSession(
            dispatcher=dispatcher,
            client_info=types.Implementation(name="mcp-host", version=__version__),
            elicitation_callback=self._asked.elicit if asks else None,
            sampling_callback=self._asked.sample if asks else None,
            sampling_capabilities=sampling if asks else None,
            list_roots_callback=self._asked.list_roots if asks else None,
            logging_callback=self._asked.log,
            message_handler=self._noticed,
        )

    async def _greet(self, session: ClientSession) -> Definitions:
        was_legacy = self.known is not None and self.known.protocol_version not in ("", *MODERN_PROTOCOL_VERSIONS)
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
            except (MCPError, ValidationError, RuntimeError):
                await session.initialize()
        return await list_all(session)

    # What it reports

    async def _noticed(self, message: Any) -> None:
        match message:
            case (
                types.ToolListChangedNotification()
                | types.PromptListChangedNotification()
                | types.ResourceListChangedNotification()
            ):
                self._relist.set()
            case types.ResourceUpdatedNotification(params=params):
                await self._on_updated(str(params.uri))

    async def _follow(self, session: ClientSession) -> None:
        """List again when the server reports a change."""
        while True:
            await self._relist.wait()
            await asyncio.sleep(_DEBOUNCE)
            self._relist.clear()
            try:
                known = await list_all(session)
            except (MCPError, ValidationError) as error:
                self._log.warning("its lists have changed and cannot be read: %s", text_of(error))
                continue
            before, self.known = self.known, known
            if before is None or not known.lists_the_same(before):
                await self._on_lists(known)

    async def _listen(self, session: ClientSession, uri: str | None) -> None:
        """Follow the changes of the lists, or of one resource (2026-07-28)."""
        while True:
            if uri is None:
                opened = listen(
                    session, tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
                )
            else:
                opened = listen(session, resource_subscriptions=[uri])
            try:
                async with opened as subscription:
                    async for _ in subscription:
                        if uri is None:
                            self._relist.set()
                        # A change of a resource also comes to `_noticed`.
                return
            except MCPError as error:
                self._log.debug("it cannot be listened to: %s", error)
                return
            except SubscriptionLost:
                # Nothing was kept for us meanwhile.
                self._relist.set()
                await asyncio.sleep(1)

    async def watch(self, uri: str) -> None:
        """Ask the server to report changes of a resource, now or when it is up."""
        if uri in self._watched:
            return
        self._watched[uri] = None
        if self._session is not None:
            self._watch(self._session, uri)
        else:
            self._wanted.set()

    def _watch(self, session: ClientSession, uri: str) -> None:
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._watched[uri] = self.in_background(self._listen(session, uri), f"changes of {uri}")
            return
        resources = self.known.capabilities.resources if self.known is not None else None
        if resources is not None and resources.subscribe:
            self._watched[uri] = self.in_background(self._subscribe(session, uri), f"subscription of {uri}")

    async def _subscribe(self, session: ClientSession, uri: str) -> None:
        request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri=uri))
        try:
            await session.send_request(request, types.EmptyResult)
        except MCPError as error:
            self._log.debug("%s cannot be subscribed to: %s", uri, error)

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
        finally:
            self._calls -= 1
            self._last_call = time.monotonic()

    async def session(self) -> ClientSession:
        """Return the session, after a start if the server is not up.

        Raises:
            RefusedError: It is not up, and no start is near.
        """
        if self._session is not None:
            return self._session
        self._wanted.set()
        left = self._retry_at - time.monotonic()
        if self._state == "stopped" or (self._state == "waiting" and left > _WORTH_WAITING):
            when = "it is not started again" if self._state == "stopped" else f"it is tried again in {left:.0f} s"
            raise RefusedError(f"The server of {self.name} is not running ({self._trouble}); {when}", "paused")
        starts = self._starts
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._until(
                    lambda: (
                        self._session is not None
                        or (self._state in ("waiting", "stopped") and self._starts > starts)
                        or self._state == "stopped"
                    )
                )
        except TimeoutError:
            pass
        if self._session is None:
            why = self._trouble or f"it did not start within {START_TIMEOUT:g} s"
            raise RefusedError(f"The server of {self.name} is not running ({why})", "paused")
        return self._session

    def lost(self, session: ClientSession, why: str) -> None:
        """Note that the other side knows this session no longer. A new one is started."""
        if session is self._session:
            self._session = None
            self._trouble = why
            self._set("starting")
            self._dead.set()
