from __future__ import annotations

import json
import math
import statistics
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_plugin_report.columns import describe
from mcp_plugin_report.models import ColumnReport

VALUES = st.lists(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates().map(str)
    | st.datetimes().map(lambda time: time.isoformat())
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    max_size=40,
)
NUMBERS = st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)
TYPES = st.sampled_from(["", "INTEGER", "DECIMAL(10,2)", "VARCHAR", "DATE", "TIMESTAMP WITH TIME ZONE"])


def bars_of(column: ColumnReport) -> dict[str, int]:
    assert column.chart is not None
    return {bar.label: bar.count for bar in column.chart.bars}


@given(VALUES, TYPES)
def test_the_chart_of_any_column_counts_each_value_once(values: list[Any], type_name: str) -> None:
    column = describe("c", type_name, values, 4)
    assert column.count + column.missing == len(values)
    assert column.distinct <= column.count
    if column.chart is not None:
        assert sum(bar.count for bar in column.chart.bars) + column.chart.others == column.count
        assert max(bar.count for bar in column.chart.bars) > 0
    json.loads(column.model_dump_json())


@given(NUMBERS)
@example([2**53 + 1, 2**53 + 1])
@example([2**53 + 1, 2**53 + 3, 2**53 + 4])
@example([-(2**60) - 1, 0.5, 2**60 + 1])
def test_numbers_have_figures_and_a_chart_of_limited_size(values: list[float | int]) -> None:
    column = describe("c", "DOUBLE", values, 15)
    assert column.kind in ("number", "text")
    if column.figures is not None:
        figures = column.figures
        assert figures.min <= figures.q1 <= figures.median <= figures.q3 <= figures.max
        assert figures.stdev is None or math.isfinite(figures.stdev)
    if column.chart is not None:
        assert len(column.chart.bars) <= 30


def test_figures_agree_with_the_statistics_module() -> None:
    values = [2, 4, 4, 4, 5, 5, 7, 9]
    figures = describe("c", "BIGINT", values, 3).figures
    assert figures is not None
    assert figures.model_dump() == {
        "min": 2,
        "q1": 4,
        "median": 4.5,
        "mean": 5,
        "q3": 5.5,
        "max": 9,
        "stdev": round(statistics.stdev(values), 3),
    }


def test_a_histogram_has_round_limits_and_a_limit_belongs_to_the_range_above_it() -> None:
    column = describe("c", "DOUBLE", [0.0, 0.5, 1.0, 2.0, 3.0, 11.5, 12.0], 4)
    assert bars_of(column) == {
        "0 to 1": 2,
        "1 to 2": 1,
        "2 to 3": 1,
        "3 to 4": 1,
        **{f"{n} to {n + 1}": 0 for n in range(4, 11)},
        "11 to 12": 2,
    }


def test_a_few_whole_numbers_each_have_a_bar_in_their_order() -> None:
    assert list(bars_of(describe("year", "BIGINT", [2009, 2007, 2009], 4)).items()) == [("2007", 1), ("2009", 2)]


def test_decimals_as_text_are_numbers_if_the_type_is_a_number() -> None:
    assert describe("c", "DECIMAL(8, 2)", ["1.5", "2.5"], 4).kind == "number"
    assert describe("c", "VARCHAR", ["1.5", "2.5"], 4).kind == "text"
    assert describe("c", "DECIMAL", ["1.5", "much"], 4).kind == "text"


@pytest.mark.parametrize("huge", [10**400, 1e308])
def test_numbers_too_large_for_a_float_are_counted(huge: float | int) -> None:
    column = describe("c", "DOUBLE", [huge, -huge, 1], 4)
    assert column.count == 3
    json.loads(column.model_dump_json())


def test_times_are_grouped_by_days_or_less_with_their_time_zones() -> None:
    days = describe("c", "DATE", ["2025-03-01", "2025-03-20", None], 4)
    assert (days.kind, days.first, days.last, days.missing) == ("time", "2025-03-01", "2025-03-20", 1)
    assert "2025-03-01 to 2025-03-03" in bars_of(days)
    hours = describe("c", "TIMESTAMP", ["2025-03-01T10:00:00+02:00", "2025-03-01T09:30:00"], 4)
    assert (hours.first, hours.last) == ("2025-03-01 08:00:00", "2025-03-01 09:30:00")
    assert describe("c", "DATE", ["2025-03-01", "soon"], 4).kind == "text"
    assert describe("c", "DATE", ["0001-01-01", "9999-12-31"], 4).kind == "time"


def test_booleans_are_not_numbers() -> None:
    column = describe("c", "BOOLEAN", [True, False, True, None], 4)
    assert (column.kind, column.missing, column.figures) == ("boolean", 1, None)
    assert bars_of(column) == {"true": 2, "false": 1}


def test_texts_that_all_differ_have_no_chart_and_rare_texts_are_counted_together() -> None:
    assert describe("c", "TEXT", [f"t{n}" for n in range(20)], 4).chart is None
    column = describe("c", "TEXT", ["a"] * 3 + [f"t{n}" for n in range(10)], 4)
    assert column.chart is not None
    assert column.chart.bars[0].label == "a"
    assert column.chart.others == 3


def test_long_texts_are_shortened_and_invisible_characters_are_shown() -> None:
    column = describe("a\u202eb\x00\n", "T\tX", ["x" * 1000, "x" * 1000], 4)
    assert column.name == "a\\u202eb\\u0000 "
    assert column.type == "T X"
    assert list(bars_of(column)) == ["x" * 77 + "..."]
