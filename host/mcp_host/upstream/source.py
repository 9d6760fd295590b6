"""Where another server is, and how its connection is treated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from mcp.client.session import ClientSession
from mcp.shared.dispatcher import Dispatcher

from mcp_host.upstream.child import ChildState

Prepare = Callable[[], Awaitable[None]]
"""Makes what a server needs before it can be started. This may take minutes."""

Connect = Callable[[ChildState], AbstractAsyncContextManager[Dispatcher[Any]]]
"""Opens the transport. It notes what it knows about a child process."""


LookOver = Callable[[ClientSession], Awaitable[tuple[str, ...]]]
"""Asks a server what of it cannot be served beside what its lists show, and returns a sentence for each."""


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
    """After so long a life, the time before a new start is short again."""

    most_ends: int = 30
    within: float = 3600.0
    """So many ends within this time, and it is not started again."""

    worth_waiting: float = 1.0
    """A call waits for a start that is at most so far away."""

    end: float = 1.5
    """The host waits so long for the end of a session. What has not ended then is cancelled."""

    debounce: float = 0.1
    longest_debounce: float = 10.0
    """Notices of changed lists within this time are one. It doubles while the lists are the same."""

    listen_again: float = 1.0
    """Before a stream of changes is opened again. It doubles with each end, up to `longest_delay`."""


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
    look_over: LookOver | None = None
    pace: Pace = Pace()
