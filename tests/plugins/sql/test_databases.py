"""Several databases under one plugin, files with results, and the schema as one text."""

from __future__ import annotations

import csv
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host.testing import connect
from mcp_plugin_sql import plugin
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


async def test_several_databases_are_asked_by_name(shop: Path, postgres: Server, mode: str, refused: Refused) -> None:
    databases = {
        "local": {"url": shop.name},
        "main": {"url": postgres.url, "allow_powerful_role": True},
    }
    async with connect(plugin, name="sql", settings={"databases": databases}, mode=mode) as client:
        listed = await call(client, "list_tables")
        assert listed["databases"] == ["local", "main"]
        first = await call(client, "query", sql="SELECT sqlite_version() IS NOT NULL")
        assert first["rows"] == [[1]]
        main = await call(client, "query", sql="SELECT version() LIKE 'PostgreSQL%'", database="main")
        assert main["rows"] == [[True]]
        assert (await call(client, "describe_table", table="orders", database="main"))["primary_key"] == ["id"]
        text = refused(await client.call_tool("query", {"sql": "SELECT 1", "database": "mian"}))
        assert text == "There is no database 'mian'. Did you mean 'main'? Databases: local, main."
        tables = await client.read_resource("sql://main/tables")
        assert "sql://main/tables/orders/schema" in str(tables.contents[0])
        sample = await client.read_resource("sql://main/tables/customer/sample?rows=1")
        assert "Ann" in str(sample.contents[0])


async def test_one_database_has_no_name(served: Served, shop: Path, refused: Refused) -> None:
    async with served(shop) as client:
        assert (await call(client, "list_tables"))["databases"] == []
        text = refused(await client.call_tool("query", {"sql": "SELECT 1", "database": "x"}))
    assert text == "There is no database 'x'. Databases: none: there is only one database, which needs no name."


async def test_a_result_is_exported_as_csv(served: Served, url: str, folder: Path) -> None:
    (folder / "out").mkdir()
    sql = "SELECT id, name, city FROM customer ORDER BY id"
    async with served(url, export_folder="out") as client:
        exported = await call(client, "export", sql=sql, file="all.csv")
        text = await call(client, "export", sql="SELECT 'a,b' AS x, '' AS y, NULL AS z, '\"' AS w", file="odd.csv")
    assert (exported["rows"], exported["columns"], exported["note"]) == (3, ["id", "name", "city"], "")
    content = (folder / "out" / "all.csv").read_bytes()
    assert content == b"id,name,city\r\n1,Ann,Bern\r\n2,Bob,Basel\r\n3,Eve,\r\n"
    assert exported["bytes"] == len(content)
    assert text["rows"] == 1
    assert (folder / "out" / "odd.csv").read_bytes() == b'x,y,z,w\r\n"a,b","",,""""\r\n'
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["all.csv", "odd.csv"]


