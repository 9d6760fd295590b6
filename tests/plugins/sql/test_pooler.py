"""PostgreSQL behind PgBouncer: a query is answered and cannot write, in transaction and in statement mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from mcp import Client
from mcp.types import CallToolResult

from plugins.sql import servers
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(servers.PGBOUNCER is None, reason=servers.no_pgbouncer),
    pytest.mark.parametrize("mode", ["auto"], indirect=True),
]


@pytest.fixture
def transactions(postgres: Server) -> Iterator[Server]:
    with servers.pooler(postgres, "transaction") as pooler:
        yield pooler


@pytest.fixture
def statements(postgres: Server) -> Iterator[Server]:
    with servers.pooler(postgres, "statement") as pooler:
        yield pooler


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


WRITES = [
    "DELETE FROM orders",
    "SET TRANSACTION READ WRITE",
    "COMMIT; DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "SELECT 1) AS q; DELETE FROM orders; SELECT * FROM (SELECT 1",
    "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
    "DO $$ BEGIN COMMIT; DELETE FROM orders; END $$",
    "SELECT removed(1), ARRAY[1]",
    "SELECT ARRAY[removed(1)]",
]
FUNCTION = "CREATE FUNCTION removed(int) RETURNS int LANGUAGE sql VOLATILE AS 'DELETE FROM orders; SELECT 1'"


async def used(client: Client) -> None:
    """Ask in all ways, more often than there are connections."""
    for _ in range(3):
        found = await call(client, "query", sql="SELECT id FROM orders WHERE id IN :ids", parameters={"ids": [1, 3]})
        assert found["rows"] == [[1], [3]]
    found = await call(client, "query", sql="SELECT ARRAY[:a, 2], int4range(1, 3)", parameters={"a": 1})
    assert found["rows"] == [[[1, 2], "[1,3)"]]
    assert len((await call(client, "list_tables"))["tables"]) == 3
    assert (await call(client, "describe_table", table="orders"))["primary_key"] == ["id"]
    assert (await call(client, "explain", sql="SELECT * FROM orders"))["plan"][0].startswith("Seq Scan")
    assert (await call(client, "query", sql="SHOW search_path"))["rows"] == [["public"]]


async def cannot_write(client: Client, refused: Refused, server: Server) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute(FUNCTION)
    for sql in WRITES:
        await client.call_tool("query", {"sql": sql})
    assert (await call(client, "query", sql="SELECT count(*) FROM orders"))["rows"] == [[3]]
    assert "read-only" in refused(await client.call_tool("query", {"sql": "SELECT removed(1)"}))


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_query_is_answered_in_transaction_mode(
    served: Served, refused: Refused, postgres: Server, transactions: Server, driver: str
) -> None:
    url = transactions.url.replace("postgresql:", f"postgresql+{driver}:")
    async with served(f"{url}?options=-csearch_path%3Dpublic") as client:
        await used(client)
        await cannot_write(client, refused, postgres)


async def test_a_query_is_answered_in_statement_mode(
    served: Served, refused: Refused, postgres: Server, statements: Server
) -> None:
    async with served(f"{statements.url}?options=-csearch_path%3Dpublic") as client:
        await used(client)
        await cannot_write(client, refused, postgres)


async def test_statement_mode_needs_psycopg(served: Served, refused: Refused, statements: Server) -> None:
    async with served(statements.url.replace("postgresql:", "postgresql+asyncpg:")) as client:
        assert "Use postgresql+psycopg://" in refused(await client.call_tool("query", {"sql": "SELECT 1"}))
