"""Reports the end of every request and the changes of the host to the observers of the served plugins."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, get_args
from weakref import WeakKeyDictionary

from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND
from pydantic import ValidationError

from mcp_host.api import EndReason, Event, Observer, PluginChanged, RequestEnded
from mcp_host.catalog.catalog import Catalog
from mcp_host.catalog.generations import Generations
from mcp_host.catalog.served import Served
from mcp_host.containment.runner import Work, running
from mcp_host.plugins.plugin import LoadedPlugin

logger = logging.getLogger(__name__)

_ERRORS: Final = frozenset(get_args(EndReason)[:5])
"""The reasons of requests that began to run. The other reasons are refusals."""

_LONGEST_NAME = 200
"""The most characters of a name that nothing is served under."""

_MOST_SLOW = 3
"""After so many slow events, an observer gets no more."""

_current: ContextVar[Ending | None] = ContextVar("mcp_host.ending", default=None)


class Ending:
    """What is known about one request. Its event is sent when its outermost `with` block ends.

    An exception that ends a block sets the `reason`, unless the block has set one.
    """

    __slots__ = (
        "_depth",
        "_method",
        "_observers",
        "_protocol_version",
        "_started",
        "_token",
        "error_id",
        "name",
        "nested",
        "plugin",
        "reason",
    )

    def __init__(self, observers: Observers | None, method: str, protocol_version: str | None) -> None:
        self._observers = observers
        self._method = method
        self._protocol_version = protocol_version
        self._started = time.perf_counter() if observers is not None else 0.0
        self._depth = 0
        self._token: Token[Ending | None] | None = None
        self.nested = False
        self.name: str | None = None
        self.plugin: str | None = None
        self.reason: EndReason | None = None
        self.error_id: str | None = None

    def asked_for(self, name: str) -> None:
        """Note the name that the client asked for."""
        if self._observers is not None:
            self.name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."

    def of(self, served: Served) -> None:
        """Note the item that is served under that name."""
        self.name, self.plugin = served.name, served.plugin.name

    def crashed(self, error_id: str) -> None:
        self.reason, self.error_id = "crashed", error_id

    def __enter__(self) -> Ending:
        if not self._depth and self._observers is not None:
            self._token = _current.set(self)
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._observers is None:
            return
        if error is not None and self.reason is None:
            self.reason = _reason_of(error)
        if not self._depth:
            assert self._token is not None
            _current.reset(self._token)
            self._observers.emit(self._event())

    def _event(self) -> RequestEnded:
        return RequestEnded(
            method=self._method,
            name=self.name,
            plugin=self.plugin,
            outcome="ok" if self.reason is None else "error" if self.reason in _ERRORS else "refused",
            reason=self.reason,
            error_id=self.error_id,
            seconds=time.perf_counter() - self._started,
            protocol_version=self._protocol_version,
            nested=self.nested,
        )


def _reason_of(error: BaseException) -> EndReason:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, ValidationError):
        return "bad-arguments"
    if not isinstance(error, MCPError):
        return "crashed"
    if error.code == METHOD_NOT_FOUND:
        return "unknown"
    return "bad-arguments" if error.code == INVALID_PARAMS else "failed"


class Observers:
    """The host's own observers, and after them the observers of the current generation.

    They run in the event loop, one after another. If an observer blocks, the watchdog names its plugin. If it raises,
    its first exception is logged. If it takes longer than `slow` seconds for three events, it gets no more, and its
    plugin's record gets a warning. `after` is called with a plugin when its code has run.
    """

    def __init__(
        self,
        generations: Generations,
        *,
        slow: float,
        after: Callable[[LoadedPlugin], None] | None = None,
    ) -> None:
        self._generations = generations
        self._slow = slow
        self._after = after or (lambda plugin: None)
        self._own: list[Observer] = []
        self._watched: list[_Watched] = []
        self._watched_in: Catalog | None = None
        self._sent: WeakKeyDictionary[LoadedPlugin, PluginChanged] = WeakKeyDictionary()

    def add(self, observer: Observer) -> None:
        """Add an observer of the host. It must not raise."""
        self._own.append(observer)

    @property
    def any(self) -> bool:
        """Whether there are observers."""
        return bool(self._own or self._generations.current.observers)

    def request(self, method: str, protocol_version: str | None) -> Ending:
        """Return the notes of a request that begins."""
        return Ending(self if self.any else None, method, protocol_version)

    def part(self, method: str, protocol_version: str | None, *, nested: bool) -> Ending:
        """Return the notes of the current request, or new ones if there is no such request or this one is `nested`."""
        current = _current.get()
        if current is not None and not nested:
            return current
        ending = self.request(method, protocol_version)
        ending.nested = nested
        return ending

    def plugins(self, plugins: Iterable[LoadedPlugin]) -> None:
        """Send an event for each plugin that has reached another stage or has failed since its last event."""
        for plugin in plugins:
            record = plugin.record
            event = PluginChanged(
                plugin=plugin.name,
                stage=str(record.stage) if record.stage else None,
                problem=record.problem.what if record.problem else None,
                error_id=record.error_id if record.problem else None,
            )
            if self._sent.get(plugin) != event:
                self._sent[plugin] = event
                self.emit(event)

    def emit(self, event: Event) -> None:
        """Call every observer with an event. This never raises."""
        for own in self._own:
            own(event)
        for watched in self._watched_now():
            if not watched.left_out:
                watched.call(event)
                self._after(watched.plugin)

    def _watched_now(self) -> list[_Watched]:
        catalog = self._generations.current
        if catalog is not self._watched_in:
            known = {(watched.plugin, id(watched.observer)): watched for watched in self._watched}
            self._watched = [
                known.get((plugin, id(observer))) or _Watched(plugin, observer, self._slow)
                for plugin, observer in catalog.observers
            ]
            self._watched_in = catalog
        return self._watched


class _Watched:
    """One observer of a plugin, with its failures and its slow calls."""

    def __init__(self, plugin: LoadedPlugin, observer: Observer, slow: float) -> None:
        self.plugin = plugin
        self.observer = observer
        self._slow = slow
        self._work = Work(plugin, "observer")
        self._failed = False
        self._slow_calls = 0

    @property
    def left_out(self) -> bool:
        return self._slow_calls >= _MOST_SLOW

    def call(self, event: Event) -> None:
        started = time.perf_counter()
        try:
            with running(self._work):
                returned: object = self.observer(event)
            if inspect.iscoroutine(returned):
                returned.close()
                raise TypeError("it returned a coroutine; observers are plain functions")
        except BaseException as error:
            # A SystemExit would end the process, and a CancelledError the request.
            self._fail(error)
        if time.perf_counter() - started > self._slow:
            self._slow_calls += 1
            if self.left_out:
                self.plugin.warn(
                    f"its observer took longer than {self._slow:g} s for {_MOST_SLOW} events, and every client had to "
                    "wait: it gets no more events",
                    hint="put the event into a queue, and do the work in a thread or in a task of the lifespan",
                )

    def _fail(self, error: BaseException) -> None:
        if not self._failed:
            self._failed = True
            logger.error(
                "an observer of plugin %s raised %s; its next exceptions are not logged",
                self.plugin.name,
                type(error).__name__,
                exc_info=error,
            )
            self.plugin.warn(f"its observer raised {type(error).__name__}; the log has the traceback")
