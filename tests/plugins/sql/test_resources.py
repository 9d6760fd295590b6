from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from mcp_host.tables import Aggregate, By, Measure
from mcp_host.testing import connect
from mcp_plugin_sql import plugin

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def test_a_resource_lists_the_tables_with_links_to_their_resources(served: Served, url: str) -> None:
    async with served(url) as client:
        tables = await read(client, "sql://tables")
        schemas = [await read(client, table["schema_uri"]) for table in tables]
        samples = [await read(client, table["sample_uri"]) for table in tables]
    assert tables[0] == {
        "name": "customer",
        "kind": "table",
        "schema_uri": "sql://tables/customer/schema",
        "sample_uri": "sql://tables/customer/sample",
        "sample_rows": 100,
        "aggregate_uri": "sql://tables/customer/aggregate",
    }
    assert [table["name"] for table in tables] == ["customer", "orders", "sales"]
    assert schemas[1]["table"] == "orders"
    assert schemas[1]["columns"][0]["name"] == "id"
    assert schemas[2]["kind"] == "view"
    assert samples[0] == {
        "table": "customer",
        "columns": ["id", "name", "city"],
        "rows": [[1, "Ann", "Bern"], [2, "Bob", "Basel"], [3, "Eve", None]],
    }


async def test_aggregates_are_from_all_rows_in_every_kind_of_database(served: Served, url: str) -> None:
    async def ask(client: Client, request: Aggregate) -> Any:
        found = await read(client, f"sql://tables/orders/aggregate?{urlencode({'request': request.text()})}")
        return [[float(cell) if index else cell for index, cell in enumerate(row)] for row in found["rows"]]

    async with served(url, max_rows=1) as client:
        every = [Measure("count"), Measure("distinct", "day"), Measure("max", "price"), Measure("mean", "price")]
        every += [
            Measure("deviations", "price", 7.5),
            Measure("below", "price", 6),
            Measure("below", "day", "2025-03-02"),
        ]
        (row,) = await ask(client, Aggregate(tuple(every)))
        assert [float(cell) for cell in row] == pytest.approx([3, 2, 12.25, 22.75 / 3, 33.8125, 1, 1])
        by_month = Aggregate((Measure("count"), Measure("max", "price")), (By("day", 7),))
        assert await ask(client, by_month) == [["2025-03", 3, 12.25]]
        most = Aggregate((Measure("count"),), (By("day"),), order="most")
        assert await ask(client, most) == [["2025-03-02", 2], ["2025-03-01", 1]]
        values = await ask(client, Aggregate((), (By("price"),), limit=2, offset=1))
        assert [float(value) for (value,) in values] == [6, 12.25]
        with pytest.raises(MCPError, match="there is no column 'nothing'"):
            await ask(client, Aggregate((Measure("min", "nothing"),)))
        with pytest.raises(MCPError, match="Expecting value"):
            await read(client, "sql://tables/orders/aggregate?request=SELECT")


async def test_a_sample_has_the_requested_number_of_rows(served: Served, url: str) -> None:
    async with served(url, max_rows=3) as client:
        one = await read(client, "sql://tables/orders/sample?rows=1")
        three = await read(client, "sql://tables/orders/sample?rows=3")
    assert len(one["rows"]) == 1
    assert len(three["rows"]) == 3


@pytest.mark.parametrize("rows", [0, -1, 101])
async def test_a_sample_of_too_few_or_too_many_rows_is_refused(served: Served, shop: Path, rows: int) -> None:
    async with served(shop) as client:
        with pytest.raises(MCPError, match="it must be from 1 to 100"):
            await client.read_resource(f"sql://tables/orders/sample?rows={rows}")


