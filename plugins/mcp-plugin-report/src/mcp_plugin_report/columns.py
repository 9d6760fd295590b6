"""Describes one column of a report: the kind of its values, missing values, figures and chart."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from mcp_plugin_report import bars
from mcp_plugin_report.models import ColumnReport, Figures
from mcp_plugin_report.texts import number, rounded, shown

_NUMERIC: Final = re.compile(r"int|dec|num|real|float|double|money", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d.*)?")

_WHOLE: Final = re.compile(r"[+-]?\d{1,400}")

DAY: Final = 86_400.0
"""Seconds."""


def describe(name: str, type_name: str, values: Sequence[Any], digits: int) -> ColumnReport:
    """Describe one column. `type_name` is the source's type, but the values decide. Figures have `digits` decimals."""
    there = [value for value in values if value is not None and not (isinstance(value, float) and math.isnan(value))]
    texts = Counter(shown(value) for value in there)
    column = ColumnReport(
        name=shown(name),
        type=shown(type_name),
        kind="text",
        count=len(there),
        missing=len(values) - len(there),
        distinct=len({_key(value) for value in there}),
        chart=bars.of_values(texts),
    )
    if not there:
        return column.model_copy(update={"kind": "empty"})
    if all(isinstance(value, bool) for value in there):
        return column.model_copy(update={"kind": "boolean"})
    numbers = _numbers(there, type_name)
    if numbers is not None:
        return _of_numbers(column, numbers, digits)
    times = _times(there)
    return _of_times(column, times) if times is not None else column


def _key(value: Any) -> object:
    return (type(value) is bool, value) if isinstance(value, str | int | float) else shown(value, longest=10_000)


def _numbers(values: Sequence[Any], type_name: str) -> list[float | int] | None:
    """Return the values as finite numbers, or None. Text counts as a number if the source's type is a number."""
    declared = may_be_number(type_name)
    found: list[float | int] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        if isinstance(value, str) and not declared:
            return None
        try:
            as_float = float(value)
        except (ValueError, OverflowError):
            return None
        if not math.isfinite(as_float):
            return None
        if isinstance(value, str):
            value = int(value) if _WHOLE.fullmatch(value) else as_float
        found.append(value)
    return found


def _times(values: Sequence[Any]) -> list[datetime] | None:
    found = []
    for value in values:
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            return None
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            return None
        found.append(time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC))
    return found


def _of_numbers(column: ColumnReport, values: list[float | int], digits: int) -> ColumnReport:
    try:
        mean, deviation = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
        q1, median, q3 = _quartiles(values)
        if not all(math.isfinite(figure) for figure in (mean, q1, median, q3)):
            raise OverflowError
    except OverflowError:
        # The figures overflow a float. The values are still counted.
        return column.model_copy(update={"kind": "number"})
    figures = figures_of((min(values), q1, median, mean, q3, max(values)), deviation, digits)
    whole = all(float(value).is_integer() for value in values)
    few = whole and column.distinct <= bars.MOST_VALUES
    chart = bars.of_few_numbers(values) if few else bars.of_ranges([float(value) for value in values], limit_label)
    return column.model_copy(update={"kind": "number", "figures": figures, "chart": chart})


def figures_of(five: Sequence[float | int], deviation: float | None, digits: int) -> Figures:
    """Return the figures of a column: least, lower quartile, median, mean, upper quartile, greatest."""
    low, q1, median, mean, q3, high = (rounded(value, digits) for value in five)
    stdev = rounded(deviation, digits) if deviation is not None else None
    return Figures(min=low, q1=q1, median=median, mean=mean, q3=q3, max=high, stdev=stdev)


def between(low: float | int, high: float | int, part: Fraction) -> float | int:
    """Return the number at a part of the way from one to the other, exact for integers that no float holds.

    Raises:
        OverflowError: It is larger than any float.
    """
    exact = Fraction(low) + (Fraction(high) - Fraction(low)) * part
    as_float = float(exact)
    # From 2**53 on, floats have no digits behind the point, and not all of those before it.
    return round(exact) if abs(exact) >= 2**53 else as_float


def _quartiles(values: Sequence[float | int]) -> list[float | int]:
    """Return the three quartiles, as `statistics.quantiles` has them with the inclusive method, but exact.

    Its floats would lie outside of the values where these are integers that a float cannot hold.

    Raises:
        OverflowError: One of them is larger than any float.
    """
    ordered = sorted(values)
    last = len(ordered) - 1
    quartiles: list[float | int] = []
    for quarter in (1, 2, 3):
        below, part = divmod(quarter * last, 4)
        quartiles.append(between(ordered[below], ordered[min(below + 1, last)], Fraction(part, 4)))
    return quartiles


def limit_label(value: float) -> str:
    """Return the limit of a range of numbers."""
    return number(float(f"{value:.6g}"))


def time_label(second: float, by_day: bool) -> str:
    """Return the limit of a range of times. Raises OverflowError or ValueError before the year 1 or after 9999."""
    time = datetime.fromtimestamp(second, UTC)
    return f"{time:%Y-%m-%d}" if by_day else f"{time:%Y-%m-%d %H:%M:%S}"


def as_number(value: Any) -> float | int | None:
    """Return a finite number, also from the text of an exact one, or None."""
    found = _numbers([value], "number")
    return found[0] if found else None


def as_time(value: Any) -> datetime | None:
    """Return the time of a text in ISO form in UTC, or None."""
    found = _times([value])
    return found[0] if found else None


def may_be_number(type_name: str) -> bool:
    """Return whether a source's type is one of numbers."""
    return _NUMERIC.search(type_name) is not None


def _of_times(column: ColumnReport, times: list[datetime]) -> ColumnReport:
    seconds = [time.timestamp() for time in times]
    span = max(seconds) - min(seconds)
    by_day = span >= 2 * DAY
    step = max(math.ceil(span / bars.RANGES / DAY), 1) * DAY if by_day else None

    try:
        chart = bars.of_ranges(seconds, lambda second: time_label(second, by_day), step)
    except (OverflowError, ValueError):
        # A limit is before the year 1 or after 9999.
        chart = None
    whole_days = all(second % DAY == 0 for second in seconds)
    shape = "%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M:%S"
    first, last = (f"{time:{shape}}" for time in (min(times), max(times)))
    return column.model_copy(update={"kind": "time", "first": first, "last": last, "chart": chart})
