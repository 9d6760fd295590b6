"""A role that can do more than read is refused when the plugin starts, unless a setting accepts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from mcp_host import HostError
from mcp_host.testing import connect
from mcp_plugin_sql import plugin
from plugins.sql import servers
from plugins.sql.conftest import mariadb_connection, with_driver
from plugins.sql.servers import Server

pytestmark = pytest.mark.anyio


async def answer(**settings: Any) -> Any:
    async with connect(plugin, name="sql", settings=settings) as client:
        result = await client.call_tool("query", {"sql": "SELECT count(*) FROM orders"})
    assert not result.is_error, result.content
    return (result.structured_content or {})["rows"]


@pytest.fixture
def reader(postgres: Server) -> Server:
    """The server, with roles that may read the shop."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for role in ("reader", "programs", "linked"):
            connection.execute(f"DROP ROLE IF EXISTS {role}")
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
            connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        connection.execute("GRANT pg_execute_server_program TO programs")
    return postgres


@pytest.fixture
def dblink(reader: Server) -> None:
    with psycopg.connect(reader.url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'dblink'").fetchone() is None:
            pytest.skip("this PostgreSQL has no dblink")
        connection.execute("CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public")


def as_role(url: str, role: str) -> str:
    return url.replace(f"tester:{servers.QUOTED_PASSWORD}", f"{role}:pw")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_postgresql_role_that_only_reads_is_accepted(reader: Server, driver: str) -> None:
    assert await answer(url=as_role(with_driver(reader, driver), "reader")) == [[3]]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize(("role", "power"), [("tester", "superuser"), ("programs", "pg_execute_server_program")])
async def test_a_postgresql_role_with_powers_is_refused(reader: Server, driver: str, role: str, power: str) -> None:
    url = as_role(with_driver(reader, driver), role) if role != "tester" else with_driver(reader, driver)
    with pytest.raises(HostError, match=rf"it can do more than read the tables \(.*{power}") as caught:
        await answer(url=url)
    assert caught.value.hint == "Use a role that may only SELECT, or set allow_powerful_role = true."
    assert await answer(url=url, allow_powerful_role=True) == [[3]]


@pytest.mark.usefixtures("dblink")
async def test_a_role_that_can_connect_to_other_servers_is_refused(reader: Server) -> None:
    with pytest.raises(HostError, match="dblink"):
        await answer(url=as_role(reader.url, "linked"))
    with psycopg.connect(reader.url, autocommit=True) as connection:
        connection.execute("DROP EXTENSION dblink")
    assert await answer(url=as_role(reader.url, "linked")) == [[3]]


async def test_a_mariadb_role_with_powers_is_refused(mariadb: Server) -> None:
    with mariadb_connection(mariadb) as connection, connection.cursor() as cursor:
        for role, grant in (("reader", "SELECT ON shop.*"), ("filer", "FILE ON *.*")):
            cursor.execute(f"CREATE OR REPLACE USER {role}@'%' IDENTIFIED BY 'pw'")
            cursor.execute(f"GRANT SELECT ON shop.* TO {role}@'%'")
            cursor.execute(f"GRANT {grant} TO {role}@'%'")
    assert await answer(url=as_role(mariadb.url, "reader")) == [[3]]
    with pytest.raises(HostError, match=r"\(FILE\)"):
        await answer(url=as_role(mariadb.url, "filer"))
    with pytest.raises(HostError, match="ALL PRIVILEGES"):
        await answer(url=mariadb.url)
    assert await answer(url=as_role(mariadb.url, "filer"), allow_powerful_role=True) == [[3]]


async def test_a_server_that_does_not_answer_at_the_start_is_asked_at_the_first_call(
    postgres: Server, tmp_path: Path
) -> None:
    port = servers.free_port()
    url = f"postgresql://tester@127.0.0.1:{port}/postgres"
    async with connect(plugin, name="sql", settings={"url": url}) as client:
        result = await client.call_tool("query", {"sql": "SELECT 1"})
    assert result.is_error
    assert "cannot be used" in str(result.content)
