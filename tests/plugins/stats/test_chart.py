"""The figures of charts: right over dates, categories and numbers, with everything that is left out counted."""

from __future__ import annotations

import base64
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client
from mcp.types import CallToolResult, ImageContent, TextContent

from plugins.stats.charts import chart_of, figures

Served = Callable[..., AbstractAsyncContextManager[Client]]
Parquet = Callable[[Path, str], None]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


# Dates


async def test_months_have_all_their_days_also_the_last_ones_and_before_1970(served: Served, folder: Path) -> None:
    days = ["1899-12-31", "1900-01-01", "1900-01-31", "1900-02-28", "1900-03-01", "1900-03-31"]
    (folder / "t.csv").write_text("d,v\n" + "".join(f"{day},{2**n}\n" for n, day in enumerate(days)))
    async with served(datasets={"t": "t.csv"}) as client:
        months = await chart_of(client, dataset="t", kind="line", x="d", y="v", aggregate="sum", period="month")
        quarters = await chart_of(client, dataset="t", kind="bar", x="d", y="v", aggregate="mean", period="quarter")
        years = await chart_of(client, dataset="t", kind="bar", x="d", period="year")
    assert figures(months) == {"1899-12-01": 1, "1900-01-01": 6, "1900-02-01": 8, "1900-03-01": 48}
    assert (months.x.scale, months.x.period, months.x.title) == ("time", "month", "d (month)")
    assert figures(quarters) == {"1899-10-01": 1.0, "1900-01-01": 12.4}
    assert quarters.x.labels == ["1899 Q4", "1900 Q1"]
    assert figures(years) == {"1899-01-01": 1, "1900-01-01": 5}


async def test_weeks_begin_on_mondays_as_in_iso_8601(served: Served, folder: Path) -> None:
    days = [date(2019, 12, 20) + timedelta(days=n) for n in range(40)]
    (folder / "t.csv").write_text("d\n" + "".join(f"{day}\n" for day in days))
    async with served(datasets={"t": "t.csv"}) as client:
        chart = await chart_of(client, dataset="t", kind="line", x="d", period="week")
    assert figures(chart) == Counter((day - timedelta(days=day.weekday())).isoformat() for day in days)


