"""Values inside other values, and values of uncommon types, are the same with both drivers for PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from mcp import Client

from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]

pytestmark = pytest.mark.anyio

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (day date, amount numeric);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE kept (id int, during daterange, held pair, feeling mood, price positive);
INSERT INTO kept VALUES (1, '[2024-01-01,2024-01-05)', ('2024-03-01', 12345678901234567.89), 'ok', 3);
"""
VALUES: dict[str, Any] = {
    "daterange('2024-01-01', '2024-01-05')": "[2024-01-01,2024-01-05)",
    "tstzrange('2024-01-01 00:00+00', NULL)": '["2024-01-01 00:00:00+00",)',
    "int4multirange(int4range(1, 3), int4range(5, 7))": "{[1,3),[5,7)}",
    "ARRAY[daterange('2024-01-01', 'infinity')]": ["[2024-01-01,infinity)"],
    "(1, DATE '2024-03-01')": [1, "2024-03-01"],
    "ROW(ROW(1, 'a'), ARRAY[ROW(2, NULL)])": [[1, "a"], [[2, None]]],
    "(SELECT k FROM kept k)": {
        "id": 1,
        "during": "[2024-01-01,2024-01-05)",
        "held": {"day": "2024-03-01", "amount": "12345678901234567.89"},
        "feeling": "ok",
        "price": 3,
    },
    "(SELECT held FROM kept)": {"day": "2024-03-01", "amount": "12345678901234567.89"},
    "(SELECT array_agg(k.held) FROM kept k)": [{"day": "2024-03-01", "amount": "12345678901234567.89"}],
    "(SELECT feeling FROM kept)": "ok",
    "ARRAY['sad'::mood]": ["sad"],
    "(SELECT price FROM kept)": 3,
    "ARRAY[9007199254740993]": ["9007199254740993"],
    "ARRAY[0.12345678901234567890]": ["0.12345678901234567890"],
    "ARRAY['2024-05-06'::date, NULL]": ["2024-05-06", None],
    "ARRAY[ARRAY[1, 2], ARRAY[3, 4]]": [[1, 2], [3, 4]],
    "ARRAY[TIMESTAMP '2024-05-06 10:00']": ["2024-05-06T10:00:00"],
    '\'{"a": 0.12345678901234567890, "b": [9007199254740993]}\'::jsonb': {
        "a": "0.12345678901234567890",
        "b": ["9007199254740993"],
    },
    "1.1::float4": 1.1,
    "'1 2 3'::int2vector": [1, 2, 3],
    "'pg_class'::regclass": "pg_class",
    "'a & b'::tsquery": "'a' & 'b'",
    "'0/0'::pg_lsn": "0/0",
    "'a'::\"char\"": "a",
    "pg_typeof(1)": "integer",
}


@pytest.fixture
def filled(postgres: Server) -> Server:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(TYPES)
    return postgres


async def test_each_value_is_right(served: Served, filled: Server, postgres_url: str) -> None:
    async with served(postgres_url) as client:
        columns = ", ".join(f"{expression} AS same" for expression in VALUES)
        result = await client.call_tool("query", {"sql": f"SELECT {columns}; -- all"})
        assert not result.is_error, result.content
        assert result.structured_content is not None
        assert result.structured_content["columns"] == ["same"] * len(VALUES)
        assert dict(zip(VALUES, result.structured_content["rows"][0], strict=True)) == VALUES


async def test_rows_keep_their_order_and_parameters_their_place(
    served: Served, filled: Server, postgres_url: str
) -> None:
    sql = "SELECT n, ARRAY[n, :more] FROM generate_series(1, 200) AS n WHERE n <> :not ORDER BY n DESC"
    async with served(postgres_url, max_rows=1000) as client:
        result = await client.call_tool("query", {"sql": sql, "parameters": {"more": 7, "not": 100}})
    assert result.structured_content is not None
    assert result.structured_content["rows"] == [[n, [n, 7]] for n in range(200, 0, -1) if n != 100]


async def test_a_view_of_pseudo_types_is_read(served: Served, filled: Server, postgres_url: str) -> None:
    with psycopg.connect(filled.url, autocommit=True) as connection:
        connection.execute("ANALYZE orders")
    sql = "SELECT attname, histogram_bounds FROM pg_stats WHERE tablename = 'orders' ORDER BY attname"
    async with served(postgres_url) as client:
        result = await client.call_tool("query", {"sql": sql})
        every = await client.call_tool("query", {"sql": "SELECT * FROM pg_stats WHERE tablename = 'orders'"})
    assert result.structured_content is not None
    assert ["id", "{1,2,3}"] in result.structured_content["rows"]
    assert not every.is_error, every.content


async def test_a_statement_that_cannot_be_a_subquery_is_answered(
    served: Served, filled: Server, postgres_url: str
) -> None:
    async with served(postgres_url) as client:
        shown = await client.call_tool("query", {"sql": "SHOW search_path"})
        plan = await client.call_tool("query", {"sql": "EXPLAIN SELECT 1"})
    assert shown.structured_content is not None
    assert shown.structured_content["columns"] == ["search_path"]
    assert plan.structured_content is not None
    assert plan.structured_content["rows"] == [["Result  (cost=0.00..0.01 rows=1 width=4)"]]