async def test_an_export_cuts_no_value_and_says_when_rows_are_left_out(served: Served, shop: Path) -> None:
    long = "SELECT replace(hex(zeroblob(60000)), '0', 'x') AS t, zeroblob(3000) AS b"
    async with served(shop, export_folder=".", max_export_rows=2) as client:
        await call(client, "export", sql=long, file="long.csv")
        cut = await call(client, "export", sql="SELECT id FROM orders", file="cut.csv")
    with (shop.parent / "long.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["x" * 120_000, "A" * 4000]
    assert cut["note"] == "Truncated at max_export_rows = 2: there are more rows."


@pytest.mark.parametrize("name", ["../x.csv", "/tmp/x.csv", "a/b.csv", ".x.csv", "x.txt", "", "x\n.csv", "..csv/"])
async def test_an_export_is_a_new_file_in_the_folder(served: Served, shop: Path, refused: Refused, name: str) -> None:
    async with served(shop, export_folder=".") as client:
        before = sorted(shop.parent.rglob("*"))
        text = refused(await client.call_tool("export", {"sql": "SELECT 1", "file": name}))
        assert "is not a name for the file" in text
        assert sorted(shop.parent.rglob("*")) == before


async def test_an_export_replaces_a_file_only_on_request(served: Served, shop: Path, refused: Refused) -> None:
    kept = shop.parent / "kept.csv"
    kept.write_text("kept")
    target = shop.parent / "target"
    target.write_text("target")
    (shop.parent / "link.csv").symlink_to(target)
    async with served(shop, export_folder=".") as client:
        for name in ("kept.csv", "link.csv"):
            text = refused(await client.call_tool("export", {"sql": "SELECT 1", "file": name}))
            assert "There is already a file" in text
            failing = {"sql": "SELECT missing", "file": name, "overwrite": True}
            assert "no such column" in refused(await client.call_tool("export", failing))
            assert kept.read_text() == "kept"
        await call(client, "export", sql="SELECT 1 AS a", file="link.csv", overwrite=True)
    assert target.read_text() == "target"
    assert (shop.parent / "link.csv").read_text() == "a\n1\n"


async def test_without_a_folder_nothing_can_be_exported(served: Served, shop: Path) -> None:
    async with served(shop) as client:
        assert "export" not in {tool.name for tool in (await client.list_tools()).tools}
    shutil.rmtree(shop.parent / "gone", ignore_errors=True)
    async with served(shop, export_folder="gone") as client:
        result = await client.call_tool("export", {"sql": "SELECT 1", "file": "a.csv"})
    assert "The folder for exports cannot be written: No such file or directory." in str(result.content)


async def test_the_schema_is_one_compact_text(served: Served, url: str) -> None:
    async with served(url) as client:
        text = (await call(client, "describe_schema"))["result"]
        short = (await call(client, "describe_schema", containing="cust"))["result"]
        none = (await call(client, "describe_schema", containing="nothing"))["result"]
    lines = text.splitlines()
    assert [line.partition("(")[0] for line in lines] == ["customer", "orders", "view sales"]
    lines = [re.sub(r"INTEGER\(\d+\)", "INTEGER", line) for line in lines]  # MariaDB's width
    assert lines[0] == "customer(id INTEGER PK, name VARCHAR(40) NOT NULL, city VARCHAR(40))"
    assert "customer_id INTEGER -> customer.id" in lines[1]
    assert short == text.splitlines()[0]
    assert none == "No table has 'nothing' in its name."


async def test_a_large_schema_has_less_about_each_table(served: Served, folder: Path) -> None:
    connection = sqlite3.connect(folder / "large.sqlite")
    for number in range(60):
        columns = ", ".join(f"column_{index} VARCHAR(40)" for index in range(20))
        connection.execute(f"CREATE TABLE table_{number:03} ({columns})")
    connection.close()
    async with served(folder / "large.sqlite") as client:
        sizes = {}
        for tokens in (20_000, 5_000, 1_000, 200):
            sizes[tokens] = (await call(client, "describe_schema", max_tokens=tokens))["result"]
    assert "column_19 VARCHAR(40))" in sizes[20_000]
    assert "column_19)" in sizes[5_000]
    assert sizes[1_000].splitlines()[0] == "table_000: 20 columns"
    assert sizes[200].splitlines()[-1].endswith("more: use `containing`, or raise `max_tokens`.")
    assert all(len(text) <= tokens * 4 for tokens, text in sizes.items())


async def test_a_plan_with_real_figures_is_read_only(
    served: Served, postgres_url: str, shop: Path, refused: Refused
) -> None:
    async with served(postgres_url) as client:
        plan = await call(client, "explain", sql="SELECT * FROM orders", analyze=True)
        change = {"sql": "DELETE FROM orders", "analyze": True}
        assert "only reading is allowed" in refused(await client.call_tool("explain", change))
        assert (await call(client, "query", sql="SELECT count(*) FROM orders"))["rows"] == [[3]]
    assert "rows=3 loops=1" in plan["plan"][0]
    async with served(shop) as client:
        text = refused(await client.call_tool("explain", {"sql": "SELECT 1", "analyze": True}))
    assert text == "SQLite has no statement that shows a plan with real figures: omit `analyze`."


async def test_a_list_is_a_parameter_after_in(served: Served, url: str) -> None:
    async with served(url) as client:
        for sql in ("SELECT id FROM orders WHERE id IN :ids", "SELECT id FROM orders WHERE id in (:ids) ORDER BY id"):
            assert (await call(client, "query", sql=sql, parameters={"ids": [1, 3]}))["rows"] == [[1], [3]]
            assert (await call(client, "query", sql=sql, parameters={"ids": []}))["rows"] == []
