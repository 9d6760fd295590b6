"""MariaDB: statements that try to leave a read-only transaction, stopping a statement, and a server that is killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.types import CallToolResult

from plugins.sql import servers
from plugins.sql.conftest import mariadb_connection
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


def sleeping(server: Server) -> int:
    with mariadb_connection(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'")
        return int(cursor.fetchone()[0])


async def until(server: Server, number: int) -> None:
    """Wait until so many statements sleep. The server sends no event for this."""
    with anyio.fail_after(30):
        while await anyio.to_thread.run_sync(sleeping, server) != number:
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN NOT ATOMIC COMMIT; SET SESSION TRANSACTION READ WRITE; DROP TABLE orders; END",
        "SET STATEMENT tx_read_only = 0 FOR DROP TABLE orders",
        "EXECUTE IMMEDIATE 'DROP TABLE orders'",
        "SET SESSION TRANSACTION READ WRITE",
        "TRUNCATE orders",
        "DO SLEEP(0)",
        "CALL something()",
        "KILL 1",
        "SELECT * FROM orders FOR UPDATE",
    ],
)
async def test_no_statement_leaves_the_read_only_transaction(
    served: Served, mariadb: Server, refused: Refused, sql: str
) -> None:
    async with served(mariadb.url) as client:
        refused(await client.call_tool("query", {"sql": sql}))
        assert (await call(client, "query", sql="SELECT count(*) FROM orders"))["rows"] == [[3]]


async def test_values_are_valid_json(served: Served, mariadb: Server) -> None:
    values = {
        "9007199254740993": "9007199254740993",
        "18446744073709551615": "18446744073709551615",
        "1.50": 1.5,
        "DATE '2025-03-01'": "2025-03-01",
        "TIMESTAMP '2025-03-01 10:00:00'": "2025-03-01T10:00:00",
        "CAST('-30:00:01' AS TIME)": "-30:00:01",
        "x'00ff'": {"base64": "AP8=", "bytes": 2},
        "1e0 / 3": 1 / 3,
        "NULL": None,
    }
    async with served(mariadb.url) as client:
        found = await call(client, "query", sql=f"SELECT {', '.join(values)}")
    assert dict(zip(values, found["rows"][0], strict=True)) == values


async def test_a_statement_is_stopped_at_its_timeout(served: Served, mariadb: Server, refused: Refused) -> None:
    async with served(mariadb.url, statement_timeout=0.2) as client:
        text = refused(await client.call_tool("query", {"sql": "SELECT count(*) FROM orders WHERE sleep(3600) = 0"}))
        assert text.startswith("The statement took longer than 0.2 s and was stopped")
        await until(mariadb, 0)


async def test_cancelling_the_call_kills_the_statement_at_the_server(served: Served, mariadb: Server) -> None:
    async with served(mariadb.url, statement_timeout=3600, pool_size=1, writable=True) as client:
        for tool in ("query", "execute"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, tool, {"sql": "SELECT sleep(3600)"})
                await until(mariadb, 1)
                tasks.cancel_scope.cancel()
            await until(mariadb, 0)
            assert (await call(client, tool, sql="SELECT 1"))["rows"] == [[1]]


async def test_a_server_that_is_killed_during_a_query_and_restarted_answers_again(
    served: Served, refused: Refused
) -> None:
    if servers.MARIADBD is None:
        pytest.skip(servers.no_mariadb)
    results: list[CallToolResult] = []
    with servers.mariadb_server() as server:
        async with served(server.url, statement_timeout=3600) as client:

            async def ask() -> None:
                results.append(await client.call_tool("query", {"sql": "SELECT sleep(3600)"}))

            with anyio.fail_after(90):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await until(server, 1)
                    await anyio.to_thread.run_sync(server.kill)
                text = refused(results[0])
                assert text.startswith("The database server closed the connection while the statement ran")
                assert "cannot be used" in refused(await client.call_tool("query", {"sql": "SELECT 1"}))
                await anyio.to_thread.run_sync(server.start)
                assert (await call(client, "query", sql="SELECT 1"))["rows"] == [[1]]


async def test_what_only_shows_something_is_answered(served: Served, mariadb: Server) -> None:
    async with served(mariadb.url) as client:
        shown = await call(client, "query", sql="SHOW TABLES")
        described = await call(client, "query", sql=" describe customer")
        plan = await call(client, "query", sql="EXPLAIN SELECT * FROM orders")
    assert shown["rows"] == [["customer"], ["orders"], ["sales"]]
    assert [row[0] for row in described["rows"]] == ["id", "name", "city"]
    assert "orders" in plan["rows"][0]


async def test_a_plan_with_real_figures_changes_nothing(served: Served, mariadb: Server, refused: Refused) -> None:
    async with served(mariadb.url) as client:
        plan = await call(client, "explain", sql="SELECT * FROM orders", analyze=True)
        change = {"sql": "DELETE FROM orders", "analyze": True}
        assert "only reading is allowed" in refused(await client.call_tool("explain", change))
        # ANALYZE TABLE is another statement, which writes.
        assert "Only a SELECT" in refused(await client.call_tool("explain", {"sql": "TABLE orders", "analyze": True}))
        assert (await call(client, "query", sql="SELECT count(*) FROM orders"))["rows"] == [[3]]
    assert "r_rows: 3" in plan["plan"][0]


async def test_a_list_is_a_parameter_after_in_only(served: Served, mariadb: Server, refused: Refused) -> None:
    async with served(mariadb.url) as client:
        for sql in ("SELECT id FROM orders WHERE id IN :ids", "SELECT id FROM orders WHERE id IN (:ids)"):
            assert (await call(client, "query", sql=sql, parameters={"ids": [1, 3]}))["rows"] == [[1], [3]]
            assert (await call(client, "query", sql=sql, parameters={"ids": []}))["rows"] == []
        none = {"sql": "SELECT count(*) FROM orders WHERE id NOT IN :ids", "parameters": {"ids": []}}
        assert (await call(client, "query", **none))["rows"] == [[3]]
        other = {"sql": "SELECT :ids", "parameters": {"ids": [1]}}
        text = refused(await client.call_tool("query", other))
    assert text == "The parameter :ids is a list: a list can only be used as IN :ids."


async def test_a_view_of_a_table_that_is_gone_has_a_clear_error(
    served: Served, mariadb: Server, refused: Refused
) -> None:
    with mariadb_connection(mariadb) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop.gone (a int)")
        cursor.execute("CREATE VIEW shop.broken AS SELECT * FROM shop.gone")
        cursor.execute("DROP TABLE shop.gone")
    async with served(mariadb.url) as client:
        described = refused(await client.call_tool("describe_table", {"table": "broken"}))
        read = refused(await client.call_tool("query", {"sql": "SELECT * FROM broken"}))
    assert "View 'shop.broken' references invalid table(s)" in described
    assert "View 'shop.broken' references invalid table(s)" in read


async def test_without_a_database_in_the_url_all_are_listed(served: Served, mariadb: Server) -> None:
    async with served(mariadb.url.removesuffix("shop")) as client:
        names = [table["name"] for table in (await call(client, "list_tables"))["tables"]]
        described = await call(client, "describe_table", table="shop.orders")
        sample = await client.read_resource("sql://tables/shop.customer/sample")
    assert names == ["shop.customer", "shop.orders", "shop.sales"]
    assert described["primary_key"] == ["id"]
    assert "Ann" in str(sample.contents[0])


async def test_an_error_for_a_wrong_password_does_not_contain_it(
    served: Served, mariadb: Server, refused: Refused
) -> None:
    async with served(mariadb.url.replace(servers.QUOTED_PASSWORD, "wrong-secret")) as client:
        text = refused(await client.call_tool("query", {"sql": "SELECT 1"}))
    assert "Access denied" in text
    assert "wrong-secret" not in text
