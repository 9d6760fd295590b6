from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_plugin_sql.collecting import Collector
from mcp_plugin_sql.values import to_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53 - 1, 9007199254740991),
        (-(2**53), "-9007199254740992"),
        (Decimal("1.10"), 1.1),
        (Decimal("1E+20"), "100000000000000000000"),
        (Decimal("0.1234567890123456"), "0.1234567890123456"),
        (Decimal("Infinity"), "Infinity"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (b"\x00\xff", {"base64": "AP8=", "bytes": 2}),
        (datetime.date(2025, 3, 1), "2025-03-01"),
        (datetime.timedelta(days=1, microseconds=5), "24:00:00.000005"),
        (-datetime.timedelta(seconds=1), "-00:00:01"),
        ({"a": (1, Decimal("2"))}, {"a": [1, 2]}),
        ("x" * 10_001, "x" * 10_000 + "... (10001 characters)"),
        ("\udcff", "?"),
    ],
)
def test_a_value_is_converted_to_json(value: Any, expected: Any) -> None:
    assert to_json(value) == expected


def test_long_bytes_are_cut_and_marked() -> None:
    assert to_json(b"x" * 5000) == {"base64": to_json(b"x" * 1000)["base64"], "bytes": 5000, "cut": True}


@given(st.decimals())
def test_a_decimal_is_a_number_only_if_it_stays_exact(value: Decimal) -> None:
    said = to_json(value)
    if value.is_finite():
        assert Decimal(str(said)) == value
    json.dumps(said, allow_nan=False)


@given(st.lists(st.text(max_size=50), max_size=50), st.integers(1, 60), st.integers(10, 500))
def test_a_collector_respects_its_limits_and_counts_every_row(texts: list[str], rows: int, size: int) -> None:
    into = Collector(rows, size)
    for text in texts:
        assert into.add([text])
    assert len(into.rows) + into.unseen == len(texts)
    assert len(into.rows) <= rows
    written = json.dumps(into.rows, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(written) <= size + 2
    assert bool(into.note) == (into.unseen > 0)
