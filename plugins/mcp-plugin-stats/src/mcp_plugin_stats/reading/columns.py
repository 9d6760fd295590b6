"""Finds the type of every column of a plain table from all of its cells.

A column has a type other than VARCHAR only if every cell fits it. Cells that look like numbers but are identifiers
(leading zeros, hexadecimal, `1E5`) stay text. Dates are only read if there is one way to read them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.reading.cells import MISSING, Cells, Column, missing
from mcp_plugin_stats.reading.dates import date_column
from mcp_plugin_stats.settings import ReaderOptions
from mcp_plugin_stats.sqltext import literal

AT_ONCE = 40
"""How many columns are examined by one query."""

SMALL_INTEGER = r"[+-]?(0|[1-9]\d{0,17})"
"""Integers that a BIGINT surely holds."""

SMALL_DECIMAL = r"[+-]?((0|[1-9]\d{0,7})(\.\d{0,7})?|\.\d{1,7})"
"""Decimals of which a DOUBLE keeps all digits."""

THOUSANDS = r"[+-]?[1-9]\d{0,2}\.\d{3}"

TELEPHONE = r"\+\d{7,}"

DAY = r"\d{4}-\d\d-\d\d"

INFINITE = ("inf", "-inf", "infinity", "-infinity")

MOSTLY = 0.9
"""From which part of numbers on a column of texts has a note about the other texts."""

FINEST = 9
"""Most decimals of a DECIMAL whose numbers are not larger than a DOUBLE can hold. More are measurements."""

WIDEST = 38
"""Most digits of DuckDB's numbers."""


def find_types(cells: Cells, names: Sequence[str], places: Sequence[str], options: ReaderOptions) -> list[Column]:
    """Return every column with its type. Raises DataError if `types` names a column or a type that does not fit."""
    columns = [Column(name, place) for name, place in zip(names, places, strict=True)]
    given = _given(columns, options)
    free = [column for column in columns if column.name not in given]
    for column in columns:
        if column.name in given:
            _cast(cells, column, given[column.name], options)
    if not options.all_text:
        for start in range(0, len(free), AT_ONCE):
            _find(cells, free[start : start + AT_ONCE], options)
        if options.date_format and not any(column.type in ("DATE", "TIMESTAMP") for column in columns):
            columns[0].notes.append(f"no column has only dates in the date_format {options.date_format}")
    return columns


def _given(columns: Sequence[Column], options: ReaderOptions) -> dict[str, str]:
    known = {column.name.lower(): column.name for column in columns}
    for name in options.types:
        if name.lower() not in known:
            raise DataError(f"`types` names the column {name!r}, the columns are: {', '.join(known.values())[:300]}")
    return {known[name.lower()]: type_ for name, type_ in options.types.items()}


def number_text(place: str, options: ReaderOptions) -> str:
    """Return the SQL of the text of a number with a point and without separators of thousands.

    It is NULL if the separators do not divide the number into groups of three digits.
    """
    text = f"trim({place})"
    point, group = options.decimal, options.thousands
    if group:
        pattern = rf"[+-]?(\d{{1,3}}({re.escape(group)}\d{{3}})+|\d+)({re.escape(point)}\d*)?"
        text = f"CASE WHEN regexp_full_match({text}, {literal(pattern)}) THEN replace({text}, {literal(group)}, '') END"
    if point != ".":
        text = f"CASE WHEN NOT contains({text}, '.') THEN replace({text}, {literal(point)}, '.') END"
    return text


def _cast(cells: Cells, column: Column, type_: str, options: ReaderOptions) -> None:
    """Give a column the type of the settings. Raises DataError with the line of the first cell that does not fit."""
    place = column.place
    upper = type_.upper()
    if upper in ("VARCHAR", "TEXT", "STRING"):
        return
    if upper in ("DATE", "TIMESTAMP") and options.date_format:
        converted = f"CAST(try_strptime({place}, {literal(options.date_format)}) AS {upper})"
    elif upper in ("DATE", "TIMESTAMP", "TIME", "BOOLEAN", "TIMESTAMPTZ", "UUID", "TIMESTAMP WITH TIME ZONE"):
        converted = f"TRY_CAST({place} AS {upper})"
    else:
        converted = f"TRY_CAST({number_text(place, options)} AS {upper})"
    bad = cells.first(place, f"{place} IS NOT NULL AND NOT {missing(place)} AND {converted} IS NULL")
    if bad is not None:
        raise DataError(f"{bad[0]}: {bad[1]} in column {column.name!r} is not {upper}, as `types` says")
    column.type, column.expression = upper, converted


