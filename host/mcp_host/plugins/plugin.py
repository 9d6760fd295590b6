"""A plugin that is being loaded or served, and what it contributes."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcp_host.api import (
    Check,
    Command,
    Completion,
    HttpRoute,
    Middleware,
    Observer,
    PluginContext,
    Prompt,
    Resource,
    SchemaTool,
    Tool,
)
from mcp_host.config import CONNECTED, Limits, PluginSection
from mcp_host.config.origins import dotted
from mcp_host.config.secrets import Redactor
from mcp_host.errors import ErrorCode, HostError, Problem, shortened
from mcp_host.plugins.bulkhead import Bulkhead
from mcp_host.plugins.records import ConnectionState, PluginRecord, Stage
from mcp_host.system.tracebacks import foreign_frames, place_of

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contributions:
    """What a plugin's hooks returned, in their order. The types are checked."""

    tools: tuple[Tool | SchemaTool, ...] = ()
    resources: tuple[Resource, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    completions: tuple[Completion, ...] = ()
    middleware: tuple[Middleware, ...] = ()
    observers: tuple[Observer, ...] = ()
    routes: tuple[HttpRoute, ...] = ()
    checks: tuple[Check, ...] = ()
    commands: tuple[Command, ...] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[Any] | None] = lambda: None
    token_verifier: TokenVerifier | None = None


@dataclass(eq=False)
class LoadedPlugin:
    """A plugin that is being loaded or served: its table in the TOML, its record, its settings, its contributions.

    `default_timeout` is the deadline, in seconds, of items without their own. All calls go through `bulkhead`.
    `left_tasks` are the tasks that still ran when it had stopped. `ending` means that the whole host is about to end.
    `collect` calls its hooks again. A plugin that is another server has a `connection`, which `connect` starts, and may
    have `instructions` for models. `module` is the name of the module that it was imported from, and `imported` has
    those that were imported with it. `by_file` means that the command line names its file, and there is no table to
    write into. Plugins are compared by identity: a plugin that a reload does not change stays the same object.
    """

    name: str
    section: PluginSection
    record: PluginRecord
    settings: Any = None
    context: PluginContext[Any] | None = None
    contributions: Contributions = field(default_factory=Contributions)
    state: Any = None
    redactor: Redactor = field(default_factory=Redactor)
    limits: Limits = field(default_factory=Limits)
    default_timeout: float | None = None
    debug: bool = False
    by_file: bool = False
    module: str | None = None
    imported: frozenset[str] = field(default=frozenset(), repr=False)
    left_tasks: list[str] = field(default_factory=list)
    ending: bool = False
    _left_out: set[str] = field(default_factory=set, repr=False)
    collect: Callable[[], Contributions] = field(default=Contributions, repr=False)
    connection: Callable[[], ConnectionState] | None = field(default=None, repr=False)
    connect: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    instructions: Callable[[], str | None] = field(default=lambda: None, repr=False)
    bulkhead: Bulkhead = field(init=False)

    def __post_init__(self) -> None:
        self.bulkhead = Bulkhead(self.name, self.limits)

    @cached_property
    def runs_elsewhere(self) -> bool:
        """Whether none of its code runs in this process."""
        return self.section.source in CONNECTED

    def reach(self, stage: Stage) -> None:
        self.record = replace(self.record, stage=stage)

    def fail(self, error: HostError) -> None:
        """Record an error. After it, the plugin serves nothing."""
        redact = self.redactor.redact
        problem = replace(
            error.problem, what=shortened(redact(error.what)), where=error.where or self.where, hint=redact(error.hint)
        )
        self.record = replace(self.record, problem=problem, error_id=self._error_id)
        cause = error.__cause__ if self.debug or logger.isEnabledFor(logging.DEBUG) else None
        if self.by_file and cause is None:
            return  # nothing is served without it, so the command ends with the same problem
        logger.error(
            "plugin %s (error %s): %s",
            self.name,
            self.record.error_id,
            problem.text(one_line=True),
            exc_info=(type(cause), cause, foreign_frames(cause)) if cause is not None else None,
        )

    def warn(self, what: str, *, hint: str = "", code: str = ErrorCode.OTHER) -> None:
        """Add a warning to the record and the log, once."""
        redact = self.redactor.redact
        problem = Problem(shortened(redact(what)), dotted(("plugins", self.name)), redact(hint), code)
        if code == ErrorCode.LEFT_OUT:
            self._left_out.add(problem.what)
        if any(warning.what == problem.what for warning in self.record.warnings):
            return
        self.record = replace(self.record, warnings=(*self.record.warnings, problem), error_id=self._error_id)
        logger.warning("plugin %s (error %s): %s", self.name, self.record.error_id, problem.text(one_line=True))

    def take_back(self, code: ErrorCode) -> None:
        """Remove the warnings with this code from the record, because they are no longer true."""
        left = tuple(warning for warning in self.record.warnings if warning.code != code)
        self.record = replace(self.record, warnings=left)

    @contextmanager
    def listed_again(self) -> Iterator[None]:
        """Remove the earlier warnings about items that are left out which the block does not repeat."""
        self._left_out.clear()
        yield
        repeated = self._left_out
        left = tuple(each for each in self.record.warnings if each.code != ErrorCode.LEFT_OUT or each.what in repeated)
        self.record = replace(self.record, warnings=left)

    @property
    def _error_id(self) -> str:
        return self.record.error_id or secrets.token_hex(4)

    @property
    def record_now(self) -> PluginRecord:
        """The record, with the current health if the plugin serves."""
        if self.record.stage != Stage.SERVING or self.record.failed:
            return self.record
        connection = self.connection() if self.connection is not None else None
        return replace(self.record, health=self.bulkhead.health, connection=connection)

    @property
    def alive(self) -> bool:
        return not self.record.failed

    @property
    def own_context(self) -> PluginContext[Any]:
        """The plugin's context, which exists from the stage `configured` on."""
        assert self.context is not None
        return self.context

    @property
    def where(self) -> str:
        """The plugin's table in the TOML and its source, for errors."""
        return f"{dotted(('plugins', self.name))} ({self.record.source})"

    def where_of(self, error: BaseException) -> str:
        """`where`, and the file and line of the plugin's code that raised an error of another kind, if it is known."""
        place = "" if isinstance(error, HostError) else place_of(error)
        return f"{self.where}, {place}" if place else self.where

    @property
    def table(self) -> str:
        """The header of the plugin's table in the TOML, for hints. The line to write there follows it."""
        return f"[{dotted(('plugins', self.name))}]"
