from __future__ import annotations

import base64
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, ImageContent

Served = Callable[..., AbstractAsyncContextManager[Client]]
Parquet = Callable[[Path, str], None]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

TOOLS = {"calculate_statistics", "describe_dataset", "correlate", "group_by", "query_dataset", "histogram", "chart"}


async def result_of(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_the_tools_have_descriptions_and_read_only_hints(served: Served) -> None:
    async with served() as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.idempotent_hint is True
        assert tool.annotations.open_world_hint is False
        assert "ctx" not in tool.input_schema["properties"]
        assert all("description" in schema for schema in tool.input_schema["properties"].values())
        assert (tool.output_schema is None) == (tool.name == "histogram")


async def test_the_operations_are_a_closed_list_in_the_schema(served: Served) -> None:
    async with served() as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "calculate_statistics"]
    assert tool.input_schema["properties"]["operation"]["enum"] == [
        *("count", "sum", "mean", "median", "min", "max", "variance", "stdev", "quantiles")
    ]


async def test_a_statistic_is_a_structured_result_with_the_configured_decimals(served: Served) -> None:
    async with served(digits=2) as client:
        result = await result_of(client, "calculate_statistics", numbers=[1, 2, 4], operation="mean")
    assert result == {"operation": "mean", "count": 3, "value": 2.33, "quantiles": None}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "mean needs at least 1 number: the list is empty."),
        ([1, "NaN"], "numbers[1] is NaN: leave it out, or send a finite number."),
        ([1, 10**400], "numbers[1] is too large: a number may be at most 1.8e308 away from zero."),
        ([1] * 11, "There are 11 numbers: at most 10 are allowed. Send a sample or put them in a file."),
    ],
)
async def test_bad_numbers_are_an_error_with_a_hint(
    served: Served, refused: Refused, numbers: list[Any], text: str
) -> None:
    async with served(max_numbers=10) as client:
        result = await client.call_tool("calculate_statistics", {"numbers": numbers, "operation": "mean"})
    assert refused(result).endswith(text)


async def test_the_description_of_the_penguins_has_the_published_figures(served: Served) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def seen_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with served(digits=2) as client:
        result = await client.call_tool("describe_dataset", {"dataset": "penguins"}, progress_callback=seen_progress)
    assert result.structured_content is not None
    assert result.structured_content["rows"] == 344
    columns = {column["name"]: column for column in result.structured_content["columns"]}
    assert columns["species"]["top"] == [
        {"value": "Adelie", "count": 152},
        {"value": "Gentoo", "count": 124},
        {"value": "Chinstrap", "count": 68},
    ]
    mass = columns["body_mass_g"]
    assert (mass["count"], mass["nulls"], mass["min"], mass["max"]) == (342, 2, 2700, 6300)
    assert (mass["mean"], mass["stdev"]) == (4201.75, 801.95)
    assert mass["quantiles"] == {"q1": 3550, "median": 4050, "q3": 4750}
    assert columns["bill_length_mm"]["mean"] == 43.92
    assert columns["flipper_length_mm"]["mean"] == 200.92
    assert columns["sex"]["nulls"] == 11
    assert [message for _, _, message in seen] == [*(f"column {name}" for name in columns), "done"]
    assert seen[-1][:2] == (8, 8)


async def test_only_the_named_columns_are_described(served: Served) -> None:
    async with served() as client:
        result = await result_of(client, "describe_dataset", dataset="PENGUINS", columns=["Year", "sex"])
    assert result["dataset"] == "penguins"
    assert [column["name"] for column in result["columns"]] == ["year", "sex"]


async def test_nan_and_infinity_in_a_file_are_counted_and_left_out(
    served: Served, folder: Path, parquet: Callable[[Path, str], None]
) -> None:
    values = "(1.5, 1), ('nan'::DOUBLE, 2), ('inf'::DOUBLE, 3), (2.5, 4), (NULL, 5)"
    parquet(folder / "odd.parquet", f"SELECT v, w FROM (VALUES {values}) t(v, w)")
    async with served(datasets={"odd": "odd.parquet"}) as client:
        described = await result_of(client, "describe_dataset", dataset="odd", columns=["v"])
        correlated = await result_of(client, "correlate", dataset="odd")
        grouped = await result_of(client, "group_by", dataset="odd", by="v", column="v", aggregate="max")
        rows = await result_of(client, "query_dataset", sql="SELECT v FROM odd ORDER BY w")
    (v,) = described["columns"]
    assert (v["count"], v["nulls"], v["non_finite"], v["mean"], v["max"]) == (4, 1, 2, 2.0, 2.5)
    assert correlated["pairs"] == [{"a": "v", "b": "w", "correlation": 1.0, "rows": 2}]
    assert [group["value"] for group in grouped["groups"]] == [1.5, 2.5, None, None, None]
    assert rows["rows"] == [[1.5], ["NaN"], ["Infinity"], [2.5], [None]]