def _find(cells: Cells, columns: Sequence[Column], options: ReaderOptions) -> None:
    """Find the types of some columns.

    The first query counts the cells of all columns, and how many begin with a digit or a sign. The second counts for
    each column the cells of the one type that its least and its greatest cell have. Columns of which this is not every
    cell are looked at more closely.
    """
    tests: list[str] = []
    for column in columns:
        x = column.place
        tests += [f"count({x})", f"count(*) FILTER ({x} < ':')", f"min({x})", f"max({x})"]
    found = cells.row(tests)
    rest: list[Column] = []
    likely: list[tuple[Column, str, str, int]] = []
    for index, column in enumerate(columns):
        count, figures, low, high = found[4 * index : 4 * index + 4]
        if not count or (not figures and not options.date_format and _is_word(high)):
            continue
        type_, test = _likely(column.place, low, high, options)
        if type_ is None:
            rest.append(column)
        else:
            likely.append((column, type_, test, count))
    if likely:
        counts = cells.row([f"count(*) FILTER ({test})" for _, _, test, _ in likely])
        for (column, type_, _, count), fit in zip(likely, counts, strict=True):
            if fit == count:
                column.type, column.expression = type_, f"CAST({column.place} AS {type_})"
            else:
                rest.append(column)
    if rest:
        _look_closely(cells, rest, options)


def _is_word(text: str) -> bool:
    """Return whether a text is neither a value of a type nor stands for a missing one."""
    return text.strip().lower() not in (*MISSING, *INFINITE, "true", "false")


def _likely(x: str, low: str, high: str, options: ReaderOptions) -> tuple[str | None, str]:
    """Return the type that the least and the greatest text of a column have, and the test that a text has it."""

    def both(pattern: str) -> bool:
        return re.fullmatch(pattern, low) is not None and re.fullmatch(pattern, high) is not None

    if low.startswith("+"):  # It may be a telephone number.
        return None, ""
    if both(SMALL_INTEGER):
        return "BIGINT", f"regexp_full_match({x}, '{SMALL_INTEGER}')"
    if options.decimal == "." and not options.thousands and both(SMALL_DECIMAL):
        return "DOUBLE", f"regexp_full_match({x}, '{SMALL_DECIMAL}')"
    if {low.lower(), high.lower()} <= {"true", "false"}:
        return "BOOLEAN", f"lower({x}) IN ('true', 'false')"
    for type_, pattern in (("DATE", DAY), ("TIMESTAMP", rf"{DAY} \d\d:\d\d:\d\d")):
        if not options.date_format and both(pattern):
            return type_, f"{x} = CAST(TRY_CAST({x} AS {type_}) AS VARCHAR)"
    return None, ""


def _look_closely(cells: Cells, columns: Sequence[Column], options: ReaderOptions) -> None:
    """Find the types of columns with missing values, or with cells of several kinds."""
    tests: list[str] = []
    for column in columns:
        x, n = column.place, number_text(column.place, options)
        tests += [
            f"count({x})",
            f"count(*) FILTER ({missing(x)})",
            f"count(*) FILTER (regexp_full_match({n}, '{SMALL_INTEGER}'))",
            f"count(*) FILTER (regexp_full_match({n}, '{SMALL_DECIMAL}'))",
            f"count(*) FILTER (regexp_full_match({x}, '\\s*[-+]?\\.?\\d.*'))",
            f"lower(trim(min({x})))",
            f"lower(trim(max({x})))",
            f"count(*) FILTER (regexp_full_match({n}, '{TELEPHONE}'))",
        ]
    found = cells.row(tests)
    for index, column in enumerate(columns):
        count, absent, integers, decimals, digits, low, high, calls = found[8 * index : 8 * index + 8]
        present = count - absent
        if not present:
            continue
        n = number_text(column.place, options)
        if integers == present and not calls:
            column.type, column.expression = "BIGINT", _cast_sql(n, "BIGINT", absent, column.place)
        elif decimals == present and not calls:
            column.type, column.expression = "DOUBLE", _cast_sql(n, "DOUBLE", absent, column.place)
        elif digits or options.date_format or options.thousands or low in INFINITE or high in INFINITE:
            _find_rarer(cells, column, present, absent, options)
        elif {low, high} <= {"true", "false"} or absent:
            _find_truth(cells, column, present, absent)
        if column.type is not None and absent:
            _note_missing(cells, column, absent)


