"""Figures, trends and cross-tabs are from all rows, computed by the source."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import CallToolResult

from plugins.report.results import read, report_of, text_of

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("source", ["stats/penguins", "sql/orders"])
async def test_the_figures_of_the_source_are_those_of_the_rows(served: Served, source: str) -> None:
    async with served(stats_settings={"max_rows": 1000}) as client:
        computed = report_of(await client.call_tool("generate_report", {"source": source}))
        total = computed.total
        read_ = report_of(await client.call_tool("generate_report", {"source": source, "rows": total}))
    assert computed.columns == read_.columns
    assert computed.preview == read_.preview


async def test_a_table_larger_than_any_sample_is_described_whole(served: Served, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE many (n INTEGER, x REAL, late TEXT, mixed, kind TEXT)")
        rows = (
            (n, n / 8, None if n < 19_990 else "z", n if n < 15_000 else "text", "ab"[n % 2]) for n in range(20_000)
        )
        connection.executemany("INSERT INTO many VALUES (?, ?, ?, ?, ?)", rows)
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "many"})
    report = report_of(result)
    assert report.basis == "all 20000 rows"
    n, x, late, mixed, kind = report.columns
    assert n.figures is not None
    assert (n.figures.min, n.figures.median, n.figures.max, n.figures.mean) == (0, 9999.5, 19999, 9999.5)
    assert n.figures.stdev == pytest.approx(5773.647, abs=0.001)
    assert n.chart is not None
    assert sum(bar.count for bar in n.chart.bars) == 20_000
    assert x.figures is not None
    assert x.figures.q3 == 1874.9062
    assert (late.kind, late.count, late.missing, late.distinct) == ("text", 10, 19_990, 1)
    assert "not all numbers" in mixed.partial
    assert "(first rows only) | 100 |" in text_of(result)
    assert kind.chart is not None
    assert [(bar.label, bar.count) for bar in kind.chart.bars] == [("a", 10_000), ("b", 10_000)]


async def test_a_column_of_dates_gives_a_trend(served: Served) -> None:
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "orders", "columns": ["day", "price"]})
        report = report_of(result)
        page = await read(client, report.html_uri)
    assert report.trend is not None
    assert (report.trend.column, report.trend.period, report.trend.numbers) == ("day", "day", ["price"])
    points = {point.period: (point.rows, point.means) for point in report.trend.points}
    assert len(points) == 30
    assert points["2025-03-07"] == (1, [None])
    assert points["2025-03-10"] == (1, [15])
    assert "## By day of day" in text_of(result)
    assert "| 2025-03-10 | 1 | 15 |" in text_of(result)
    assert page.count("<polyline") == 2


async def test_a_long_trend_has_months_or_years(served: Served, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE years (day DATE, v INTEGER)")
        rows = [(f"{1900 + n // 12}-{n % 12 + 1:02}-15", n) for n in range(1200)]
        connection.executemany("INSERT INTO years VALUES (?, ?)", rows)
        connection.execute("CREATE TABLE months AS SELECT * FROM years WHERE day >= '1997-01-01'")
    async with served() as client:
        years = report_of(await client.call_tool("generate_report", {"source": "years"})).trend
        months = report_of(await client.call_tool("generate_report", {"source": "months"})).trend
    assert years is not None
    assert months is not None
    assert (years.period, len(years.points), years.cut) == ("year", 60, 40)
    assert (years.points[-1].period, years.points[-1].rows, years.points[-1].means) == ("1999", 12, [1193.5])
    assert (months.period, [point.period for point in months.points[:2]]) == ("month", ["1997-01", "1997-02"])


async def test_two_columns_are_counted_together(served: Served) -> None:
    wish = {"source": "penguins", "columns": ["species", "sex"], "crosstab": ["species", "sex"]}
    async with served() as client:
        result = await client.call_tool("generate_report", wish)
        report = report_of(result)
        page = await read(client, report.html_uri)
    table = report.crosstab
    assert table is not None
    assert (table.rows, table.columns) == (["Adelie", "Gentoo", "Chinstrap"], ["male", "female"])
    assert (table.counts, table.others, table.complete) == ([[73, 73], [61, 58], [34, 34]], 0, True)
    assert "| Gentoo | 61 | 58 |" in text_of(result)
    assert "<h2>species by sex</h2>" in page


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"over": "shop"}, "'shop' is not a column of dates in this report."),
        ({"over": "dya"}, "Did you mean 'day'?"),
        ({"crosstab": ["shop", "dya"]}, "'dya' is not a column of this report. Did you mean 'day'?"),
        ({"crosstab": ["shop", "day"], "rows": 5}, "leave rows out"),
    ],
)
async def test_a_wrong_wish_is_named(served: Served, refused: Refused, wish: dict[str, object], expected: str) -> None:
    async with served() as client:
        assert expected in refused(await client.call_tool("generate_report", {"source": "orders", **wish}))