async def test_nan_is_a_missing_value_in_csv_and_infinity_a_number(served: Served, folder: Path) -> None:
    (folder / "odd.csv").write_text('v\n1.5\nnan\ninf\n2.5\n""\n')
    async with served(datasets={"odd": "odd.csv"}) as client:
        described = await result_of(client, "describe_dataset", dataset="odd")
    (v,) = described["columns"]
    assert (v["count"], v["nulls"], v["non_finite"], v["mean"], v["max"]) == (3, 2, 1, 2.0, 2.5)
    assert described["warnings"] == ["column 'v': 'nan' are read as missing values (1 cells)"]


async def test_huge_values_in_a_file_neither_overflow_nor_lose_digits(served: Served, folder: Path) -> None:
    (folder / "huge.csv").write_text("v,w,n\n1e200,1e-200,9223372036854775807\n-1e200,2e-200,9223372036854775806\n")
    async with served(datasets={"huge": "huge.csv"}) as client:
        described = await result_of(client, "describe_dataset", dataset="huge")
        correlated = await result_of(client, "correlate", dataset="huge", columns=["v", "w"])
        total = await result_of(client, "query_dataset", sql="SELECT sum(n) FROM huge")
    v, w, n = described["columns"]
    assert v["stdev"] == pytest.approx(math.sqrt(2) * 1e200)
    assert w["mean"] == 1.5e-200
    assert (n["min"], n["max"]) == (str(2**63 - 2), str(2**63 - 1))
    assert correlated["pairs"][0]["correlation"] == -1.0
    assert total["rows"] == [[str(2**64 - 3)]]


async def test_the_correlations_are_the_published_ones_with_the_strongest_first(served: Served) -> None:
    async with served(digits=3) as client:
        pearson = await result_of(client, "correlate", dataset="penguins")
        spearman = await result_of(
            client, "correlate", dataset="penguins", columns=["bill_length_mm", "body_mass_g"], method="spearman"
        )
    assert pearson["pairs"][0] == {"a": "flipper_length_mm", "b": "body_mass_g", "correlation": 0.871, "rows": 342}
    assert len(pearson["pairs"]) == 10
    strengths = [abs(pair["correlation"]) for pair in pearson["pairs"]]
    assert strengths == sorted(strengths, reverse=True)
    assert [pair["correlation"] for pair in spearman["pairs"]] == [0.584]


async def test_a_monotonic_relation_with_ties_has_rank_correlation_one(served: Served, folder: Path) -> None:
    (folder / "m.csv").write_text("a,b\n1,1\n2,8\n2,8\n3,27\n,5\n")
    async with served(datasets={"m": "m.csv"}) as client:
        result = await result_of(client, "correlate", dataset="m", method="spearman")
    assert result["pairs"] == [{"a": "a", "b": "b", "correlation": 1.0, "rows": 4}]


async def test_a_constant_column_has_no_correlation(served: Served, folder: Path) -> None:
    (folder / "c.csv").write_text("x,y\n1,5\n2,5\n3,5\n")
    async with served(datasets={"c": "c.csv"}) as client:
        result = await result_of(client, "correlate", dataset="c")
    assert result["pairs"] == [{"a": "x", "b": "y", "correlation": None, "rows": 3}]


async def test_groups_come_in_the_order_of_their_keys_with_the_missing_last(served: Served) -> None:
    async with served(digits=1) as client:
        means = await result_of(
            client, "group_by", dataset="penguins", by="species", column="body_mass_g", aggregate="mean"
        )
        counts = await result_of(client, "group_by", dataset="penguins", by=["island", "sex"])
    assert means["groups"] == [
        {"key": ["Adelie"], "value": 3700.7, "rows": 152},
        {"key": ["Chinstrap"], "value": 3733.1, "rows": 68},
        {"key": ["Gentoo"], "value": 5076.0, "rows": 124},
    ]
    assert [group["key"] for group in counts["groups"]][:3] == [
        ["Biscoe", "female"],
        ["Biscoe", "male"],
        ["Biscoe", None],
    ]
    assert sum(group["value"] for group in counts["groups"]) == 344


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [
        ("count", 123),
        ("sum", 624350),
        ("mean", 5076.0163),
        ("median", 5000.0),
        ("min", 3950),
        ("max", 6300),
        ("variance", 254133.1801),
        ("stdev", 504.1162),
    ],
)
async def test_every_aggregate_is_calculated_for_a_group(served: Served, aggregate: str, value: float) -> None:
    async with served() as client:
        result = await result_of(
            client, "group_by", dataset="penguins", by="species", column="body_mass_g", aggregate=aggregate
        )
    (gentoo,) = [group for group in result["groups"] if group["key"] == ["Gentoo"]]
    assert gentoo["value"] == value


