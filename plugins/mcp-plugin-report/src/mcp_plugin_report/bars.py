"""Makes the data of charts: counts values, and puts numbers and times into ranges with round limits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mcp_plugin_report.models import Bar, Chart
from mcp_plugin_report.texts import number

RANGES: Final = 12
"""About how many columns a histogram has. Round limits can change the number."""

MOST_VALUES: Final = 8
"""How many values get their own bar."""


def of_values(counts: Counter[str]) -> Chart | None:
    """Return a chart of the most frequent values, or None if there are many values and all are different."""
    if not counts or (len(counts) > MOST_VALUES and counts.most_common(1)[0][1] == 1):
        return None
    top = sorted(counts.items(), key=lambda value: (-value[1], value[0]))[:MOST_VALUES]
    return Chart(
        shape="bars",
        bars=[Bar(label=label, count=count) for label, count in top],
        others=counts.total() - sum(count for _, count in top),
    )


def of_few_numbers(values: Sequence[float | int]) -> Chart:
    """Return a chart with a bar for each of a few different numbers, in their order."""
    return of_counted_numbers(Counter(values).items())


def of_counted_numbers(counts: Iterable[tuple[float | int, int]]) -> Chart:
    """Return a chart with a bar for each of a few numbers and their counts, in the order of the numbers."""
    return Chart(shape="bars", bars=[Bar(label=number(value), count=count) for value, count in sorted(counts)])


def of_ranges(values: Sequence[float], label: Callable[[float], str], step: float | None = None) -> Chart | None:
    """Return a histogram, or None if there is only one value, or if a float cannot represent the ranges' limits.

    Each range contains its lower limit, the last range also its upper limit. `step` is the width of a range; the
    default is a round number.
    """
    limits = limits_of(min(values), max(values), step)
    if limits is None:
        return None
    width, start, last = limits.width, limits.start, limits.last
    counts = Counter(min(math.floor(value / width), last) for value in values)
    return of_counts([label(limit) for limit in limits.all], [counts[index] for index in range(start, last + 1)])


def of_counts(limits: Sequence[str], counts: Sequence[int]) -> Chart:
    """Return a histogram from its limits, of which there is one more than counts."""
    bars = [Bar(label=f"{limits[n]} to {limits[n + 1]}", count=count) for n, count in enumerate(counts)]
    return Chart(shape="columns", bars=bars, first=limits[0], last=limits[-1])


@dataclass(frozen=True)
class Limits:
    """The ranges of a histogram: each has the same width, the first one begins at `start * width`."""

    width: float
    start: int
    last: int

    @property
    def all(self) -> list[float]:
        """The limits, lowest first."""
        return [index * self.width for index in range(self.start, self.last + 2)]


def limits_of(low: float, high: float, step: float | None = None) -> Limits | None:
    """Return ranges with round limits, or None if a float cannot represent them, or if there is only one value."""
    width = step or _round_step((high - low) / RANGES)
    if not 0 < width < math.inf or low + width == low or high + width == high:
        return None
    start = math.floor(low / width)
    return Limits(width, start, max(math.ceil(high / width) - 1, start))


def _round_step(rough: float) -> float:
    """Return the next larger width that is 1, 2 or 5 times a power of ten."""
    if not 0 < rough < math.inf:
        return 0.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1.0, 2.0, 5.0) if factor * power >= rough), 10.0 * power)
