from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host import ToolError
from mcp_plugin_stats.arithmetic import LARGEST, calculate
from mcp_plugin_stats.models import Operation
from mcp_plugin_stats.values import rounded

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

finite = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("count", 8),
        ("sum", 40),
        ("mean", 5),
        ("median", 4.5),
        ("min", 2),
        ("max", 9),
        ("variance", 4.5714),
        ("stdev", 2.1381),
    ],
)
def test_the_statistics_of_a_textbook_sample(operation: Operation, value: float) -> None:
    result = calculate([2, 4, 4, 4, 5, 5, 7, 9], operation, 4)
    assert (result.value, result.count, result.quantiles) == (value, 8, None)


def test_quantiles_are_the_interpolated_quartiles() -> None:
    result = calculate([1, 2, 3, 4], "quantiles", 4)
    assert result.value is None
    assert result.quantiles is not None
    assert result.quantiles.model_dump() == {"q1": 1.75, "median": 2.5, "q3": 3.25}


def test_one_number_is_its_own_quartiles() -> None:
    result = calculate([7], "quantiles", 4)
    assert result.quantiles is not None
    assert result.quantiles.model_dump() == {"q1": 7, "median": 7, "q3": 7}


def test_the_count_of_an_empty_list_is_zero() -> None:
    assert calculate([], "count", 4).value == 0


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "count"])
def test_everything_but_count_refuses_an_empty_list(operation: Operation) -> None:
    with pytest.raises(ToolError, match=rf"^{operation} needs at least \d numbers?: the list is empty\.$"):
        calculate([], operation, 4)


@pytest.mark.parametrize("operation", ["variance", "stdev"])
def test_variance_and_stdev_of_one_number_are_refused(operation: Operation) -> None:
    with pytest.raises(ToolError, match=rf"^{operation} needs at least 2 numbers: there is 1\.$"):
        calculate([1], operation, 4)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("number", "name"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_a_number_that_is_not_finite_is_refused_with_its_name_and_index(
    operation: Operation, number: float, name: str
) -> None:
    with pytest.raises(ToolError, match=rf"^numbers\[1\] is {name}: "):
        calculate([1.0, number], operation, 4)


@pytest.mark.parametrize("number", [10**400, -(10**400), LARGEST + 1])
def test_a_huge_number_is_refused_with_its_index(number: int) -> None:
    with pytest.raises(ToolError, match=r"^numbers\[0\] is too large"):
        calculate([number], "max", 4)


@pytest.mark.parametrize(
    ("numbers", "operation"),
    [
        ([1e308, 1e308], "sum"),
        ([10**308] * 20, "sum"),
        ([1e200, -1e200], "variance"),
        ([LARGEST, -LARGEST], "variance"),
    ],
)
def test_an_overflow_is_a_clear_error(numbers: list[float], operation: Operation) -> None:
    with pytest.raises(ToolError, match=rf"^Overflow: the {operation} of these numbers"):
        calculate(numbers, operation, 4)


def test_an_intermediate_overflow_does_not_matter() -> None:
    assert calculate([1e308, 1e308, -1e308], "sum", 4).value == 1e308
    assert calculate([1.6e308, 1.7e308], "median", 4).value == pytest.approx(1.65e308)
    assert calculate([1e200, -1e200], "stdev", 4).value == pytest.approx(math.sqrt(2) * 1e200)


def test_integers_stay_exact() -> None:
    assert calculate([2**63, 1], "sum", 4).value == 2**63 + 1
    assert calculate([2**63, 2**63 + 2], "mean", 4).value == 2**63 + 1
    assert calculate([2**63 + 1, 3], "max", 4).value == 2**63 + 1


@given(st.lists(finite, min_size=2, max_size=30), st.sampled_from(OPERATIONS), st.integers(0, 15))
def test_any_finite_numbers_give_a_finite_result_or_an_error(
    numbers: list[int | float], operation: Operation, digits: int
) -> None:
    try:
        result = calculate(numbers, operation, digits)
    except ToolError:
        with pytest.raises(ToolError, match=r"^Overflow"):
            calculate(numbers, operation, digits)
        return
    figures = [result.value] if result.quantiles is None else list(result.quantiles.model_dump().values())
    assert all(figure is not None and math.isfinite(figure) for figure in figures)
    assert type(result).model_validate_json(result.model_dump_json()) == result


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_the_results_agree_with_the_standard_library(numbers: list[float]) -> None:
    assert calculate(numbers, "sum", 15).value == pytest.approx(math.fsum(numbers), rel=1e-9, abs=1e-9)
    assert calculate(numbers, "mean", 15).value == pytest.approx(statistics.fmean(numbers), rel=1e-9, abs=1e-9)
    assert calculate(numbers, "median", 15).value == pytest.approx(statistics.median(numbers), rel=1e-9, abs=1e-9)
    assert calculate(numbers, "stdev", 15).value == pytest.approx(statistics.stdev(numbers), rel=1e-9, abs=1e-9)
    quartiles = calculate(numbers, "quantiles", 15).quantiles
    assert quartiles is not None
    expected = statistics.quantiles(numbers, n=4, method="inclusive")
    assert list(quartiles.model_dump().values()) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(st.lists(st.integers(), min_size=1, max_size=30))
def test_sums_of_integers_are_exact(numbers: list[int]) -> None:
    assert calculate(numbers, "sum", 0).value == sum(numbers)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 15))
def test_rounding_never_turns_another_number_into_zero(value: float, digits: int) -> None:
    short = rounded(value, digits)
    assert short is not None
    assert (short == 0) == (value == 0)
    assert abs(Fraction(short) - Fraction(value)) <= Fraction(1, 10**digits) or abs(value) > 1e15


def test_rounding_keeps_decimals_or_significant_digits_of_tiny_numbers() -> None:
    assert rounded(2.71828, 2) == 2.72
    assert rounded(0.000123456, 2) == 0.00012
    assert rounded(math.nan, 2) is None
    assert rounded(10**30, 2) == 10**30