def _find_truth(cells: Cells, column: Column, present: int, absent: int) -> None:
    (truths,) = cells.row([f"count(*) FILTER (lower(trim({column.place})) IN ('true', 'false'))"])
    if truths == present:
        column.type, column.expression = "BOOLEAN", _cast_sql(f"trim({column.place})", "BOOLEAN", absent, column.place)


def _find_rarer(cells: Cells, column: Column, present: int, absent: int, options: ReaderOptions) -> None:
    """Find the type of a column with digits that are not plain numbers in every cell."""
    x, n = column.place, number_text(column.place, options)
    numbers, figures = cells.row(
        [
            f"count(TRY_CAST({n} AS DOUBLE)) FILTER (NOT {missing(x)})",
            f"count(*) FILTER (regexp_full_match({x}, '\\s*[-+]?\\d[-+0-9.,:/TZ ]*'))",
        ]
    )
    if numbers == present:
        return number_column(cells, column, absent, options)
    if figures or options.date_format:
        date_column(cells, column, present, absent, options.date_format)
    if column.type is None and not column.notes and numbers >= MOSTLY * present:
        other = cells.first(x, f"NOT {missing(x)} AND TRY_CAST({n} AS DOUBLE) IS NULL")
        if other is not None:
            column.notes.append(
                f"column {column.name!r} is text, because {present - numbers:,} of {present:,} texts are no numbers: "
                f"{other[1]} ({other[0]})"
            )
    if column.type is None and not column.notes and figures == present:
        _note_separators(cells, column, present)
    return None


def _cast_sql(text: str, type_: str, absent: int, place: str | None = None) -> str:
    cast = f"CAST({text} AS {type_})"
    return f"CASE WHEN NOT {missing(place or text)} THEN {cast} END" if absent else cast


def number_column(cells: Cells, column: Column, absent: int, options: ReaderOptions) -> None:
    """Give a column in which every text can be a number its type, or leave it text with a note.

    `1E5` is a number only if some cell of the column has a sign or a point, which identifiers do not have.
    """
    x = column.place
    n = number_text(x, options)
    there = f"NOT {missing(x)}"
    tests = {
        "strange": f"count(*) FILTER (NOT regexp_full_match({n}, "
        r"'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|INF|infinity|Infinity)'))",
        "led": rf"count(*) FILTER (regexp_full_match({n}, '[+-]?0\d+(\..*)?'))",
        "calls": f"count(*) FILTER (regexp_full_match({n}, '{TELEPHONE}'))",
        "powers": rf"count(*) FILTER (regexp_full_match({n}, '\d+[eE]\d+'))",
        "certain": rf"count(*) FILTER (regexp_full_match({n}, '[+-].*|.*[.].*|.*[eE][+-].*'))",
        "whole": rf"count(*) FILTER (regexp_full_match({n}, '[+-]?\d+'))",
        "plain": rf"count(*) FILTER (regexp_full_match({n}, '[+-]?(\d+\.?\d*|\.\d+)'))",
        "before": rf"max(length(ltrim(regexp_extract(ltrim({n}, '+-'), '^\d*'), '0')))",
        "after": rf"max(length(regexp_extract({n}, '\.(\d*)', 1)))",
        "all": "count(*)",
        "big": f"count(TRY_CAST({n} AS BIGINT))",
    }
    found = dict(zip(tests, cells.row(list(tests.values()), f"{x} IS NOT NULL AND {there}"), strict=True))
    for kind, pattern, why in (
        ("led", r"[+-]?0\d+(\..*)?", "begin with 0"),
        ("calls", TELEPHONE, "begin with + and are like telephone numbers"),
        ("powers", r"\d+[eE]\d+", "are like 1E5, which can be a number or a name"),
        ("strange", "", "are not written as numbers"),
    ):
        if found[kind] and not (kind == "powers" and found["certain"]):
            condition = f"regexp_full_match({n}, '{pattern}')" if pattern else "true"
            if kind == "strange":
                condition = rf"NOT regexp_full_match({n}, '[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?')"
            where = cells.first(x, f"{there} AND {condition}")
            assert where is not None
            column.notes.append(
                f"column {column.name!r} is text, because {found[kind]:,} of {found['all']:,} numbers {why}: "
                f"{where[1]} ({where[0]}); `types` can make it a number"
            )
            return
    column.type = _number_type(cells, column, n, found, f"{x} IS NOT NULL AND {there}")
    if column.type is not None:
        column.expression = _cast_sql(n, column.type, absent, x)


