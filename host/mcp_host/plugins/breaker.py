"""A circuit breaker: after repeated failures a plugin is left alone for a while, and its callers are told at once.

The libraries looked at (circuitbreaker 2, purgatory 3, pybreaker 1) let every waiting caller through at the same
time when the pause ends, and take the time from `time` itself; here one caller tries and the clock is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mcp_host.plugins.records import Circuit


class CircuitBreaker:
    """Opens after `threshold` failures in a row (never, when that is 0), and lets one caller try after `cooldown` s.

    Every call that `admit` let in ends with one of `succeeded`, `failed` and `abandoned`.
    """

    def __init__(self, threshold: int, cooldown: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._last_failure = ""
        self._opened: float | None = None
        self._trying = False

    @property
    def circuit(self) -> Circuit:
        if self._opened is None:
            return Circuit("closed", self._failures, self._last_failure if self._failures else "")
        left = self._opened + self._cooldown - self._clock()
        if self._trying or left <= 0:
            return Circuit("half-open", self._failures, self._last_failure)
        return Circuit("open", self._failures, self._last_failure, retry_in=left)

    @property
    def trying(self) -> bool:
        """Whether one call is finding out how the plugin does now."""
        return self._trying

    def admit(self) -> Circuit | None:
        """Let a call in and return None, or return the circuit that keeps it out."""
        if self._opened is None:
            return None
        circuit = self.circuit
        if circuit.state == "open" or self._trying:
            return circuit
        self._trying = True
        return None

    def succeeded(self) -> None:
        """The plugin answered: the circuit closes."""
        self._failures = 0
        self._opened = None
        self._trying = False

    def failed(self, what: str) -> bool:
        """The plugin crashed or hung. Return whether this opened the circuit."""
        self._failures += 1
        self._last_failure = what
        again = self._trying
        self._trying = False
        if not again and (self._opened is not None or not 0 < self._threshold <= self._failures):
            # Calls that began before it opened may still fail; they do not prolong the pause.
            return False
        self._opened = self._clock()
        return True

    def abandoned(self) -> None:
        """The caller that tried it left before the plugin had shown anything: another one may try."""
        self._trying = False