async def test_a_time_with_a_zone_belongs_to_the_day_in_utc(
    served: Served, folder: Path, parquet: Parquet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    times = ["2024-03-10 00:30:00+02", "2024-03-10 12:00:00+00", "2024-03-10 23:30:00-05", "1969-12-31 23:30:00-01"]
    rows = ", ".join(f"(TIMESTAMPTZ '{time}', TIMESTAMP '{time[:19]}')" for time in times)
    parquet(folder / "t.parquet", f"SELECT * FROM (VALUES {rows}) t(z, n)")
    async with served(datasets={"t": "t.parquet"}) as client:
        zoned = await chart_of(client, dataset="t", kind="bar", x="z", aggregate="count", period="day", limit=2)
        naive = await chart_of(client, dataset="t", kind="line", x="n", period="year")
    assert figures(zoned) == {"2024-03-10": 1, "2024-03-11": 1}
    assert zoned.x.title == "z (day, UTC)"
    assert zoned.notes == ["Only the last 2 days of the axis are drawn: 2 earlier days with 2 rows left out."]
    assert (figures(naive)["1969-01-01"], figures(naive)["2024-01-01"]) == (1, 3)


async def test_the_period_fits_the_dates(served: Served, folder: Path) -> None:
    def days(number: int, step: int) -> list[date]:
        return [date(2020, 1, 1) + timedelta(days=n * step) for n in range(number)]

    tables = {
        "daily": days(300, 1),
        "weekdays": [day for day in days(300, 1) if day.weekday() < 5],
        "weekly": days(100, 7),
        "monthly": [date(2000 + n // 12, n % 12 + 1, 1) for n in range(48)],
        "quarterly": [date(1950 + n // 4, n % 4 * 3 + 1, 1) for n in range(80)],
        "yearly": [date(1500 + n, 7, 1) for n in range(300)],
        "one": [date(2024, 2, 29)],
    }
    for name, table in tables.items():
        (folder / f"{name}.csv").write_text("d,v\n" + "".join(f"{day},1\n" for day in table))
    (folder / "minutes.csv").write_text("d,v\n" + "".join(f"2024-01-01 00:{n:02}:00,1\n" for n in range(60)))
    async with served(datasets={name: f"{name}.csv" for name in (*tables, "minutes")}) as client:
        found = {
            name: (await chart_of(client, dataset=name, kind="line", x="d", y="v")).x.period
            for name in (*tables, "minutes")
        }
    assert found == {
        **{"daily": "day", "weekdays": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter"},
        **{"yearly": "year", "one": "day", "minutes": "minute"},
    }


async def test_a_period_without_rows_is_zero_for_sums_and_no_point_for_means(served: Served, folder: Path) -> None:
    (folder / "t.csv").write_text("d,v\n2024-01-31,3\n2024-02-01,4\n2024-05-31,5\n")
    async with served(datasets={"t": "t.csv"}) as client:
        ask = {"dataset": "t", "kind": "line", "x": "d", "y": "v", "period": "month"}
        total = await chart_of(client, **ask, aggregate="sum")
        mean = await chart_of(client, **ask, aggregate="mean")
    assert [point.y for point in total.points] == [3, 4, 0, 0, 5]
    assert [point.rows for point in total.points] == [1, 1, 0, 0, 1]
    assert total.notes == ["2 of 5 months have no rows: their value is 0."]
    assert figures(mean) == {"2024-01-01": 3, "2024-02-01": 4, "2024-05-01": 5}
    assert mean.notes == ["2 of 5 months have no rows, and no point."]


async def test_dates_that_cannot_be_drawn_are_counted(served: Served, folder: Path, parquet: Parquet) -> None:
    dates = ["'infinity'", "'-infinity'", "'0044-03-15 (BC)'", "'12000-01-01'", "NULL", "'0001-01-01'", "'9999-12-31'"]
    rows = ", ".join(f"(CAST({text} AS DATE), 1)" for text in dates)
    parquet(folder / "t.parquet", f"SELECT * FROM (VALUES {rows}) t(d, v)")
    async with served(datasets={"t": "t.parquet"}) as client:
        chart = await chart_of(client, dataset="t", kind="scatter", x="d", y="v")
        line = await client.call_tool("chart", {"dataset": "t", "kind": "line", "x": "d", "y": "v"})
    assert [point.x for point in chart.points] == ["0001-01-01", "9999-12-31"]
    assert chart.notes == [
        "1 row has no value of d and is left out.",
        "4 rows have a value of d that is infinite or outside of the years 1 to 9999 and are left out.",
    ]
    assert not line.is_error, line.content


@pytest.mark.parametrize("aggregate", ["sum", "mean", "median", "min", "max", "count"])
async def test_the_aggregates_of_decimals_by_month_are_those_of_python(
    served: Served, folder: Path, aggregate: str
) -> None:
    rows = [(date(2023, 1, 1) + timedelta(days=7 * n % 400), round(n * 1.37 % 50, 2)) for n in range(500)]
    (folder / "t.csv").write_text("d,v\n" + "".join(f"{day},{value:.2f}\n" for day, value in rows))
    months: dict[str, list[float]] = defaultdict(list)
    for day, value in rows:
        months[f"{day:%Y-%m}-01"].append(value)
    reckon: dict[str, Callable[[list[float]], float]] = {
        **{"sum": sum, "mean": statistics.fmean, "median": statistics.median, "min": min, "max": max, "count": len}
    }
    async with served(datasets={"t": "t.csv"}) as client:
        chart = await chart_of(client, dataset="t", kind="line", x="d", y="v", period="month", aggregate=aggregate)
    assert figures(chart) == pytest.approx(
        {month: reckon[aggregate](values) for month, values in months.items()}, abs=0.0001
    )


# Categories


async def test_a_missing_category_is_one_of_its_own_and_no_text_is_confused_with_it(
    served: Served, folder: Path, parquet: Parquet
) -> None:
    rows = "('(no value)', 1), (NULL, 2), (NULL, 3), ('', 4), ('a', NULL)"
    parquet(folder / "t.parquet", f"SELECT * FROM (VALUES {rows}) t(k, v)")
    async with served(datasets={"t": "t.parquet"}) as client:
        chart = await chart_of(client, dataset="t", kind="bar", x="k", y="v", aggregate="sum")
        mean = await chart_of(client, dataset="t", kind="bar", x="k", y="v")
    assert figures(chart) == {None: 5, "": 4, "(no value)": 1, "a": 0}
    assert chart.x.values == [None, "", "(no value)", "a"]
    assert chart.x.labels == ["(no value)", '""', "(no value) (2)", "a"]
    assert chart.notes == ["1 row has no value of v."]
    assert figures(mean) == {None: 2.5, "": 4.0, "(no value)": 1.0, "a": None}


async def test_the_categories_beyond_the_limit_are_counted(served: Served, folder: Path) -> None:
    rows = [(f"k{n % 40}", (n % 40) * (-1 if n % 2 else 1)) for n in range(400)]
    (folder / "t.csv").write_text("k,v\n" + "".join(f"{key},{value}\n" for key, value in rows))
    async with served(datasets={"t": "t.csv"}) as client:
        usual = await chart_of(client, dataset="t", kind="bar", x="k")
        top = await chart_of(client, dataset="t", kind="bar", x="k", y="v", aggregate="sum", limit=3)
    assert len(usual.points) == 30
    assert usual.notes == ["10 other values of k (100 rows) are left out."]
    assert figures(top) == {"k38": 380, "k36": 360, "k34": 340}
    assert top.notes == ["37 other values of k (370 rows) are left out."]


async def test_booleans_are_false_and_true(served: Served, folder: Path) -> None:
    (folder / "t.csv").write_text("ok,v\ntrue,1\nfalse,2\ntrue,5\n,7\n")
    async with served(datasets={"t": "t.csv"}) as client:
        chart = await chart_of(client, dataset="t", kind="bar", x="ok", y="v")
    assert [(point.x, point.y, point.rows) for point in chart.points] == [
        (False, 2.0, 1),
        (True, 3.0, 2),
        (None, 7.0, 1),
    ]
    assert chart.x.labels == ["false", "true", "(no value)"]


async def test_series_are_the_largest_groups_and_counts_of_them_are_stacked(served: Served, folder: Path) -> None:
    rows = [("ab"[n % 2], f"g{n % 12:02}") for n in range(240)] + [("a", "")]
    (folder / "t.csv").write_text("k,g\n" + "".join(f"{key},{group}\n" for key, group in rows))
    async with served(datasets={"t": "t.csv"}) as client:
        chart = await chart_of(client, dataset="t", kind="bar", x="k", group="g")
        penguins = await chart_of(
            client, dataset="penguins", kind="bar", x="island", group="species", y="body_mass_g", aggregate="max"
        )
    assert chart.series == [f"g{n:02}" for n in range(10)]
    assert chart.notes == ["3 other values of g (41 rows) are left out."]
    assert chart.stacked
    assert sum(int(point.y or 0) for point in chart.points) == 200
    assert not penguins.stacked
    assert figures(penguins)["Biscoe", "Gentoo"] == 6300


async def test_several_columns_are_series(served: Served) -> None:
    async with served() as client:
        chart = await chart_of(
            client, dataset="penguins", kind="line", x="year", y=["bill_length_mm", "bill_depth_mm"], aggregate="max"
        )
    assert chart.series == ["bill_length_mm", "bill_depth_mm"]
    assert figures(chart)[2007, "bill_length_mm"] == 59.6
    assert figures(chart)[2009, "bill_depth_mm"] == 20.7


# Numbers


async def test_large_integers_and_decimals_keep_their_digits(served: Served, folder: Path, parquet: Parquet) -> None:
    rows = "('a', 9007199254740993, 12345678901234567.89), ('a', 9007199254740993, 0.01), ('b', 5, 0.10)"
    parquet(folder / "t.parquet", f"SELECT k, i::BIGINT AS i, d::DECIMAL(38, 2) AS d FROM (VALUES {rows}) t(k, i, d)")
    async with served(datasets={"t": "t.parquet"}) as client:
        integers = await chart_of(client, dataset="t", kind="bar", x="k", y="i", aggregate="sum")
        decimals = await chart_of(client, dataset="t", kind="bar", x="k", y="d", aggregate="sum")
        bars = await chart_of(client, dataset="t", kind="bar", x="i")
        points = await chart_of(client, dataset="t", kind="scatter", x="i", y="d")
    assert figures(integers) == {"a": "18014398509481986", "b": 5}
    assert figures(decimals) == {"a": "12345678901234567.90", "b": 0.1}
    assert figures(bars) == {5: 1, "9007199254740993": 2}
    assert [point.x for point in points.points] == ["9007199254740993", "9007199254740993", 5]
    assert points.points[0].y == "12345678901234567.89"


async def test_small_figures_are_not_rounded_away(served: Served, folder: Path) -> None:
    (folder / "t.csv").write_text("k,v\na,0.000012\na,0.000013\nb,0.000014\n")
    async with served(datasets={"t": "t.csv"}, digits=2) as client:
        chart = await chart_of(client, dataset="t", kind="bar", x="k", y="v")
    assert figures(chart) == {"a": 0.0000125, "b": 0.000014}


async def test_nan_and_infinite_values_are_counted_and_left_out(served: Served, folder: Path, parquet: Parquet) -> None:
    rows = "('1', '1'), ('2', 'nan'), ('3', 'inf'), ('nan', '4'), ('-inf', '5'), (NULL, '6'), ('7', NULL), ('8', '8')"
    parquet(folder / "t.parquet", f"SELECT x::DOUBLE AS x, y::DOUBLE AS y FROM (VALUES {rows}) t(x, y)")
    async with served(datasets={"t": "t.parquet"}) as client:
        for kind in ("scatter", "line"):
            chart = await chart_of(client, dataset="t", kind=kind, x="x", y="y")
            assert [(point.x, point.y) for point in chart.points if point.y is not None] == [(1, 1), (8, 8)]
            assert chart.notes == [
                "1 row has no value of x and is left out.",
                "2 rows have a value of x that is NaN or infinite and are left out.",
                "1 row has no value of y.",
                "2 rows have NaN or an infinite value of y, which are left out.",
            ]


async def test_many_numbers_are_put_into_ranges_that_contain_all_rows(served: Served, folder: Path) -> None:
    values = [n / 10 for n in range(100)]
    (folder / "t.csv").write_text("x,v\n" + "".join(f"{value},{value}\n" for value in values))
    async with served(datasets={"t": "t.csv"}) as client:
        bars = await chart_of(client, dataset="t", kind="bar", x="x", limit=50)
        line = await chart_of(client, dataset="t", kind="line", x="x", y="v", aggregate="max", limit=10)
        box = await chart_of(client, dataset="t", kind="box", x="x", y="v", limit=10)
    # 0.3 is in the range that begins with it, although 0.3 / 0.1 is less than 3.
    assert [point.y for point in bars.points] == [2] * 50
    assert bars.x.labels[:2] == ["0 to 0.2", "0.2 to 0.4"]
    assert bars.notes == ["x has 100 different values: they are in ranges of 0.2."]
    assert figures(line) == {n + 0.5: n + 0.9 for n in range(10)}
    assert [(each.x, each.rows, each.max) for each in box.boxes] == [(n, 10, n + 0.9) for n in range(10)]


# Boxes


async def test_quartiles_are_those_of_numpy_and_whiskers_those_of_tukey(served: Served, folder: Path) -> None:
    values = {
        "a": [(n * 7919) % 101 / 4 for n in range(40)] + [200.0, -90.5, 200.0, -12.0, 33.0],
        "b": [1.5],
        "c": [3.0, 3.0, 3.0],
    }
    lines = [f"{key},{value}\n" for key, group in values.items() for value in group]
    (folder / "t.csv").write_text("k,v\n" + "".join(lines) + "d,\n")
    async with served(datasets={"t": "t.csv"}) as client:
        chart = await chart_of(client, dataset="t", kind="box", x="k", y="v")
    assert [box.x for box in chart.boxes] == ["a", "c", "b"]
    assert chart.notes == ["1 row has no value of v."]
    for box in chart.boxes:
        group = np.array(values[str(box.x)])
        q1, median, q3 = np.quantile(group, [0.25, 0.5, 0.75], method="linear")
        assert (box.q1, box.median, box.q3) == pytest.approx((q1, median, q3))
        inside = group[(group >= q1 - 1.5 * (q3 - q1)) & (group <= q3 + 1.5 * (q3 - q1))]
        assert (box.low, box.high) == (inside.min(), inside.max())
        assert (box.min, box.max, box.rows) == (group.min(), group.max(), len(group))
        assert box.beyond == len(group) - len(inside)
        assert set(box.outliers) == set(group) - set(inside)
    assert chart.boxes[0].outliers == [200.0, -90.5]


async def test_boxes_need_no_x_and_have_series(served: Served) -> None:
    async with served() as client:
        one = await chart_of(client, dataset="penguins", kind="box", y=["bill_length_mm", "bill_depth_mm"])
        groups = await chart_of(client, dataset="penguins", kind="box", x="species", y="body_mass_g", group="sex")
    assert [(box.series, box.rows, box.median) for box in one.boxes] == [
        ("bill_length_mm", 342, 44.45),
        ("bill_depth_mm", 342, 17.3),
    ]
    assert {(box.x, box.series): box.rows for box in groups.boxes}["Chinstrap", "male"] == 34
    assert sum(box.rows for box in groups.boxes) == 342


# Scatter charts


async def test_a_large_scatter_chart_is_a_sample_that_is_always_the_same(
    served: Served, folder: Path, parquet: Parquet
) -> None:
    parquet(folder / "t.parquet", "SELECT n AS x, (n * 7919) % 100003 AS y FROM range(100000) t(n)")
    async with served(datasets={"t": "t.parquet"}) as client:
        chart = await chart_of(client, dataset="t", kind="scatter", x="x", y="y", limit=300)
        again = await chart_of(client, dataset="t", kind="scatter", x="x", y="y", limit=300)
    assert chart == again
    assert len(chart.points) == 300
    assert chart.notes == ["Of 100,000 rows with both values, 300 are drawn: a sample that is always the same."]
    xs = [int(point.x or 0) for point in chart.points]
    assert xs == sorted(xs)
    assert (xs[0], xs[-1]) == (0, 99999)
    assert all(point.y == (int(point.x or 0) * 7919) % 100003 for point in chart.points)
    ys = [(n * 7919) % 100003 for n in range(100000)]
    assert {min(ys), max(ys)} <= {point.y for point in chart.points}
    assert statistics.fmean(xs) == pytest.approx(50000, rel=0.1)


# The result


async def test_the_result_has_text_figures_and_an_image(served: Served) -> None:
    arguments = {"dataset": "penguins", "kind": "bar", "x": "species", "title": "Penguins $1 to $2"}
    async with served() as client:
        result = await client.call_tool("chart", arguments)
        without = await client.call_tool("chart", {**arguments, "image": False})
    text, image = result.content
    assert isinstance(text, TextContent)
    assert text.text.splitlines() == [
        *("Penguins $1 to $2 (bar chart, 344 rows)", "Adelie: 152", "Gentoo: 124", "Chinstrap: 68"),
    ]
    assert isinstance(image, ImageContent)
    data = base64.b64decode(image.data)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (800, 500)
    assert [content.type for content in without.content] == ["text"]
    assert without.structured_content == result.structured_content


async def test_a_chart_stays_within_the_bytes_of_the_settings(
    served: Served, refused: Refused, folder: Path, parquet: Parquet
) -> None:
    parquet(
        folder / "t.parquet",
        "SELECT n AS x, n AS y, repeat('体', 30) || n % 10 AS g, DATE '2000-01-01' + CAST(n AS INT) AS d "
        "FROM range(5000) t(n)",
    )
    asks: list[dict[str, Any]] = [
        {"kind": "scatter", "x": "x", "y": "y", "group": "g", "limit": 2000},
        {"kind": "line", "x": "d", "y": "y", "group": "g", "period": "day", "limit": 2000},
        {"kind": "line", "x": "d", "y": "y"},
        {"kind": "bar", "x": "x", "y": "y", "group": "g", "limit": 100},
        {"kind": "box", "x": "d", "y": "y", "group": "g", "limit": 100},
    ]
    async with served(datasets={"t": "t.parquet"}, max_result_bytes=20_000) as client:
        for ask in asks:
            result = await client.call_tool("chart", {"dataset": "t", "image": False, **ask})
            assert not result.is_error, result.content
            assert (
                len(json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":")).encode()) <= 20_000
            )
    async with served(datasets={"t": "t.parquet"}, max_result_bytes=1_000) as client:
        text = refused(await client.call_tool("chart", {"dataset": "t", **asks[0]}))
    assert "more than max_result_bytes (1,000)" in text


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"kind": "line"}, ["line chart needs `x`", "Columns: species, island"]),
        ({"kind": "scatter", "x": "year"}, ["scatter chart needs `y`"]),
        ({"kind": "bar", "x": "specie"}, ["no column 'specie'", "Did you mean 'species'?"]),
        (
            {"kind": "bar", "x": "sex", "y": "island"},
            ["'island' of 'penguins' is VARCHAR, not a number", "body_mass_g"],
        ),
        ({"kind": "bar", "x": "sex", "y": "mass"}, ["no column 'mass'"]),
        ({"kind": "bar", "x": "sex", "group": "spicies"}, ["no column 'spicies'", "'species'"]),
        ({"kind": "bar", "x": "sex", "aggregate": "sum"}, ["sum needs `y`"]),
        ({"kind": "box", "y": "year", "aggregate": "sum"}, ["box chart has no aggregate"]),
        ({"kind": "scatter", "x": "island", "y": "year"}, ["is VARCHAR", "numbers or dates", "bars or boxes"]),
        ({"kind": "line", "x": "year", "period": "month"}, ["period is for dates", "Columns of dates or times: none"]),
        ({"kind": "bar", "x": "sex", "limit": 500}, ["at most 100"]),
        ({"kind": "line", "x": "year", "y": ["year", "bill_depth_mm"], "group": "sex"}, ["leave out group"]),
    ],
)
async def test_a_mistake_is_an_error_with_a_hint(
    served: Served, refused: Refused, arguments: dict[str, Any], parts: list[str]
) -> None:
    async with served() as client:
        text = refused(await client.call_tool("chart", {"dataset": "penguins", **arguments}))
    for part in parts:
        assert part in text


