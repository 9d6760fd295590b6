from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import CallToolResult, ResourceLink

from mcp_host import Plugin, ResourceError
from plugins.report.results import read, report_of, text_of

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

RENDERS_APPS = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})


# Sources


async def test_the_data_of_both_plugins_are_listed(served: Served) -> None:
    async with served() as client:
        found = (await client.call_tool("list_sources", {})).structured_content
    assert found is not None
    assert [source["id"] for source in found["sources"]] == [
        "stats/penguins",
        "sql/<script>alert(1)</script>",
        "sql/orders",
        "sql/returns",
    ]
    assert found["missing"] == []


async def test_a_plugin_that_is_not_enabled_is_listed_as_missing(served: Served) -> None:
    async with served(others={}) as client:
        found = (await client.call_tool("list_sources", {})).structured_content
    assert found is not None
    assert found["sources"] == []
    assert [gap["catalog"] for gap in found["missing"]] == ["stats://datasets", "sql://tables"]
    assert found["missing"][0]["reason"] == "no enabled plugin serves it"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[{]", "it is not JSON"),
        ('{"a": 1}', "all of it: Input should be a valid list"),
        ('[{"name": "x"}]', "0.schema_uri: Field required"),
    ],
)
async def test_a_broken_catalog_is_reported_and_the_others_are_used(served: Served, content: str, reason: str) -> None:
    odd = Plugin()
    odd.resource("odd://all")(lambda: content)
    catalogs = ["odd://all", "stats://datasets"]
    from mcp_plugin_stats import plugin as stats

    async with served(others={"odd": odd, "stats": stats}, catalogs=catalogs) as client:
        found = (await client.call_tool("list_sources", {})).structured_content
    assert found is not None
    assert [source["id"] for source in found["sources"]] == ["stats/penguins"]
    assert reason in found["missing"][0]["reason"]


# Good reports


async def test_a_report_on_the_first_rows_says_so(served: Served) -> None:
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "stats/penguins", "rows": 100})
    report = report_of(result)
    assert (report.rows, report.total, report.basis) == (100, 344, "the first 100 of 344 rows")
    assert "Made from the first 100 of 344 rows of `stats/penguins`." in text_of(result)
    assert report.title == "Report on penguins"


async def test_a_report_is_made_from_all_rows_however_few_the_source_returns(served: Served) -> None:
    async with served(stats_settings={"max_rows": 10}) as client:
        report = report_of(await client.call_tool("generate_report", {"source": "penguins"}))
    assert (report.rows, report.total, report.basis) == (344, 344, "all 344 rows")
    assert not any(column.partial for column in report.columns)
    mass = next(column for column in report.columns if column.name == "body_mass_g")
    assert (mass.kind, mass.count, mass.missing, mass.distinct) == ("number", 342, 2, 94)
    assert mass.figures is not None
    assert mass.figures.model_dump() == {
        "min": 2700,
        "q1": 3550,
        "median": 4050,
        "mean": 4201.7544,
        "q3": 4750,
        "max": 6300,
        "stdev": 801.9545,
    }
    assert mass.chart is not None
    assert sum(bar.count for bar in mass.chart.bars) == 342


async def test_a_report_on_a_table_is_made_from_all_its_rows(served: Served) -> None:
    async with served() as client:
        report = report_of(await client.call_tool("generate_report", {"source": "orders"}))
    assert (report.total, report.basis) == (30, "all 30 rows")
    kinds = {column.name: (column.kind, column.missing) for column in report.columns}
    assert kinds == {"id": ("number", 0), "shop": ("text", 0), "day": ("time", 0), "price": ("number", 1)}
    day = report.columns[2]
    assert (day.first, day.last) == ("2025-03-01", "2025-03-30")


async def test_an_empty_table_has_a_report_too(served: Served) -> None:
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "sql/returns"})
        report = report_of(result)
        page = await read(client, report.html_uri)
    assert [column.kind for column in report.columns] == ["empty", "empty"]
    assert "No values." in page


async def test_columns_rows_and_title_are_as_requested(served: Served) -> None:
    wish = {"source": "orders", "columns": ["price", "shop"], "rows": 7, "title": "  Spring  "}
    async with served(preview_rows=2) as client:
        report = report_of(await client.call_tool("generate_report", wish))
    assert [column.name for column in report.columns] == ["price", "shop"]
    assert report.left_out == ["id", "day"]
    assert report.rows == 7
    assert report.title == "Spring"
    assert report.preview == [["1.5", "B"], ["3", "C"]]


async def test_more_columns_than_a_report_has_are_left_out_and_named(served: Served) -> None:
    async with served(max_columns=2) as client:
        result = await client.call_tool("generate_report", {"source": "orders"})
    assert [column.name for column in report_of(result).columns] == ["id", "shop"]
    assert "Left out: day, price." in text_of(result)


