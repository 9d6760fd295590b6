"""PostgreSQL: cleaning a session, stopping a statement at the server, and a server that is killed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_plugin_sql.database import Database
from mcp_plugin_sql.settings import Settings
from plugins.sql import servers
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


def sleeping(server: Server) -> int:
    """Return how many statements of others sleep at the server."""
    with psycopg.connect(server.url) as connection:
        row = connection.execute(SLEEPING).fetchone()
        assert row is not None
        return int(row[0])


async def until(server: Server, number: int) -> None:
    """Wait until so many statements sleep. The server sends no event for this."""
    with anyio.fail_after(30):
        while await anyio.to_thread.run_sync(sleeping, server) != number:
            await anyio.sleep(0.02)


@asynccontextmanager
async def database(url: str, **settings: object) -> AsyncIterator[Database]:
    whole = Settings(url=url, allow_powerful_role=True, **settings)  # type: ignore[arg-type]
    base = Database(whole, whole, Path(), logging.getLogger("sql"))
    try:
        yield base
    finally:
        await base.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SET TRANSACTION READ WRITE",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM orders; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM orders; END $$",
        "COMMIT; DELETE FROM orders",
        "ROLLBACK; BEGIN READ WRITE; DELETE FROM orders; COMMIT",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT nextval('numbers')",
        "COPY orders FROM '/dev/null'",
        "TRUNCATE orders",
    ],
)
async def test_no_statement_leaves_the_read_only_transaction(
    served: Served, postgres_url: str, postgres: Server, refused: Refused, sql: str
) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE SEQUENCE numbers")
    async with served(postgres_url) as client:
        refused(await client.call_tool("query", {"sql": sql}))
        assert (await call(client, "query", sql="SELECT count(*) FROM orders"))["rows"] == [[3]]


async def test_a_session_keeps_nothing_from_a_call(served: Served, postgres_url: str) -> None:
    """There is only one connection. The next call gets it clean."""
    async with served(postgres_url, pool_size=1) as client:
        pid = (await call(client, "query", sql="SELECT pg_backend_pid()"))["rows"]
        for sql in (
            "SET statement_timeout = 0",
            "SET default_transaction_read_only = off",
            "SELECT set_config('search_path', 'pg_catalog', false)",
            "COMMIT",
            "PREPARE mine AS SELECT 1",
            "SELECT pg_advisory_lock(7)",
            "LISTEN something",
        ):
            await client.call_tool("query", {"sql": sql})
        show = "SELECT current_setting('default_transaction_read_only'), current_schema(), current_setting('DateStyle')"
        assert (await call(client, "query", sql=show))["rows"] == [["on", "public", "ISO, MDY"]]
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert (await call(client, "query", sql=locks))["rows"] == [[0]]
        mine = await call(client, "query", sql="SELECT name FROM pg_prepared_statements WHERE name = 'mine'")
        assert mine["rows"] == []
        assert (await call(client, "query", sql="SELECT pg_backend_pid()"))["rows"] == pid


async def test_a_statement_without_rows_has_a_note(served: Served, postgres_url: str) -> None:
    async with served(postgres_url) as client:
        found = await call(client, "query", sql="SET work_mem = '1MB'")
    assert found["note"] == "The statement returns no rows. Its effects end with this call."


async def test_values_are_valid_json(served: Served, postgres_url: str) -> None:
    values = {
        "9007199254740991::bigint": 9007199254740991,
        "9007199254740993::bigint": "9007199254740993",
        "1.50::numeric": 1.5,
        "12345678901234567.89::numeric": "12345678901234567.89",
        "'NaN'::float8": "NaN",
        "'-Infinity'::float8": "-Infinity",
        "'NaN'::numeric": "NaN",
        "DATE '2025-03-01'": "2025-03-01",
        "'infinity'::date": "infinity",
        "DATE '20000-01-01'": "20000-01-01",
        "TIMESTAMP '2025-03-01 10:00:00.5'": "2025-03-01 10:00:00.5",
        "TIMESTAMP '0044-03-15 BC'": "0044-03-15 00:00:00 BC",
        "INTERVAL '1 month 2 days'": "1 mon 2 days",
        "'\\x00ff'::bytea": {"base64": "AP8=", "bytes": 2},
        "'{\"a\": [1, null, 1.5]}'::jsonb": {"a": [1, None, 1.5]},
        "ARRAY[[1, 2], [3, NULL]]": [[1, 2], [3, None]],
        "ARRAY['infinity'::date]": ["infinity"],
        "ARRAY['NaN'::float8]": ["NaN"],
        "'00000000-0000-0000-0000-000000000001'::uuid": "00000000-0000-0000-0000-000000000001",
        "'10.0.0.1/8'::inet": "10.0.0.1/8",
        "int4range(1, 5)": "[1,5)",
        "'empty'::int4range": "empty",
        "point(1, 2)": "(1,2)",
        "B'101'": "101",
        "true": True,
        "NULL": None,
    }
    async with served(postgres_url) as client:
        found = await call(client, "query", sql=f"SELECT {', '.join(values)}")
    assert dict(zip(values, found["rows"][0], strict=True)) == values


async def test_tables_of_all_schemas_of_the_role_are_listed(served: Served, postgres: Server) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute('CREATE TABLE other."a.b" (id int PRIMARY KEY, at circle, v xml)')
        connection.execute("CREATE MATERIALIZED VIEW other.old AS SELECT 1 AS one")
        connection.execute("COMMENT ON COLUMN other.\"a.b\".at IS 'where it is'")
    async with served(postgres.url) as client:
        names = [table["name"] for table in (await call(client, "list_tables"))["tables"]]
        described = await call(client, "describe_table", table="other.a.b")
        sample = await client.read_resource("sql://tables/other.old/sample")
        explicit = await call(client, "describe_table", table="public.orders")
        missed = await client.call_tool("describe_table", {"table": "a.b"})
        unknown = await client.call_tool("query", {"sql": "SELECT * FROM old"})
    async with served(postgres.url, schemas=["nowhere"]) as client:
        fewer = [table["name"] for table in (await call(client, "list_tables"))["tables"]]
    assert names == ["customer", "orders", "sales", "other.a.b", "other.old"]
    assert fewer == ["customer", "orders", "sales"]
    assert explicit["table"] == "orders"
    assert "Did you mean 'other.a.b'?" in str(missed.content)
    assert "Did you mean other.old?" in str(unknown.content)
    assert [column["type"] for column in described["columns"]] == ["INTEGER", "circle", "xml"]
    assert described["columns"][1]["comment"] == "where it is"
    assert '"one"' in str(sample.contents[0])


async def test_a_parameter_of_the_wrong_type_is_refused(served: Served, postgres_url: str, refused: Refused) -> None:
    async with served(postgres_url) as client:
        text = refused(
            await client.call_tool("query", {"sql": "SELECT * FROM orders WHERE id = :id", "parameters": {"id": "x"}})
        )
        assert "PostgreSQL says: " in text
        ids = await call(client, "query", sql="SELECT id FROM orders WHERE id = ANY(:ids)", parameters={"ids": [1, 3]})
    assert ids["rows"] == [[1], [3]]


async def test_a_statement_is_stopped_at_the_server_at_its_timeout(
    served: Served, postgres_url: str, postgres: Server, refused: Refused
) -> None:
    async with served(postgres_url, statement_timeout=0.2, pool_size=1) as client:
        text = refused(await client.call_tool("query", {"sql": "SELECT pg_sleep(3600)"}))
        assert text.startswith("The statement took longer than 0.2 s and was stopped")
        await until(postgres, 0)
        assert (await call(client, "query", sql="SELECT 1"))["rows"] == [[1]]


async def test_cancelling_the_call_cancels_the_statement_at_the_server(
    served: Served, postgres_url: str, postgres: Server
) -> None:
    async with served(postgres_url, statement_timeout=3600, pool_size=1, writable=True) as client:
        for tool in ("query", "execute", "query"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, tool, {"sql": "SELECT pg_sleep(3600)"})
                await until(postgres, 1)
                tasks.cancel_scope.cancel()
            await until(postgres, 0)
            assert (await call(client, tool, sql="SELECT 1 AS one"))["rows"] == [[1]]


async def test_an_error_reports_that_all_connections_are_in_use(postgres_url: str, postgres: Server) -> None:
    async with database(postgres_url, pool_size=1, connect_timeout=0.2, statement_timeout=3600) as base:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(base.query, "SELECT pg_sleep(3600)", None)
            await until(postgres, 1)
            with pytest.raises(Exception, match="All 1 connections to the database are in use"):
                await base.query("SELECT 1", None)
            tasks.cancel_scope.cancel()
        await until(postgres, 0)


async def test_a_killed_session_is_reported_and_the_next_call_gets_another(
    served: Served, postgres_url: str, postgres: Server, refused: Refused
) -> None:
    results: list[CallToolResult] = []
    async with served(postgres_url, statement_timeout=3600) as client:

        async def ask() -> None:
            results.append(await client.call_tool("query", {"sql": "SELECT pg_sleep(3600)"}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(postgres, 1)
            with psycopg.connect(postgres.url) as connection:
                kill = SLEEPING.replace("count(*)", "pg_terminate_backend(pid)")
                connection.execute(kill)
        assert refused(results[0]).startswith("The database server closed the connection while the statement ran")
        assert (await call(client, "query", sql="SELECT 1"))["rows"] == [[1]]


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may kill."""
    if servers.POSTGRES is None:
        pytest.skip(servers.no_postgres)
    with servers.postgres_server() as server:
        yield server


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_server_that_is_killed_during_a_query_and_restarted_answers_again(
    served: Served, own_server: Server, refused: Refused, driver: str
) -> None:
    results: dict[str, CallToolResult] = {}
    url = own_server.url.replace("postgresql:", f"postgresql+{driver}:")
    async with served(url, statement_timeout=3600, writable=True, connect_timeout=5) as client:
        await call(client, "execute", sql="CREATE TABLE kept (a int)")

        async def ask(tool: str, sql: str) -> None:
            results[tool] = await client.call_tool(tool, {"sql": sql})

        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, "query", "SELECT pg_sleep(3600)")
                tasks.start_soon(ask, "execute", "INSERT INTO kept SELECT 1 FROM pg_sleep(3600)")
                await until(own_server, 2)
                await anyio.to_thread.run_sync(own_server.kill)
            read, wrote = refused(results["query"]), refused(results["execute"])
            assert read.startswith("The database server closed the connection while the statement ran")
            assert read.endswith("Try again.")
            assert wrote.endswith("It may have been committed: check this before you repeat it.")
            down = refused(await client.call_tool("query", {"sql": "SELECT 1"}))
            assert down.startswith(f"The database 127.0.0.1:{own_server.port}/postgres cannot be used: ")
            assert "refused" in down
            await anyio.to_thread.run_sync(own_server.start)
            assert (await call(client, "query", sql="SELECT count(*) FROM kept"))["rows"] == [[0]]
            assert (await call(client, "execute", sql="INSERT INTO kept VALUES (1)"))["rows_affected"] == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("tester:", "nobody:"), "password authentication failed"),
        ((servers.QUOTED_PASSWORD, "wrong-secret"), "password authentication failed"),
        (("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
    ],
)
async def test_an_error_for_a_refused_login_does_not_contain_the_password(
    served: Served, postgres_url: str, refused: Refused, change: tuple[str, str], why: str
) -> None:
    async with served(postgres_url.replace(*change)) as client:
        text = refused(await client.call_tool("query", {"sql": "SELECT 1"}))
    assert why in text
    assert "wrong-secret" not in text
    assert servers.QUOTED_PASSWORD not in text
