"""Statistics of a list of numbers: exact for integers, with a clear error for a number that cannot be used."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

from mcp_host import ToolError
from mcp_plugin_stats.models import Operation, Quartiles, Statistics
from mcp_plugin_stats.values import rounded

Number = int | float

LARGEST = int(1.7976931348623157e308)
"""The largest double. No number may be further from zero, because few programs can read such a number in JSON."""

LEAST: dict[Operation, int] = {"count": 0, "variance": 2, "stdev": 2}
"""How many numbers an operation needs, if it does not need exactly one."""


def calculate(numbers: Sequence[Number], operation: Operation, digits: int) -> Statistics:
    """Return the result of the operation. Raises ToolError if the numbers do not allow it."""
    _check(numbers, operation)
    count = len(numbers)
    if operation == "count":
        return Statistics(operation=operation, count=count, value=count)
    whole = all(isinstance(number, int) for number in numbers)
    try:
        if operation == "quantiles":
            q1, q2, q3 = (_number(cut, whole, digits) for cut in _quartiles(numbers))
            return Statistics(
                operation=operation, count=count, value=None, quantiles=Quartiles(q1=q1, median=q2, q3=q3)
            )
        return Statistics(operation=operation, count=count, value=_number(_figure(numbers, operation), whole, digits))
    except OverflowError:
        raise ToolError(
            f"Overflow: the {operation} of these numbers is beyond 1.8e308, the largest a result can be. "
            "Use smaller numbers, for example in a larger unit."
        ) from None


def _check(numbers: Sequence[Number], operation: Operation) -> None:
    for index, number in enumerate(numbers):
        if isinstance(number, float) and not math.isfinite(number):
            name = "NaN" if math.isnan(number) else "-Infinity" if number < 0 else "Infinity"
            raise ToolError(f"numbers[{index}] is {name}: leave it out, or send a finite number.")
        if abs(number) > LARGEST:
            raise ToolError(f"numbers[{index}] is too large: a number may be at most 1.8e308 away from zero.")
    least = LEAST.get(operation, 1)
    if len(numbers) < least:
        have = "the list is empty" if not numbers else f"there is {len(numbers)}"
        raise ToolError(f"{operation} needs at least {least} number{'s' if least > 1 else ''}: {have}.")


def _figure(numbers: Sequence[Number], operation: Operation) -> Fraction:
    """Calculate with exact fractions, so that nothing is rounded and nothing becomes infinite."""
    match operation:
        case "sum":
            return sum(map(Fraction, numbers), Fraction(0))
        case "mean":
            return statistics.mean(map(Fraction, numbers))
        case "median":
            return _cut(sorted(numbers), Fraction(1, 2))
        case "min":
            return Fraction(min(numbers))
        case "max":
            return Fraction(max(numbers))
        case "variance":
            return statistics.variance(map(Fraction, numbers))
        case _:
            return Fraction(_root(statistics.variance(map(Fraction, numbers))))


def _root(variance: Fraction) -> float:
    if variance <= LARGEST:
        return math.sqrt(variance)
    # The variance is too large for a double, but its root may not be.
    return math.sqrt(variance / 2**1024) * 2.0**512


def _quartiles(numbers: Sequence[Number]) -> list[Fraction]:
    ordered = sorted(numbers)
    return [_cut(ordered, Fraction(quarter, 4)) for quarter in (1, 2, 3)]


def _cut(ordered: Sequence[Number], part: Fraction) -> Fraction:
    """Interpolate linearly between the sorted numbers, like spreadsheets, numpy and DuckDB's quantile_cont."""
    position = part * (len(ordered) - 1)
    below = math.floor(position)
    low, high = Fraction(ordered[below]), Fraction(ordered[min(below + 1, len(ordered) - 1)])
    return low + (high - low) * (position - below)


def _number(value: Fraction, whole: bool, digits: int) -> int | float | None:
    if abs(value) > LARGEST:
        raise OverflowError
    if whole and value.denominator == 1:
        return value.numerator
    figure = rounded(float(value), digits)
    return figure if isinstance(figure, int | float) else None
