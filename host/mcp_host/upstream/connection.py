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
from typing import Any, Protocol

import anyio
import mcp.types as types
from mcp.client.session import ClientSession
from mcp.client.subscriptions import SubscriptionLost, listen
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_host._version import __version__
from mcp_host.errors import HostError, RefusedError, describe_validation, text_of
from mcp_host.plugins.records import ConnectionState, State
from mcp_host.upstream.child import ChildState, Streams
from mcp_host.upstream.definitions import Definitions, list_all
from mcp_host.upstream.wire import Wire, means_closed


@dataclass(frozen=True)
class Pace:
    """The times of a connection, in seconds, and how often its server may end."""

    start: float = 25.0
    """For a server to start, to agree on a protocol version, and to list what it has."""

    first_start: float = 4.0
    """The host waits so long for servers whose lists it does not know. What comes later is served when it comes."""

    first_delay: float = 0.5
    longest_delay: float = 60.0
    """The time before a new start, which doubles with each end."""

    healthy: float = 60.0
    """After so long a life, or after an answer, the time before a new start is short again."""

    most_ends: int = 30
    within: float = 3600.0
    """So many ends within this time, and it is not started again."""

    worth_waiting: float = 1.0
    """A call waits for a start that is at most so far away."""

    debounce: float = 0.1
    longest_debounce: float = 10.0
    """Notices of changed lists within this time are one. It doubles while the lists are the same."""


_LISTEN_AGAIN = 1.0
"""Seconds before a stream of changes is opened again."""


class UnreachableError(HostError):
    """A remote server cannot be reached. It may come back."""


