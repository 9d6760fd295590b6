"""The state of each plugin: in full for the log and the command line, without the texts of failures for clients."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from mcp_host.config.origins import dotted
from mcp_host.errors import Problem

_LOCAL_HINT = "mcp-host check   (shows why, where the server runs)"


class Stage(StrEnum):
    """The stages that a plugin reaches, in this order."""

    FOUND = "found"
    COMPATIBLE = "compatible"
    IMPORTED = "imported"
    CONFIGURED = "configured"
    COLLECTED = "collected"
    STARTED = "started"
    SERVING = "serving"


@dataclass(frozen=True)
class Contributed:
    """The served names of what a plugin contributes, the names of its functions, and the paths of its routes."""

    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    middleware: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {word if len(names) != 1 else word.removesuffix('s')}"
            for word, names in asdict(self).items()
            if names
        ]
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True)
class Circuit:
    """The circuit breaker of a plugin: open while it is paused, half-open while one call tries it again.

    `failures` is the number of failures in a row. `last_failure` names the item that failed last and how; all clients
    see it, so it has no value of a caller's. `retry_in` is in seconds, or None unless the circuit is open.
    """

    state: Literal["closed", "open", "half-open"] = "closed"
    failures: int = 0
    last_failure: str = ""
    retry_in: float | None = None


@dataclass(frozen=True)
class Health:
    """A serving plugin's calls: `calls` are running, `waiting` wait for a place, `abandoned` have no caller any more.

    An abandoned call has timed out or was cancelled, but still runs: in a thread that cannot be stopped, or in a
    coroutine that ignores its cancellation.
    """

    calls: int = 0
    waiting: int = 0
    abandoned: int = 0
    circuit: Circuit = Circuit()


State = Literal["cold", "preparing", "starting", "up", "waiting", "stopped"]


@dataclass(frozen=True)
class ConnectionState:
    """The connection to another server, which a plugin is: `cold` until it is wanted, `waiting` for the next start.

    `server` is the name and version that the server gave. `restarts` counts the starts after the first one. `pid` is of
    its process. `retry_in` is in seconds, None unless it waits. `last_end` is how it last ended.
    """

    state: State = "cold"
    protocol_version: str | None = None
    server: str | None = None
    restarts: int = 0
    pid: int | None = None
    retry_in: float | None = None
    last_end: str | None = None

    @property
    def phrase(self) -> str:
        """The state, and what else is worth knowing about it."""
        parts = [str(self.state)]
        if self.retry_in is not None:
            parts.append(f"for {self.retry_in:.0f} s")
        if self.pid is not None:
            parts.append(f"process {self.pid}")
        if self.restarts:
            parts.append(f"started {self.restarts + 1} times")
        return ", ".join(parts)


@dataclass(frozen=True)
class PluginRecord:
    """One plugin: its source, the stage that it reached and, if it failed, why.

    `stage` is the last completed stage, or None if the plugin was not found. `problem` is set if it failed.
    `middleware` is `all` if the plugin's middleware runs around every plugin's calls. `import_ms` is wall-clock
    milliseconds, or None before the import. `health` is None unless it serves. `connection` is None unless it is
    another server. `error_id` is in each line of the log
    about the problem and the warnings.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    value: str | None = None
    enabled: bool = True
    required: bool = False
    stage: Stage | None = None
    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()
    import_ms: float | None = None
    contributed: Contributed = Contributed()
    middleware: Literal["own", "all"] = "own"
    health: Health | None = None
    connection: ConnectionState | None = None
    error_id: str | None = None

    @property
    def failed(self) -> bool:
        return self.problem is not None

    @property
    def fate(self) -> str:
        """The last stage that it reached, or after which it failed."""
        reached = str(self.stage) if self.stage else ""
        return f"failed after {reached}".removesuffix(" after ") if self.failed else reached

    @property
    def source(self) -> str:
        """The distribution and version as one phrase, or the object's path if there is no distribution."""
        if self.distribution:
            return f"{self.distribution} {self.version}"
        return self.value or "not installed"

    @property
    def contributes(self) -> str:
        """What it contributes, as one phrase."""
        around = ", middleware around all plugins" if self.middleware == "all" and self.contributed.middleware else ""
        return f"{self.contributed}{around}"

    def for_clients(self) -> PluginRecord:
        """Return the record as a client may see it."""
        where = dotted(("plugins", self.name))
        problem = self.problem and for_clients(f"it {self.fate}", self.error_id, where)
        warning = for_clients("something is wrong with it", self.error_id, where)
        # A command line, and the last words of a process, may hold anything.
        connection = self.connection and replace(self.connection, pid=None, last_end=None)
        value = None if self.connection else self.value
        warnings = (warning,) if self.warnings else ()
        return replace(self, problem=problem, warnings=warnings, connection=connection, value=value)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready data. Within a major version, keys are only added."""
        data = asdict(self)
        data["stage"] = self.stage.value if self.stage else None
        return data


def for_clients(what: str, error_id: str | None, where: str = "") -> Problem:
    """Return what clients see instead of a problem, because its text may quote an exception."""
    return Problem(f"{what} (error {error_id}; the server's log has the details)", where, _LOCAL_HINT)