async def test_long_groupings_are_cut_and_marked_as_truncated(served: Served) -> None:
    async with served(max_rows=5) as client:
        result = await result_of(client, "group_by", dataset="penguins", by="body_mass_g")
    assert len(result["groups"]) == 5
    assert result["truncated"] is True


async def test_a_histogram_is_a_png_image(served: Served) -> None:
    async with served() as client:
        result = await client.call_tool("histogram", {"dataset": "penguins", "column": "body_mass_g", "bins": 12})
    (image,) = result.content
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/png"
    data = base64.b64decode(image.data)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (800, 500)


@pytest.mark.parametrize("header", ["$x_1$ and $", "体重", "a\tb", "x" * 300, "bin"])
async def test_a_histogram_is_drawn_for_any_column_name(
    served: Served, folder: Path, parquet: Parquet, header: str
) -> None:
    parquet(folder / "t.parquet", f'SELECT 5.0 AS "{header}"')
    async with served(datasets={"t": "t.parquet"}) as client:
        result = await client.call_tool("histogram", {"dataset": "t", "column": header})
    assert isinstance(result.content[0], ImageContent)


@pytest.mark.parametrize(
    ("tool", "arguments", "parts"),
    [
        ("describe_dataset", {"dataset": "pengiuns"}, ["no data set 'pengiuns'", "Did you mean 'penguins'?"]),
        ("describe_dataset", {"dataset": "nothing"}, ["Data sets: texts, penguins."]),
        ("describe_dataset", {"dataset": "penguins", "columns": ["bil_length"]}, ["Did you mean 'bill_length_mm'?"]),
        ("correlate", {"dataset": "penguins", "columns": ["year"]}, ["Two different columns", "bill_depth_mm"]),
        ("correlate", {"dataset": "penguins", "columns": ["year", "sex"]}, ["'sex'", "VARCHAR, not a number"]),
        ("correlate", {"dataset": "texts"}, ["Two different columns", "numbers in 'texts': none."]),
        ("group_by", {"dataset": "penguins", "by": "specie"}, ["no column 'specie'", "Did you mean 'species'?"]),
        ("group_by", {"dataset": "penguins", "by": []}, ["`by` is empty"]),
        ("group_by", {"dataset": "penguins", "by": "sex", "aggregate": "mean"}, ["mean needs `column`"]),
        (
            "group_by",
            {"dataset": "penguins", "by": "sex", "column": "island", "aggregate": "sum"},
            ["Column 'island' of 'penguins' is VARCHAR, not a number", "body_mass_g"],
        ),
        ("histogram", {"dataset": "penguins", "column": "species"}, ["not a number", "Columns of numbers: bill"]),
        ("histogram", {"dataset": "penguins", "column": "mass"}, ["no column 'mass'", "Columns: species, island"]),
        ("query_dataset", {"sql": "SELECT * FROM pinguins"}, ["no data set 'pinguins'", "Did you mean 'penguins'?"]),
        ("query_dataset", {"sql": "SELECT wing FROM penguins"}, ['"wing" not found']),
        ("query_dataset", {"sql": "SELEC 1"}, ["not valid SQL for DuckDB", "SELEC"]),
        ("query_dataset", {"sql": "SELECT species::INT FROM penguins"}, ["Could not convert", "Adelie"]),
        ("query_dataset", {"sql": "SELECT $1"}, ["parameter"]),
    ],
)
async def test_a_mistake_is_an_error_with_a_hint(
    served: Served, refused: Refused, folder: Path, tool: str, arguments: dict[str, Any], parts: list[str]
) -> None:
    (folder / "texts.csv").write_text("t\nx\ny\n")
    async with served(datasets={"texts": "texts.csv"}) as client:
        text = refused(await client.call_tool(tool, arguments))
    for part in parts:
        assert part in text


