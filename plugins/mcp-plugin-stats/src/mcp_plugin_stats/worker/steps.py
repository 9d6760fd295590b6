"""Divides an axis into steps: periods of time, or ranges of numbers. Every step has a whole number as its index."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, get_args

from mcp_plugin_stats.models import Period, Tick

PERIODS: Final[tuple[Period, ...]] = get_args(Period)
"""All periods, the shortest first."""

_SECONDS: Final[dict[Period, int]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
_MONTHS: Final[dict[Period, int]] = {"month": 1, "quarter": 3, "year": 12}

_START: Final = datetime(1, 1, 1)
"""The first moment that can be drawn. It is a Monday, as weeks begin on Mondays."""

_FORMATS: Final[dict[Period, str]] = {
    **{"second": "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H:%M"},
    **{"day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m", "quarter": "%Y Q%q", "year": "%Y"},
}
"""How a moment is written on an axis, with the directives of D3, which Vega-Lite uses."""

_EVERY: Final[dict[Period, tuple[int, ...]]] = {
    **{"second": (1, 5, 15, 30), "minute": (1, 5, 15, 30), "hour": (1, 3, 6, 12), "day": (1, 2), "week": (1, 2)},
    **{"month": (1,), "quarter": (1, 2), "year": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)},
}
"""How many periods may be between two ticks."""

_TICKS, _LONG_TICKS = 8, 5
"""The most ticks of an axis, with short labels and with the time of day."""


class Steps(Protocol):
    """The steps of an axis. `start` is the value at which a step begins."""

    def sql(self, x: str) -> str:
        """Return the SQL for the step of a value, as `index` reads it."""

    def index(self, value: str | int) -> int:
        """Return the index of a step that SQL has returned."""

    def start(self, index: int) -> str | float | int:
        """Return the value at which the step begins, as JSON."""

    def label(self, index: int) -> str:
        """Return the step in words."""


@dataclass(frozen=True)
class Periods:
    """Periods of time, such as months. Weeks begin on Mondays."""

    period: Period
    zone: str = ""

    def sql(self, x: str) -> str:
        """Return the SQL for the beginning of the period."""
        return f"date_trunc('{self.period}', {x})"

    def index(self, value: str | int) -> int:
        """Return the number of periods since the year 1."""
        return index_of(moment(str(value)), self.period)

    def start(self, index: int) -> str:
        """Return the day or moment at which the period begins, in ISO form."""
        begin = start_of(index, self.period)
        day = PERIODS.index(self.period) >= PERIODS.index("day")
        return begin.date().isoformat() if day else f"{begin.isoformat()}{self.zone}"

    def label(self, index: int) -> str:
        """Return the period in words, such as `2024-03` or `2024 Q1`."""
        return written(start_of(index, self.period), self.period)


@dataclass(frozen=True)
class Ranges:
    """Ranges of numbers, all of the same width. A range has its lower limit and not its upper one."""

    width: float

    def sql(self, x: str) -> str:
        """Return the SQL for the index. It is rounded first: 0.3 / 0.1 is a little less than 3."""
        return f"CAST(floor(round({x} / CAST('{self.width!r}' AS DOUBLE), 9)) AS BIGINT)"

    def index(self, value: str | int) -> int:
        """Return the index, which SQL has computed."""
        return int(value)

    def start(self, index: int) -> float | int:
        """Return the lower limit."""
        return self.at(index)

    def label(self, index: int) -> str:
        """Return the limits in words."""
        return f"{self.at(index):.15g} to {self.at(index + 1):.15g}"

    def at(self, index: float) -> float | int:
        """Return the number at a place in the ranges: 2.5 is the middle of the third one."""
        number = float(f"{index * self.width:.15g}")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number


def ranges(low: float, high: float, most: int) -> Ranges:
    """Return at most `most` ranges that contain all numbers from `low` to `high`; their limits are round numbers."""
    exponent = math.floor(math.log10((high - low) / most))
    for power in range(exponent, exponent + 3):
        for factor in (1, 2, 5):
            found = Ranges(float(f"{factor}e{power}"))
            first, last = (math.floor(round(end / found.width, 9)) for end in (low, high))
            if last - first < most:
                return found
    return Ranges(2 * (max(abs(low), abs(high)) or 1))


def moment(text: str) -> datetime:
    """Return a date or time in ISO form as the time in UTC, without its zone."""
    return datetime.fromisoformat(text.removesuffix("Z"))


def seconds(text: str) -> float:
    """Return the seconds from 1970 to a moment in ISO form."""
    return moment(text).replace(tzinfo=UTC).timestamp()


def index_of(when: datetime, period: Period) -> int:
    """Return how many whole periods there are from the year 1 to the moment."""
    if period in _SECONDS:
        return (when - _START) // timedelta(seconds=_SECONDS[period])
    return ((when.year - 1) * 12 + when.month - 1) // _MONTHS[period]


def start_of(index: int, period: Period) -> datetime:
    """Return the moment at which a period begins."""
    if period in _SECONDS:
        return _START + timedelta(seconds=index * _SECONDS[period])
    years, months = divmod(index * _MONTHS[period], 12)
    return datetime(years + 1, months + 1, 1)


def written(when: datetime, period: Period) -> str:
    """Return a moment as it is written on an axis."""
    # Not `strftime`, which writes the year 33 without its zeros on some systems.
    text = _FORMATS[period].replace("%q", str((when.month + 2) // 3)).replace("%Y", f"{when.year:04}")
    return when.replace(year=2000).strftime(text)


def ticks(low: str, high: str, shortest: Period = "second") -> list[Tick]:
    """Return the ticks of an axis from one moment to another."""
    first, last = moment(low), moment(high)
    for period in PERIODS[PERIODS.index(shortest) :]:
        most = _TICKS if PERIODS.index(period) >= PERIODS.index("day") else _LONG_TICKS
        for every in _EVERY[period]:
            found = list(_ticks(first, last, period, every, most + 1))
            if len(found) <= most:
                # There is none if both ends are inside of one second.
                return found or [Tick(value=low, label=written(first, period))]
    raise ValueError("a span is at most 9999 years")


def d3_format(labels: Sequence[Tick]) -> str:
    """Return the format of D3 that writes these labels."""
    moments = [(moment(tick.value), tick.label) for tick in labels]
    return next(
        form for period, form in _FORMATS.items() if all(written(when, period) == text for when, text in moments)
    )


def _ticks(first: datetime, last: datetime, period: Period, every: int, most: int) -> Iterator[Tick]:
    # Years count from 1, but the ticks are at 1900, 1950, 2000.
    shift = 1 if period == "year" else 0
    begin = index_of(first, period)
    begin += start_of(begin, period) < first
    begin += -(begin + shift) % every
    for index in range(begin, min(index_of(last, period), begin + every * most) + 1, every):
        yield Tick(value=start_of(index, period).isoformat(), label=written(start_of(index, period), period))


def closest(counts: Sequence[tuple[Period, int, int]], few: int) -> Period:
    """Return the shortest period of which at least half have rows; else the shortest of which there are few.

    `counts` has periods, the shortest first, with the number from the first to the last row, and of those with rows.
    """
    for period, number, filled in counts:
        if 2 * filled >= number:
            return period
    for period, number, _ in counts:
        if number <= few:
            return period
    return counts[-1][0]
