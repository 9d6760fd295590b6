"""Every tool, with good and bad input, over every kind of database and in each protocol era."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def test_the_tables_are_listed_with_their_kinds(served: Served, url: str) -> None:
    async with served(url) as client:
        everything = await call(client, "list_tables")
        some = await call(client, "list_tables", containing="ORD")
    assert everything == {
        "tables": [
            {"name": "customer", "kind": "table"},
            {"name": "orders", "kind": "table"},
            {"name": "sales", "kind": "view"},
        ],
        "truncated": False,
        "databases": [],
    }
    assert [table["name"] for table in some["tables"]] == ["orders"]


async def test_a_table_is_described(served: Served, url: str) -> None:
    async with served(url) as client:
        orders = await call(client, "describe_table", table="orders")
        customer = await call(client, "describe_table", table="CUSTOMER")
        view = await call(client, "describe_table", table="sales")
    assert [column["name"] for column in orders["columns"]] == ["id", "customer_id", "day", "price"]
    types = {column["name"]: column["type"].split("(")[0] for column in orders["columns"]}
    assert types["day"] == "DATE"
    assert types["price"] in ("DECIMAL", "NUMERIC")
    assert orders["primary_key"] == ["id"]
    assert orders["foreign_keys"] == [{"columns": ["customer_id"], "table": "customer", "to": ["id"]}]
    assert {"name": "orders_by_day", "columns": ["day"], "unique": False} in orders["indexes"]
    assert {"name": "customer_by_name", "columns": ["name"], "unique": True} in customer["indexes"]
    columns = {column["name"]: column for column in customer["columns"]}
    assert columns["name"]["nullable"] is False
    assert columns["city"]["nullable"] is True
    assert "Bern" in columns["city"]["default"]
    assert view["kind"] == "view"
    assert [column["name"] for column in view["columns"]] == ["city", "orders"]


async def test_an_unknown_table_is_refused_with_a_suggestion(served: Served, url: str, refused: Refused) -> None:
    async with served(url) as client:
        text = refused(await client.call_tool("describe_table", {"table": "order"}))
    assert text == "There is no table 'order'. Did you mean 'orders'? Tables: customer, orders, sales."


async def test_a_query_takes_parameters_and_returns_rows(served: Served, url: str) -> None:
    sql = """
        SELECT id, price, 'a:b' AS "text", '100%' AS share FROM orders -- :nothing
        WHERE price >= :least AND id <> :not AND id <> :not AND /* :none */ 1 = 1 ORDER BY id
    """
    if "mysql" in url:
        sql = sql.replace('"', "`")
    async with served(url) as client:
        found = await call(client, "query", sql=sql, parameters={"least": 4.5, "not": 1})
    assert found == {
        "columns": ["id", "price", "text", "share"],
        "rows": [[2, 6, "a:b", "100%"], [3, 12.25, "a:b", "100%"]],
        "row_count": 2,
        "truncated": False,
        "unseen_rows": 0,
        "note": "",
    }


async def test_a_date_is_compared_with_text(served: Served, url: str) -> None:
    async with served(url) as client:
        found = await call(
            client, "query", sql="SELECT day FROM orders WHERE day < :day", parameters={"day": "2025-03-02"}
        )
    assert found["rows"] == [["2025-03-01"]]


async def test_a_percent_sign_need_not_be_doubled(served: Served, url: str) -> None:
    sql = "SELECT id FROM orders WHERE id % 2 = 0 AND '%s%d%%' LIKE '\x25'"
    async with served(url) as client:
        assert (await call(client, "query", sql=sql))["rows"] == [[2]]
        with_parameter = await call(client, "query", sql=f"{sql} AND id > :id", parameters={"id": 0})
    assert with_parameter["rows"] == [[2]]


async def test_a_result_without_rows_has_its_columns(served: Served, url: str) -> None:
    async with served(url) as client:
        found = await call(client, "query", sql="SELECT id, day FROM orders WHERE id > 99")
    assert found["columns"] == ["id", "day"]
    assert found["rows"] == []


async def test_columns_with_the_same_name_are_all_returned(served: Served, url: str) -> None:
    async with served(url) as client:
        found = await call(client, "query", sql="SELECT 1 AS a, 2 AS a")
    assert found["columns"] == ["a", "a"]
    assert found["rows"] == [[1, 2]]


async def test_rows_over_the_limit_are_counted_but_not_listed(served: Served, url: str) -> None:
    sql = "SELECT a.id FROM orders a, orders b, orders c ORDER BY 1"
    async with served(url, max_rows=5) as client:
        found = await call(client, "query", sql=sql)
        fewer = await call(client, "query", sql=sql, max_rows=2)
        more = await call(client, "query", sql=sql, max_rows=1000)
        exact = await call(client, "query", sql=f"{sql} LIMIT 5")
    assert found["row_count"] == len(found["rows"]) == 5
    assert found["truncated"] is True
    assert found["unseen_rows"] == 22
    assert found["note"] == "Truncated at max_rows = 5: 22 more rows are not listed."
    assert fewer["unseen_rows"] == 25
    assert more["row_count"] == 5
    assert (exact["truncated"], exact["unseen_rows"], exact["note"]) == (False, 0, "")


async def test_too_many_rows_to_count_are_reported_as_more(served: Served, url: str) -> None:
    sql = f"SELECT a.id FROM {', '.join(f'orders {name}' for name in 'abcdefghi')}"
    async with served(url) as client:
        found = await call(client, "query", sql=sql)
    assert found["unseen_rows"] is None
    assert found["note"] == "Truncated at max_rows = 100: more than 10000 more rows are not listed."


async def test_a_result_over_the_byte_limit_is_cut(served: Served, url: str) -> None:
    text = "é" * 199
    async with served(url, max_bytes=1000) as client:
        found = await call(client, "query", sql=f"SELECT '{text}' FROM orders a, orders b")
        large = await call(client, "query", sql=f"SELECT '{text * 5}' FROM orders")
    assert found["row_count"] == 2
    assert found["note"] == "Truncated at max_bytes = 1000: 7 more rows are not listed."
    assert large["rows"] == []
    assert "A single row is larger than that: select fewer columns" in large["note"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"sql": " \n"}, "The statement is empty"),
        ({"sql": "SELECT '\0'"}, "NUL"),
        ({"sql": "SELECT " + "1" * 100_000}, "at most 100000 are allowed"),
        ({"sql": "SELECT :a", "parameters": {"b": 1}}, "No value was given for :a"),
        ({"sql": "SELECT :a, ':b'", "parameters": {"a": 1, "b": 1}}, "has no parameter :b"),
        ({"sql": "SELEKT 1"}, " says: "),
        ({"sql": "SELECT * FROM nowhere"}, "nowhere"),
        ({"sql": "SELECT 1; SELECT 2"}, " says: "),
        ({"sql": "SELECT 1", "max_rows": 0}, "max_rows"),
        ({"sql": "SELECT 1", "parameters": {"a": {"b": 1}}}, "parameters"),
        ({}, "sql"),
    ],
)
async def test_a_bad_query_is_refused_with_the_reason(
    served: Served, url: str, refused: Refused, arguments: dict[str, Any], why: str
) -> None:
    async with served(url) as client:
        assert why in refused(await client.call_tool("query", arguments))
        assert (await call(client, "query", sql="SELECT 1"))["rows"] == [[1]]


WRITES = [
    "INSERT INTO customer VALUES (9, 'Zoe', 'Zug')",
    "UPDATE customer SET city = 'Zug'",
    "DELETE FROM orders",
    "CREATE TABLE more (a INTEGER)",
    "CREATE TEMPORARY TABLE more (a INTEGER)",
    "CREATE VIEW more AS SELECT 1",
    "DROP TABLE orders",
    "ALTER TABLE customer ADD COLUMN a INTEGER",
    "CREATE INDEX more ON customer (city)",
    "COMMIT; DROP TABLE orders",
    "SELECT 1; DROP TABLE orders",
]


@pytest.mark.parametrize("sql", WRITES)
async def test_a_query_cannot_write(served: Served, url: str, refused: Refused, sql: str) -> None:
    async with served(url, writable=True) as client:
        refused(await client.call_tool("query", {"sql": sql}))
        await client.call_tool("query", {"sql": "COMMIT"})
        refused(await client.call_tool("query", {"sql": sql}))
        refused(await client.call_tool("explain", {"sql": f"ANALYZE {sql}"}))
        assert [table["name"] for table in (await call(client, "list_tables"))["tables"]] == [
            "customer",
            "orders",
            "sales",
        ]
        found = await call(client, "query", sql="SELECT count(*), count(city), min(city) FROM customer")
        orders = await call(client, "query", sql="SELECT count(*) FROM orders")
    assert found["rows"] == [[3, 2, "Basel"]]
    assert orders["rows"] == [[3]]


async def test_a_plan_is_shown_without_running_the_statement(served: Served, url: str, refused: Refused) -> None:
    async with served(url) as client:
        shown = await call(client, "explain", sql="SELECT * FROM orders WHERE id = :id", parameters={"id": 1})
        why = refused(await client.call_tool("explain", {"sql": "SELECT * FROM nowhere"}))
    assert "orders" in "\n".join(shown["plan"])
    assert "nowhere" in why


async def test_execute_is_served_only_if_the_database_is_writable(served: Served, url: str) -> None:
    async with served(url) as client:
        reading = {tool.name: tool for tool in (await client.list_tools()).tools}
    async with served(url, writable=True) as client:
        writing = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert sorted(reading) == ["describe_schema", "describe_table", "explain", "list_tables", "query"]
    assert sorted(writing) == ["describe_schema", "describe_table", "execute", "explain", "list_tables", "query"]
    for tool in reading.values():
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
    annotations = writing["execute"].annotations
    assert annotations is not None
    assert (annotations.read_only_hint, annotations.destructive_hint) == (False, True)


async def test_execute_changes_the_database_and_reports_the_number_of_rows(served: Served, url: str) -> None:
    async with served(url, writable=True) as client:
        inserted = await call(
            client,
            "execute",
            sql="INSERT INTO customer VALUES (:id, :name, :city)",
            parameters={"id": 9, "name": "Zoë: 100%", "city": None},
        )
        updated = await call(client, "execute", sql="UPDATE customer SET city = 'Zug' WHERE city IS NULL")
        await call(client, "execute", sql="CREATE TABLE more (a INTEGER)")
        found = await call(client, "query", sql="SELECT name, city FROM customer WHERE id IN (3, 9) ORDER BY id")
        tables = await call(client, "list_tables", containing="more")
    assert inserted == {"rows_affected": 1, "columns": [], "rows": [], "note": ""}
    assert updated["rows_affected"] == 2
    assert found["rows"] == [["Eve", "Zug"], ["Zoë: 100%", "Zug"]]
    assert tables["tables"] == [{"name": "more", "kind": "table"}]


async def test_execute_returns_the_rows_of_the_statement(served: Served, url: str) -> None:
    async with served(url, writable=True, max_rows=1) as client:
        deleted = await call(client, "execute", sql="DELETE FROM orders WHERE id < 3 RETURNING id, price")
        left = await call(client, "query", sql="SELECT id FROM orders")
    assert deleted["columns"] == ["id", "price"]
    assert deleted["rows"] == [[1, 4.5]]
    assert "1 more row is not listed" in deleted["note"]
    assert left["rows"] == [[3]]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("INSERT INTO customer VALUES (1, 'Ann', 'Bern')", "says: "),
        ("INSERT INTO customer VALUES (9, NULL, 'Bern')", "says: "),
        ("INSERT INTO nowhere VALUES (1)", "nowhere"),
        ("DELETE FROM orders; DELETE FROM customer", "says: "),
        ("", "The statement is empty"),
    ],
)
async def test_a_failed_execute_changes_nothing(served: Served, url: str, refused: Refused, sql: str, why: str) -> None:
    async with served(url, writable=True) as client:
        assert why in refused(await client.call_tool("execute", {"sql": sql}))
        found = await call(client, "query", sql="SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM orders)")
    assert found["rows"] == [[3, 3]]


async def test_many_calls_share_few_connections(served: Served, url: str) -> None:
    import anyio

    answers: dict[int, Any] = {}

    async def ask(client: Client, number: int) -> None:
        found = await call(client, "query", sql=f"SELECT count(*) + {number} FROM orders")
        answers[number] = found["rows"]

    async with served(url, pool_size=2) as client, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, client, number)
    assert answers == {number: [[3 + number]] for number in range(20)}