@pytest.mark.parametrize(
    ("format", "mime_type", "path"), [("html", "text/html", "html"), ("markdown", "text/markdown", "markdown")]
)
async def test_the_result_links_to_the_requested_document(
    served: Served, format: str, mime_type: str, path: str
) -> None:
    async with served() as client:
        result = await client.call_tool("generate_report", {"source": "orders", "format": format})
        link = result.content[1]
        assert isinstance(link, ResourceLink)
        assert (link.mime_type, link.uri) == (mime_type, f"report://reports/{report_of(result).id}/{path}")
        assert "Report on orders" in await read(client, link.uri)


async def test_a_client_without_apps_gets_the_report_as_text_and_one_with_them_a_summary(served: Served) -> None:
    async with served() as client:
        text = text_of(await client.call_tool("generate_report", {"source": "orders"}))
    assert text.startswith("# Report on orders\n")
    assert "| price | DECIMAL(8, 2) | 29 | 1 | 29 |" in text
    async with served(client_options={"extensions": [RENDERS_APPS]}) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "generate_report"]
        assert (tool.meta or {})["ui"] == {"resourceUri": "ui://report/view.html"}
        text = text_of(await client.call_tool("generate_report", {"source": "orders"}))
    assert text.splitlines() == [
        "Report on orders: the user sees this report, made from all 30 rows of sql/orders. Columns:",
        "- id: number, 1 to 30, mean 15.5",
        "- shop: text, 3 different, most often 'A'",
        "- day: time, 2025-03-01 to 2025-03-30",
        "- price: number, 1.5 to 45, mean 23.6897, 1 missing",
    ]


async def test_progress_names_every_column_and_only_increases(served: Served) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with served() as client:
        await client.call_tool("generate_report", {"source": "orders"}, progress_callback=note)
    assert [message for _, _, message in seen] == [
        "looking for the data",
        "reading sql/orders",
        "column 1 of 4: id",
        "column 2 of 4: shop",
        "column 3 of 4: day",
        "column 4 of 4: price",
        "keeping the report",
    ]
    progress = [done for done, _, _ in seen]
    assert progress == sorted(set(progress))
    assert {total for _, total, _ in seen[1:]} == {7}


# Bad input


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (
            {"source": "pengiuns"},
            "There are no data 'pengiuns'. Did you mean 'stats/penguins'? Data: stats/penguins, "
            "sql/<script>alert(1)</script>, sql/orders, sql/returns.",
        ),
        (
            {"source": "orders", "columns": ["pricee"]},
            "sql/orders has no column 'pricee'. Did you mean 'price'? Columns: id, shop, day, price.",
        ),
        ({"source": "orders", "columns": []}, "columns is empty: leave it out for all, or name some of"),
        ({"source": "orders", "rows": 501}, "rows is 501: a report is made from at most 500 (settings.max_rows)."),
        (
            {"source": "orders", "columns": ["id", "shop", "day", "price"]},
            "4 columns are too many: a report has at most 3 (settings.max_columns).",
        ),
    ],
)
async def test_a_report_that_cannot_be_made_is_an_error_with_the_possible_values(
    served: Served, refused: Refused, kept: Path, wish: dict[str, Any], text: str
) -> None:
    async with served(max_rows=500, max_columns=3) as client:
        assert text in refused(await client.call_tool("generate_report", wish))
    assert not kept.exists()


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"source": 3},
        {"source": "orders", "rows": 0},
        {"source": "orders", "format": "pdf"},
        {"source": "orders", "title": "x" * 201},
        {"source": "orders", "columns": "id"},
    ],
)
async def test_wrong_arguments_are_refused(served: Served, refused: Refused, wish: dict[str, Any]) -> None:
    async with served() as client:
        text = refused(await client.call_tool("generate_report", wish))
    assert text.startswith("Invalid arguments for tool generate_report: ")


async def test_without_any_data_the_error_has_the_reasons(served: Served, refused: Refused) -> None:
    async with served(others={}) as client:
        text = refused(await client.call_tool("generate_report", {"source": "penguins"}))
    assert text == (
        "There are no data 'penguins'. Data: none. Not available: stats://datasets (no enabled plugin serves it). "
        "Not available: sql://tables (no enabled plugin serves it)."
    )


async def test_an_ambiguous_name_of_data_is_an_error_with_the_ids(served: Served, refused: Refused) -> None:
    one, two = catalog("one", {"columns": [{"name": "a"}], "rows": 1, "comment": "One row."}), catalog("two", {})
    catalogs = ["one://all", "two://all"]
    async with served(others={"one": one, "two": two}, catalogs=catalogs) as client:
        text = refused(await client.call_tool("generate_report", {"source": "data"}))
        assert text == "Several data have the name 'data': write one/data or two/data."
        report = report_of(await client.call_tool("generate_report", {"source": "one/data"}))
    assert (report.basis, report.description) == ("the only row", "One row.")