class NotLoggedInError(UnreachableError):
    """Somebody has to log in to a remote server. `wait` returns when that may have happened."""

    def __init__(self, what: str, *, hint: str, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__(what, hint=hint)
        self.wait = wait


class Asked(Protocol):
    """Answers what the other server asks, and takes its log messages."""

    async def elicit(self, context: Any, params: Any) -> Any: ...

    async def sample(self, context: Any, params: Any) -> Any: ...

    async def list_roots(self, context: Any) -> Any: ...

    async def log(self, params: types.LoggingMessageNotificationParams) -> None: ...


Prepare = Callable[[], Awaitable[None]]
"""Makes what a server needs before it can be started. This may take minutes."""

Connect = Callable[[ChildState], AbstractAsyncContextManager[Streams]]
"""Opens the transport. It notes what it knows about a child process."""


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
    must_start: bool = False
    """Start it with the host, and wait for that however long it takes, because the host ends without the server."""
    patient: bool = False
    """Wait for the first start of a server of which nothing is known, however long it takes."""
    pace: Pace = Pace()


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
        self.known = known
        self._source = source
        self._pace = source.pace
        self._log = log
        self._asked = asked
        self._on_lists = on_lists
        self._on_updated = on_updated
        self._on_trouble = on_trouble
        self._session: ClientSession | None = None
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
        self._relist = asyncio.Event()
        self._dead = asyncio.Event()
        self._calls = 0
        self._last_call = time.monotonic()
        self._watched: dict[str, asyncio.Task[None] | None] = {}
        self._context = contextvars.copy_context()

    # What others see

    @property
    def state(self) -> ConnectionState:
        session, known, child = self._live, self.known, self._child
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
    def _live(self) -> ClientSession | None:
        """The session, if the server has not ended it."""
        gone = self._child.closed or self._wire is None or self._wire.ended.is_set()
        return None if gone else self._session

    @property
    def _is_wanted(self) -> bool:
        needed = self._source.must_start and not self._ups
        return needed or not self._source.is_lazy or self.known is None or bool(self._waiters or self._watched)

    @property
    def is_modern(self) -> bool:
        """Whether the server speaks 2026-07-28, as far as is known."""
        session = self._live
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
            if self.known is None or self._source.must_start:
                self._is_first = True
                await self._first_start()
                self._is_first = False
            yield self
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    @property
    def _fails_with_its_first_start(self) -> bool:
        return self._is_first and not self._ups and (self._source.must_start or not self._may_come_back)

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
            if waits:
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
                trouble = self._explained(error)
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

    def _explained(self, error: Exception) -> str:
        """Return one line about why the server ended or did not start."""
        inner = innermost(error)
        if isinstance(inner, HostError):
            return inner.what
        closed = isinstance(inner, ConnectionError) or (isinstance(inner, MCPError) and means_closed(inner))
        if closed and self._child.pid is not None:
            return str(self._child)
        if isinstance(inner, TimeoutError | ConnectionError):
            return str(inner)
        if isinstance(inner, ValidationError):
            return f"its answer does not fit the protocol: {describe_validation(inner)}"
        if self._child.answered:
            return self._child.answered
        return inner.message.partition("\n")[0] if isinstance(inner, MCPError) else text_of(inner)

    async def _session_of_its_life(self) -> str | None:
        """Open a session and keep it until it ends. Return why it ended, or None if nobody used it.

        Raises:
            Exception: It did not start.
        """
        async with AsyncExitStack() as stack:
            read, write = await stack.enter_async_context(self._source.connect(self._child))
            self._wire = wire = Wire(JSONRPCDispatcher(read, write), self._log)
            session = await stack.enter_async_context(self._new_session(wire))
            ended = asyncio.create_task(wire.ended.wait(), name="end of the session")
            helpers: list[asyncio.Task[Any]] = [ended]
            try:
                ready = asyncio.create_task(self._greet(session, helpers), name="start of the session")
                helpers.append(ready)
                await asyncio.wait({ended, ready}, timeout=self._pace.start, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not (ready.done() and not ready.cancelled() and ready.exception() is None):
                    await self._exit_status(self._child)
                    raise ConnectionError(str(self._child))
                if not ready.done():
                    raise TimeoutError(f"it did not answer within {self._pace.start:g} s")
                await self._learn(ready.result(), session)
                helpers.append(asyncio.create_task(self._follow(session), name="lists of the session"))
                for uri in list(self._watched):
                    self._watch(session, uri)
                return await self._lived(ended)
            finally:
                self._session = None
                watching = [task for task in self._watched.values() if task is not None]
                self._watched = dict.fromkeys(self._watched)
                for task in (*helpers, *watching):
                    task.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.gather(*helpers, *watching, return_exceptions=True)

    async def _learn(self, known: Definitions, session: ClientSession) -> None:
        before, self.known = self.known, known
        self._session = session
        self._last_call = time.monotonic()
        if before is None:
            await self._report_lists(known)
        self._ups += 1
        self._set("up")
        self._on_trouble(None)
        if before is not None and not (
            known.lists_the_same(before) and known.protocol_version == before.protocol_version
        ):
            await self._report_lists(known)
        self._is_settled = True
        self._notify()

    async def _report_lists(self, known: Definitions) -> None:
        try:
            await self._on_lists(known)
        except Exception:
            self._log.exception("what it lists now cannot be served")

    async def _lived(self, ended: asyncio.Task[Any]) -> str | None:
        """Wait for the end of the session. Return why it ended, or None if that is because nobody has used it."""
        dead = asyncio.create_task(self._dead.wait(), name="end of the server")
        idle = self._source.idle_timeout
        try:
            while True:
                in_use = self._calls or self._watched
                left = idle if in_use or idle is None else max(0.0, self._last_call + idle - time.monotonic())
                done, _ = await asyncio.wait({ended, dead}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if dead in done:
                    # Other calls of this session get the same answer. They are given the time for it.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._pace.worth_waiting):
                            await self._until(lambda: self._calls <= self._waiters)
                if done:
                    return await self._ended_how()
                unused = not self._calls and not self._watched and not self._waiters
                if idle is not None and unused and time.monotonic() - self._last_call >= idle:
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

    async def _greet(self, session: ClientSession, helpers: list[asyncio.Task[Any]]) -> Definitions:
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
            helpers.append(asyncio.create_task(self._listen(session, None), name="changes of the lists"))
        return await list_all(session, self._log)

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

    def list_again(self) -> None:
        """Read the lists again soon, as after a notice of a change."""
        self._relist.set()

    async def _follow(self, session: ClientSession) -> None:
        """List again when the server reports a change."""
        wait = self._pace.debounce
        while True:
            await self._relist.wait()
            await asyncio.sleep(wait)
            self._relist.clear()
            try:
                known = await list_all(session, self._log)
            except Exception as error:
                if self._live is None:
                    return
                self._log.warning("its lists have changed and cannot be read: %s", self._explained(error))
                continue
            before, self.known = self.known, known
            if before is not None and known.lists_the_same(before):
                wait = min(wait * 2, self._pace.longest_debounce)
                continue
            wait = self._pace.debounce
            await self._report_lists(known)

    async def _listen(self, session: ClientSession, uri: str | None) -> None:
        """Follow the changes of the lists, or of one resource (2026-07-28). A stream that ends is opened again."""
        wait = _LISTEN_AGAIN
        while True:
            if uri is None:
                opened = listen(
                    session, tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
                )
            else:
                opened = listen(session, resource_subscriptions=[uri])
            began = time.monotonic()
            try:
                async with opened as subscription:
                    async for _ in subscription:
                        if uri is None:
                            self._relist.set()
                        # A change of a resource also comes to `_noticed`.
            except MCPError as error:
                if error.code in (METHOD_NOT_FOUND, INVALID_PARAMS, INVALID_REQUEST):
                    self._log.debug("it cannot be listened to: %s", error)
                    return
                self._log.debug("listening to it failed: %s", error)
            except SubscriptionLost as error:
                self._log.debug("listening to it ended: %s", error)
            wait = _LISTEN_AGAIN if time.monotonic() - began > self._pace.healthy else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._pace.longest_delay)
            # Nothing was kept for us meanwhile.
            if uri is None:
                self._relist.set()
            else:
                await self._on_updated(uri)

    async def watch(self, uri: str) -> None:
        """Ask the server to report changes of a resource, now or when it is up."""
        if uri in self._watched:
            return
        self._watched[uri] = None
        if self._live is not None:
            self._watch(self._live, uri)
        else:
            self._notify()

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
            self._has_answered = True
        finally:
            self._calls -= 1
            self._last_call = time.monotonic()
            if self._dead.is_set():
                self._notify()

    async def session(self) -> ClientSession:
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

    def lost(self, session: ClientSession, why: str) -> None:
        """Note that the other side knows this session no longer. A new one is started."""
        if session is self._session:
            self._session = None
            self._trouble = why
            self._dead.set()
            self._set("starting")


def innermost(error: BaseException) -> BaseException:
    """Return the first exception in a group of groups, or the exception itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
