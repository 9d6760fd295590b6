"""Decides whether a column of texts has dates or times. What can be read in two ways stays text, with a note."""

from __future__ import annotations

from typing import Protocol

from mcp_plugin_stats.reading.cells import Cells, Column, missing
from mcp_plugin_stats.sqltext import literal

CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
ISO_DATE = r"\d{4}([-/])\d{1,2}[-/]\d{1,2}"
ISO_TIME = rf"{ISO_DATE}[ T]{CLOCK}"
NANOSECONDS = rf"{ISO_DATE}[ T]\d{{1,2}}:\d{{2}}:\d{{2}}\.\d{{7,}}"
ZONE = r" ?(Z|[+-]\d{2}(:?\d{2})?)"
PARTS = r"(\d{1,2})([-/.])(\d{1,2})([-/.])(\d{4})"
SHORT = r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2}"


class _Typed(Protocol):
    def __call__(self, type_: str, text: str = ...) -> None: ...


def date_column(cells: Cells, column: Column, present: int, absent: int, date_format: str | None) -> None:
    """Give the column the type DATE, TIME or a TIMESTAMP if all of its `present` texts fit and can only mean that."""
    x = f"trim({column.place})"
    there = f"NOT {missing(column.place)}"

    def typed(type_: str, text: str = x) -> None:
        cast = f"CAST({text} AS {type_})"
        column.type = type_
        column.expression = f"CASE WHEN {there} THEN {cast} END" if absent else cast

    if date_format:
        clock = any(sign in date_format for sign in ("%H", "%I", "%X", "%c", "%p"))
        (fit,) = cells.row([f"count(try_strptime({x}, {literal(date_format)}))"], there)
        if fit == present:
            return typed("TIMESTAMP" if clock else "DATE", f"strptime({x}, {literal(date_format)})")

    def matches(pattern: str) -> str:
        return f"regexp_full_match({x}, {literal(pattern)})"

    part = f"regexp_extract({x}, {literal('^' + PARTS)}"
    dates, stamps, zoned, fine, clocks, parts, short, real, times, first, third, separators = cells.row(
        [
            f"count(*) FILTER ({matches(ISO_DATE)})",
            f"count(*) FILTER ({matches(ISO_TIME)})",
            f"count(*) FILTER ({matches(ISO_TIME + ZONE)})",
            f"count(*) FILTER ({matches(NANOSECONDS)})",
            f"count(*) FILTER ({matches(CLOCK)})",
            f"count(*) FILTER ({matches(PARTS + rf'([ T]{CLOCK})?')})",
            f"count(*) FILTER ({matches(SHORT)})",
            f"count(TRY_CAST({x} AS TIMESTAMP))",
            f"count(TRY_CAST({x} AS TIME))",
            f"max(TRY_CAST({part}, 1) AS INTEGER))",
            f"max(TRY_CAST({part}, 3) AS INTEGER))",
            f"list(DISTINCT {part}, 2) || {part}, 4)) FILTER ({matches(PARTS + rf'([ T]{CLOCK})?')})",
        ],
        there,
    )
    if dates + stamps + zoned == present == real and (not zoned or zoned == present):
        if zoned:
            return typed("TIMESTAMP WITH TIME ZONE")
        if dates == present:
            return typed("DATE")
        return typed("TIMESTAMP_NS" if fine else "TIMESTAMP")
    if clocks == present == times:
        return typed("TIME")
    forms = {"2024-01-31": dates, "2024-01-31 12:00": stamps, "2024-01-31 12:00Z": zoned, "31/01/2024": parts}
    forms["31/01/24"] = short
    used = [form for form, count in forms.items() if count]
    if sum(forms.values()) != present or not used:
        return None
    if len(used) > 1:
        column.notes.append(
            f"column {column.name!r} is text, because its dates are written in {len(used)} forms (such as "
            f"{' and '.join(used)})"
        )
    elif short:
        column.notes.append(
            f"column {column.name!r} is text, because its dates have years of two digits: set date_format"
        )
    elif parts:
        _day_and_month(cells, column, present, first, third, separators, x, there, typed)
    else:
        column.notes.append(f"column {column.name!r} is text, because some of its dates are not in the calendar")
    return None


def _day_and_month(
    cells: Cells,
    column: Column,
    present: int,
    first: int,
    second: int,
    separators: list[str],
    x: str,
    there: str,
    typed: _Typed,
) -> None:
    """Decide which of the first two numbers is the day: the one that is above 12 somewhere."""
    name = repr(column.name)
    if len(separators) > 1 or separators[0][0] != separators[0][1]:
        column.notes.append(f"column {name} is text, because its dates are written in several forms")
    elif first > 12 and second > 12:
        column.notes.append(
            f"column {name} is text, because in some of its dates the day is first, in others the month"
        )
    elif first <= 12 and second <= 12:
        column.notes.append(
            f"column {name} is text, because its dates are ambiguous (day or month first): set date_format, such as "
            f'"%d{separators[0][0]}%m{separators[0][0]}%Y"'
        )
    else:
        sign = separators[0][0]
        order = f"%d{sign}%m{sign}%Y" if first > 12 else f"%m{sign}%d{sign}%Y"
        for clock in ("", " %H:%M", " %H:%M:%S"):
            (fit,) = cells.row([f"count(try_strptime({x}, {literal(order + clock)}))"], there)
            if fit == present:
                typed("TIMESTAMP" if clock else "DATE", f"strptime({x}, {literal(order + clock)})")
                column.notes.append(
                    f"column {name}: dates are read as {order + clock}, because the "
                    f"{'first' if first > 12 else 'second'} number is above 12 in some of them"
                )
                return
        column.notes.append(f"column {name} is text, because some of its dates are not in the calendar")