# Sources that misbehave


def catalog(scheme: str, schema: Any, sample: Any = None) -> Plugin:
    """A plugin with one data set. If `sample` is an exception, it is raised."""
    plugin = Plugin()
    entry = {"name": "data", "schema_uri": f"{scheme}://data/schema", "sample_uri": f"{scheme}://data/sample"}

    @plugin.resource(f"{scheme}://all")
    def everything() -> str:
        return json.dumps([entry])

    @plugin.resource(f"{scheme}://data/schema")
    def columns() -> str:
        return json.dumps(schema)

    @plugin.resource(f"{scheme}://data/sample{{?rows}}")
    def some(rows: int = 2) -> str:
        if isinstance(sample, Exception):
            raise sample
        return json.dumps(sample if sample is not None else {"columns": ["a"], "rows": [[1]]})

    return plugin


@pytest.mark.parametrize(
    ("schema", "sample", "text"),
    [
        ({}, None, "odd://data/schema: it does not contain columns with names (columns: Field required)"),
        (
            {"columns": [{"name": "a"}]},
            {"rows": []},
            "odd://data/sample?rows=1000: it does not contain columns and rows",
        ),
        (
            {"columns": [{"name": "a"}]},
            {"columns": ["a"], "rows": [[1], [1, 2]]},
            "odd://data/sample: row 2 does not have one value for each column",
        ),
        (
            {"columns": [{"name": "a"}]},
            ResourceError("The disk is gone."),
            "odd://data/sample?rows=1000: The disk is gone",
        ),
        ({"columns": [{"name": "a"}]}, RuntimeError("secret"), "failed unexpectedly"),
    ],
)
async def test_data_that_cannot_be_read_are_reported_with_the_reason(
    served: Served, kept: Path, schema: Any, sample: Any, text: str
) -> None:
    async with served(others={"odd": catalog("odd", schema, sample)}, catalogs=["odd://all"]) as client:
        result = await client.call_tool("generate_report", {"source": "data"})
    assert result.is_error
    assert text_of(result).startswith("odd/data cannot be reported on: odd://data/")
    assert text in text_of(result)
    assert "secret" not in text_of(result)
    assert not kept.exists()


async def test_a_source_that_refuses_the_number_of_rows_is_read_without_a_number(served: Served) -> None:
    plugin = Plugin()

    @plugin.resource("odd://all")
    def everything() -> str:
        return json.dumps([{"name": "data", "schema_uri": "odd://schema", "sample_uri": "odd://sample?from=0"}])

    @plugin.resource("odd://schema")
    def columns() -> str:
        return json.dumps({"columns": [{"name": "a", "type": None}, {"name": "gone"}], "rows": 9})

    @plugin.resource("odd://sample{?from_,rows}".replace("from_", "start"))
    def some(start: int = 0, rows: int = 0) -> str:
        if rows:
            raise ResourceError("Too many.")
        return json.dumps({"columns": ["a"], "rows": [[1], [2], [3]]})

    async with served(others={"odd": plugin}, catalogs=["odd://all"]) as client:
        report = report_of(await client.call_tool("generate_report", {"source": "data"}))
    assert report.basis == "the first 3 of 9 rows"
    assert [(column.name, column.kind) for column in report.columns] == [("a", "number"), ("gone", "empty")]


async def test_a_source_is_not_asked_for_more_rows_than_it_returns(served: Served) -> None:
    plugin = Plugin()
    asked = []

    @plugin.resource("odd://all")
    def everything() -> str:
        entry = {"name": "data", "schema_uri": "odd://schema", "sample_uri": "odd://sample", "sample_rows": 4}
        return json.dumps([entry])

    @plugin.resource("odd://schema")
    def columns() -> str:
        return json.dumps({"columns": [{"name": "a"}], "rows": 9})

    @plugin.resource("odd://sample{?rows}")
    def some(rows: int = 1) -> str:
        asked.append(rows)
        return json.dumps({"columns": ["a"], "rows": [[1]] * rows})

    async with served(others={"odd": plugin}, catalogs=["odd://all"]) as client:
        report = report_of(await client.call_tool("generate_report", {"source": "data"}))
        fewer = report_of(await client.call_tool("generate_report", {"source": "data", "rows": 3}))
    assert asked == [4, 3]
    assert report.basis == "the first 4 of 9 rows"
    assert fewer.basis == "the first 3 of 9 rows"
