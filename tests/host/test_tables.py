"""Requests for aggregates: their text, their SQL, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from mcp_host.tables import MOST_MEASURES, Aggregate, By, Measure


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    "request_",
    [
        Aggregate((Measure("count"),)),
        Aggregate((Measure("below", "a", 1.5), Measure("deviations", "b", -3)), (By("c"), By("d", 7)), "most", 8, 3),
        Aggregate((), (By("a"),)),
    ],
)
def test_a_request_is_read_as_it_was_written(request_: Aggregate) -> None:
    assert Aggregate.parse(request_.text()) == request_


@pytest.mark.parametrize(
    "found",
    [
        "SELECT 1",
        "[]",
        "{}",
        {"measures": [["sum", "a"]]},
        {"measures": [["min"]]},
        {"measures": [["below", "a"]]},
        {"measures": [["below", "a", "x' OR 1=1 --"]]},
        {"measures": [["below", "a", True]]},
        {"measures": [["count"]] * (MOST_MEASURES + 1)},
        {"measures": [["count"]], "limit": 1001},
        {"measures": [["count"]], "limit": "1; DROP TABLE t"},
        {"measures": [["count"]], "offset": -1},
        {"measures": [["count"]], "offset": "0"},
        {"measures": [["count"]], "order": "random()"},
        {"measures": [["count"]], "sql": "x"},
        {"by": [["a", "7"]]},
        {"by": [["a"], ["b"], ["c"]]},
    ],
)
def test_what_is_no_aggregate_is_refused(found: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Aggregate.parse(found if isinstance(found, str) else json.dumps(found))


def test_names_are_quoted_and_unknown_ones_refused() -> None:
    connection = sqlite3.connect(":memory:")
    evil = 'a" FROM t; --'
    connection.execute(f"CREATE TABLE t ({quoted(evil)}, b)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "x"), (None, "y"), (4, None)])
    request = Aggregate((Measure("count"), Measure("mean", evil)), (By("b"),))
    rows = connection.execute(request.sql("t", [evil, "b"], quoted)).fetchall()
    assert rows == [("x", 2, 1.5), ("y", 1, None)]
    connection.close()
    with pytest.raises(ValueError, match="there is no column 'c'"):
        Aggregate((Measure("min", "c"),)).sql("t", ["a"], quoted)
