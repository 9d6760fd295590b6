"""A number in a result has the digits that it had in the data."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.values import exact_number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53 - 1, 9007199254740991),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (Decimal("1.10"), 1.1),
        (Decimal("42.0"), 42),
        (Decimal("1E+20"), "100000000000000000000"),
        (Decimal("0.123456789012345"), 0.123456789012345),
        (Decimal("0.1234567890123456"), "0.1234567890123456"),
        (Decimal("1.00000000000000000000000000000001"), "1.00000000000000000000000000000001"),
        (Decimal("10000000000000000000000000000000.1"), "10000000000000000000000000000000.1"),
        (Decimal("1.00000000000000000000000000000000"), 1),
        (Decimal("1E+400"), "1E+400"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("sNaN"), "NaN"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (0.1, 0.1),
    ],
)
def test_a_number_keeps_its_digits(value: int | float | Decimal, expected: object) -> None:
    shown = exact_number(value)
    assert shown == expected
    assert type(shown) is type(expected)


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_no_digit_changes_when_a_reader_uses_doubles(value: Decimal | int) -> None:
    shown = exact_number(value)
    read = Decimal(shown) if isinstance(shown, str) else Decimal(repr(float(shown)))
    assert read == Decimal(value)