def _number_type(cells: Cells, column: Column, n: str, found: dict[str, int], where: str) -> str | None:
    if found["whole"] == found["all"]:
        if found["big"] == found["all"]:
            return "BIGINT"
        if found["before"] <= WIDEST:
            return "HUGEINT" if found["before"] < WIDEST else "DECIMAL(38,0)"
        column.notes.append(
            f"column {column.name!r} is text, because its integers have up to {found['before']} digits "
            f"(at most {WIDEST} are possible)"
        )
        return None
    scale, before = found["after"] or 0, found["before"]
    if (
        found["plain"] == found["all"]
        and before + scale > 15
        and (scale <= FINEST or before > 15)
        and before + scale <= WIDEST
    ):
        decimal = f"DECIMAL({WIDEST},{scale})"
        (lossy,) = cells.row(
            [
                f"count(*) FILTER (CAST({n} AS {decimal}) IS DISTINCT FROM "
                f"TRY_CAST(CAST(CAST({n} AS DOUBLE) AS VARCHAR) AS {decimal}))"
            ],
            where,
        )
        if lossy:
            return decimal
    return "DOUBLE"


def _note_missing(cells: Cells, column: Column, absent: int) -> None:
    (texts,) = cells.row([f"list(DISTINCT trim({column.place}))"], missing(column.place))
    listed = ", ".join(sorted(map(repr, texts))[:5])
    column.notes.append(f"column {column.name!r}: {listed} are read as missing values ({absent:,} cells)")


SEPARATORS = (
    ('decimal = ","', r"[+-]?\d+(,\d+)?"),
    ('thousands = ","', r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?"),
    ('thousands = "." and decimal = ","', r"[+-]?\d{1,3}(\.\d{3})*(,\d+)?"),
)
"""Options, and the texts that are numbers with them."""


def _note_separators(cells: Cells, column: Column, present: int) -> None:
    x = f"trim({column.place})"
    counts = cells.row([f"count(*) FILTER (regexp_full_match({x}, {literal(pattern)}))" for _, pattern in SEPARATORS])
    hints = [hint for (hint, _), count in zip(SEPARATORS, counts, strict=True) if count == present]
    hints = hints[:-1] if len(hints) > 1 else hints  # both options are only needed if one is not enough
    if hints:
        column.notes.append(f"column {column.name!r} is text: if its texts are numbers, set {' or '.join(hints)}")


def note_points(cells: Cells, columns: Sequence[Column]) -> None:
    """Add a note to columns of numbers such as 1.234, in which the point could separate thousands."""
    decimals = [column for column in columns if column.type == "DOUBLE"]
    if not decimals:
        return
    tests = [
        f"count(*) FILTER (NOT {missing(column.place)} AND NOT regexp_full_match({column.place}, '{THOUSANDS}'))"
        for column in decimals
    ]
    for column, others in zip(decimals, cells.row(tests), strict=True):
        if not others:
            column.notes.append(
                f"column {column.name!r}: the point is read as the decimal point; if it separates thousands, set "
                'thousands = "." and decimal = ","'
            )