async def test_a_column_without_values_is_described_and_cannot_be_drawn(
    served: Served, refused: Refused, folder: Path, parquet: Parquet
) -> None:
    parquet(folder / "n.parquet", "SELECT CAST(NULL AS DOUBLE) AS v FROM range(3)")
    async with served(datasets={"n": "n.parquet"}) as client:
        result = await result_of(client, "describe_dataset", dataset="n")
        drawn = await client.call_tool("histogram", {"dataset": "n", "column": "v"})
    (column,) = result["columns"]
    assert (column["count"], column["nulls"], column["mean"], column["quantiles"]) == (0, 3, None, None)
    assert "has no finite value to draw" in refused(drawn)


async def test_a_range_too_wide_to_draw_is_refused(served: Served, refused: Refused, folder: Path) -> None:
    (folder / "w.csv").write_text("v\n1.7e308\n-1.7e308\n")
    async with served(datasets={"w": "w.csv"}) as client:
        drawn = await client.call_tool("histogram", {"dataset": "w", "column": "v"})
    assert "that cannot be drawn" in refused(drawn)


async def test_a_query_returns_typed_columns_and_json_values(served: Served) -> None:
    sql = """
        SELECT DATE '2020-02-03' AS d, TIMESTAMPTZ '2020-02-03 04:05:06+00' AS t, 1.50::DECIMAL(9, 2) AS m,
               7::DECIMAL(30, 0) AS i, '\\xAA'::BLOB AS b, {'a': 'nan'::DOUBLE, 'l': [DATE '2020-01-01']} AS s,
               MAP {'k': 2} AS k, INTERVAL 1 MONTH AS p, true AS y, NULL AS n, 2::HUGEINT * 9223372036854775807 AS h,
               'infinity'::DATE AS z, 1 AS same, 2 AS same
    """
    async with served() as client:
        result = await result_of(client, "query_dataset", sql=sql)
    (row,) = result["rows"]
    assert row[0] == "2020-02-03"
    assert row[1].startswith("2020-02-0")
    assert "T" in row[1]
    assert row[2:] == [
        *(1.5, 7, "\\xAA", {"a": "NaN", "l": ["2020-01-01"]}, {"k": 2}, "1 month", True, None, str(2**64 - 2)),
        *("infinity", 1, 2),
    ]
    assert [column["name"] for column in result["columns"]][:3] == ["d", "t", "m"]
    assert result["columns"][2]["type"] == "DECIMAL(9,2)"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM penguins",
        "  select count(*) from PENGUINS ; ",
        "SELECT count(*) FROM penguins; -- the number; of penguins\n/* ; */",
        "-- how many?\nSELECT count(*) FROM penguins -- ;",
        "FROM penguins SELECT count(*)",
        "WITH p AS (SELECT * FROM penguins) SELECT count(*) FROM p",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 344) SELECT max(n) FROM r",
        "SELECT count(*) FROM penguins, range(1)",
        "SELECT len(list(species)) FROM penguins",
        "(SELECT count(*) FROM penguins)",
        "SELECT count(*) FROM (SELECT 'é;' FROM penguins);",
        "VALUES (344)",
    ],
)
async def test_every_form_of_select_is_allowed(served: Served, sql: str) -> None:
    async with served() as client:
        result = await result_of(client, "query_dataset", sql=sql)
    assert result["rows"] == [[344]]


async def test_describe_and_summarize_are_queries_too(served: Served) -> None:
    async with served() as client:
        described = await result_of(client, "query_dataset", sql="DESCRIBE penguins")
        summary = await result_of(client, "query_dataset", sql="SUMMARIZE penguins")
    assert [row[0] for row in described["rows"]][:2] == ["species", "island"]
    assert len(summary["rows"]) == 8


async def test_long_results_and_long_texts_are_cut_and_marked(served: Served) -> None:
    async with served(max_rows=3) as client:
        many = await result_of(client, "query_dataset", sql="SELECT * FROM range(1000000000000)")
        exact = await result_of(client, "query_dataset", sql="SELECT * FROM range(3)")
        long = await result_of(client, "query_dataset", sql="SELECT string_agg(species) FROM penguins")
    assert (many["rows"], many["row_count"], many["truncated"]) == ([[0], [1], [2]], 3, True)
    assert (exact["row_count"], exact["truncated"]) == (3, False)
    assert long["rows"][0][0].endswith("characters)")
    assert len(long["rows"][0][0]) < 2100
