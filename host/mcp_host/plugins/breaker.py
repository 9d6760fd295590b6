"""A circuit breaker: after repeated failures a plugin is paused for a while, and its callers get an error at once.

Libraries (circuitbreaker 2, purgatory 3, pybreaker 1) let all waiting callers through at the same time when the pause
ends, and they read the time from `time`. Here only one caller tries, and the clock is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mcp_host.plugins.records import Circuit


class CircuitBreaker:
    """Opens after `threshold` failures in a row (never if it is 0). After `cooldown` seconds, one caller may try.

    Each admitted call must end with `succeeded`, `failed` or `abandoned`.
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
        """Whether one call is trying the plugin after a pause."""
        return self._trying

    def admit(self) -> Circuit | None:
        """Admit a call and return None, or refuse it and return the state of the circuit."""
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
            # Calls that began before the circuit opened may still fail. They do not make the pause longer.
            return False
        self._opened = self._clock()
        return True

    def abandoned(self) -> None:
        """The trying caller left before the plugin answered or failed: another caller may try."""
        self._trying = False