async def test_a_sample_is_cut_if_it_has_too_many_bytes(served: Served, url: str) -> None:
    async with served(url, writable=True, max_bytes=1000) as client:
        update = "UPDATE customer SET city = '0123456789012345678901234567890123456789'"
        more = "INSERT INTO customer SELECT {n} + id, CONCAT('n', {n} + id), city FROM customer"
        if "sqlite" in url:
            more = more.replace("CONCAT('n', {n} + id)", "'n' || ({n} + id)")
        for sql in (update, more.format(n=10), more.format(n=100), more.format(n=1000)):
            assert not (await client.call_tool("execute", {"sql": sql})).is_error
        sample = await read(client, "sql://tables/customer/sample?rows=24")
    assert 10 < len(sample["rows"]) < 24


async def test_an_unknown_table_is_a_resource_not_found_error(served: Served, url: str) -> None:
    async with served(url) as client:
        for uri in ("sql://tables/order/schema", "sql://tables/order/sample"):
            with pytest.raises(MCPError, match="Did you mean 'orders'") as caught:
                await client.read_resource(uri)
            assert caught.value.error.code == -32602


async def test_a_missing_database_is_an_error_in_the_resource(served: Served, folder: Path) -> None:
    async with served("gone.sqlite") as client:
        with pytest.raises(MCPError, match="there is no such file") as caught:
            await client.read_resource("sql://tables")
    assert caught.value.error.code == -32603


async def test_names_of_tables_are_completed_in_the_prompt_and_in_the_resources(served: Served, url: str) -> None:
    async with served(url) as client:
        for ref in (
            PromptReference(type="ref/prompt", name="explore_database"),
            ResourceTemplateReference(type="ref/resource", uri="sql://tables/{table}/schema"),
            ResourceTemplateReference(type="ref/resource", uri="sql://tables/{table}/sample{?rows}"),
        ):
            some = await client.complete(ref, {"name": "table", "value": "S"})
            every = await client.complete(ref, {"name": "table", "value": ""})
            assert some.completion.values == ["sales", "customer", "orders"]
            assert every.completion.values == ["customer", "orders", "sales"]


async def test_the_prompt_names_the_database_the_table_and_the_question(served: Served, url: str) -> None:
    async with served(url) as client:
        prompt = await client.get_prompt("explore_database", {"table": "ORDERS", "question": "Which {day} sold most?"})
        plain = await client.get_prompt("explore_database")
        with pytest.raises(MCPError, match="There is no table 'whales'") as caught:
            await client.get_prompt("explore_database", {"table": "whales"})
    content = prompt.messages[0].content
    assert isinstance(content, TextContent)
    assert "Begin with the table `orders`. Its columns: id (INTEGER" in content.text
    assert content.text.endswith("The question is: Which {day} sold most?")
    text = getattr(plain.messages[0].content, "text", "")
    assert "Call list_tables" in text
    assert text.endswith("Report what the database is about and what is unusual.")
    assert caught.value.error.code == -32602


HARD_NAMES = [
    'say "hi"',
    "it's",
    "select",
    "a b",
    "naïve 体重 🐧",
    "%s",
    "$1",
    "--",
    "a.b",
    "[x]",
    ":p",
    "a/b",
    "?x",
    "#",
    "/",
    "..",
    ".",
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(HARD_NAMES)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
        lambda name: not name.lower().startswith("sqlite_")
    )
)
def test_a_table_may_have_any_name(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    import sqlite3

    import anyio

    file = tmp_path_factory.mktemp("names") / "names.sqlite"
    quoted = '"' + name.replace('"', '""') + '"'
    connection = sqlite3.connect(file)
    connection.execute(f"CREATE TABLE {quoted} ({quoted} INTEGER)")
    connection.execute(f"INSERT INTO {quoted} VALUES (7)")
    connection.commit()
    connection.close()

    async def ask() -> None:
        async with connect(plugin, settings={"url": str(file)}) as client:
            (table,) = await read(client, "sql://tables")
            assert table["name"] == name
            described = await client.call_tool("describe_table", {"table": name})
            assert described.structured_content is not None, described.content
            assert [column["name"] for column in described.structured_content["columns"]] == [name]
            schema = await read(client, table["schema_uri"])
            assert schema["table"] == name
            assert (await read(client, table["sample_uri"]))["rows"] == [[7]]

    anyio.run(ask)