async def test_data_without_values_are_refused(
    served: Served, refused: Refused, folder: Path, parquet: Parquet
) -> None:
    parquet(folder / "none.parquet", "SELECT 1 AS x, 2 AS y WHERE false")
    parquet(folder / "nulls.parquet", "SELECT 1 AS x, NULL::DOUBLE AS y, NULL::DATE AS d, [1] AS l FROM range(3)")
    (folder / "wide.csv").write_text("x,y\n1,1.7e308\n2,-1.7e308\n")
    async with served(datasets={"none": "none.parquet", "nulls": "nulls.parquet", "wide": "wide.csv"}) as client:
        for dataset, more, part in [
            ("none", {"kind": "bar", "x": "x"}, "Data set 'none' has no rows."),
            ("nulls", {"kind": "line", "x": "x", "y": "y"}, "'y' of 'nulls' has no finite value to draw."),
            ("nulls", {"kind": "line", "x": "d"}, "'d' of 'nulls' has no value that can be drawn."),
            ("nulls", {"kind": "bar", "x": "l"}, "x needs texts, numbers, dates or booleans"),
            ("wide", {"kind": "bar", "x": "x", "y": "y"}, "mean of y is from -1.7e+308 to 1.7e+308"),
        ]:
            assert part in refused(await client.call_tool("chart", {"dataset": dataset, **more}))
