"""The circuit breaker, with a clock that the test sets."""

from __future__ import annotations

from mcp_host.plugins.breaker import CircuitBreaker
from mcp_host.plugins.records import Circuit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(threshold: int = 3, cooldown: float = 30.0) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(threshold, cooldown, clock), clock


def opened() -> tuple[CircuitBreaker, Clock]:
    breaker, clock = make()
    for number in range(3):
        assert breaker.failed(f"failure {number}") is (number == 2)
    return breaker, clock


def test_it_lets_everyone_in_until_there_were_failures_in_a_row() -> None:
    breaker, _ = make()
    for _ in range(2):
        breaker.failed("why")
        breaker.failed("why")
        assert breaker.admit() is None
        breaker.succeeded()
    assert breaker.circuit == Circuit()


def test_it_opens_and_reports_why_and_for_how_long() -> None:
    breaker, clock = opened()
    clock.now += 10
    assert breaker.admit() == Circuit("open", 3, "failure 2", retry_in=20.0)


def test_nobody_tries_before_the_pause_has_ended() -> None:
    breaker, clock = opened()
    clock.now += 29.5
    assert breaker.admit() == Circuit("open", 3, "failure 2", retry_in=0.5)


def test_a_threshold_of_1_opens_it_at_the_first_failure() -> None:
    breaker, _ = make(threshold=1)
    assert breaker.failed("why") is True
    assert breaker.admit() == Circuit("open", 1, "why", retry_in=30.0)


def test_after_the_pause_one_caller_tries_while_the_others_are_kept_out() -> None:
    breaker, clock = opened()
    clock.now += 30
    assert breaker.circuit.state == "half-open"
    assert breaker.admit() is None
    assert breaker.admit() == Circuit("half-open", 3, "failure 2")
    breaker.succeeded()
    assert breaker.circuit == Circuit()
    assert breaker.admit() is None
    assert breaker.admit() is None


def test_after_a_try_that_succeeds_it_opens_only_after_as_many_failures_again() -> None:
    breaker, clock = opened()
    clock.now += 30
    assert breaker.admit() is None
    breaker.succeeded()
    assert [breaker.failed("why") for _ in range(3)] == [False, False, True]
    assert breaker.circuit.state == "open"


def test_a_try_that_fails_opens_it_for_another_whole_pause() -> None:
    breaker, clock = opened()
    clock.now += 30
    assert breaker.admit() is None
    assert breaker.failed("again") is True
    assert breaker.circuit == Circuit("open", 4, "again", retry_in=30.0)


def test_a_try_whose_caller_leaves_is_left_to_the_next_caller() -> None:
    breaker, clock = opened()
    clock.now += 30
    assert breaker.admit() is None
    breaker.abandoned()
    assert breaker.admit() is None


def test_calls_from_before_the_pause_that_fail_do_not_prolong_it() -> None:
    breaker, clock = opened()
    clock.now += 29
    assert breaker.failed("an old call") is False
    clock.now += 1
    assert breaker.admit() is None


def test_a_threshold_of_0_never_opens_it() -> None:
    breaker, _ = make(threshold=0)
    for _ in range(100):
        assert breaker.failed("why") is False
    assert breaker.admit() is None
