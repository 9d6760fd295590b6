from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psycopg
import pymysql  # type: ignore[import-untyped]
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_host.testing import connect
from mcp_plugin_sql import plugin
from plugins.sql import servers
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

SHOP = [
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, city VARCHAR(40) DEFAULT 'Bern')",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, day DATE, price DECIMAL(10, 2), "
    "FOREIGN KEY (customer_id) REFERENCES customer (id))",
    "CREATE INDEX orders_by_day ON orders (day)",
    "CREATE UNIQUE INDEX customer_by_name ON customer (name)",
    "CREATE VIEW sales AS SELECT city, count(*) AS orders FROM orders JOIN customer ON customer.id = customer_id "
    "GROUP BY city",
    "INSERT INTO customer VALUES (1, 'Ann', 'Bern'), (2, 'Bob', 'Basel'), (3, 'Eve', NULL)",
    "INSERT INTO orders VALUES (1, 1, '2025-03-01', 4.5), (2, 1, '2025-03-02', 6), (3, 2, '2025-03-02', 12.25)",
]
"""The same small shop in every kind of database."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of mcp-host.toml. The relative path of a SQLite file starts here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shop(folder: Path) -> Path:
    """The shop as a SQLite file."""
    file = folder / "shop.sqlite"
    connection = sqlite3.connect(file)
    for statement in SHOP:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return file


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The PostgreSQL server of this process's tests. Tests that kill a server have their own."""
    if servers.INITDB is None or servers.POSTGRES is None:
        pytest.skip(servers.no_postgres)
    with servers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """The MariaDB server of this process's tests."""
    if servers.MARIADBD is None:
        pytest.skip(servers.no_mariadb)
    with servers.mariadb_server() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> Server:
    """The shop in PostgreSQL, and nothing else."""
    fill_postgres(postgres_server)
    return postgres_server


@pytest.fixture
def mariadb(mariadb_server: Server) -> Server:
    """The shop in MariaDB, and nothing else."""
    with mariadb_connection(mariadb_server) as connection, connection.cursor() as cursor:
        for statement in ("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "USE shop", *SHOP):
            cursor.execute(statement)
        connection.commit()
    return mariadb_server


def fill_postgres(server: Server) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS other CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
        for statement in ("CREATE SCHEMA public", *SHOP):
            connection.execute(statement)


def mariadb_connection(server: Server) -> Any:
    return pymysql.connect(
        host="127.0.0.1", port=server.port, user="tester", password=servers.PASSWORD, autocommit=True
    )


@pytest.fixture(params=["sqlite", "asyncpg", "psycopg", "aiomysql"])
def url(request: pytest.FixtureRequest) -> str:
    """The shop, in each kind of database through each driver."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("shop"))
    if request.param == "aiomysql":
        return str(request.getfixturevalue("mariadb").url)
    return with_driver(request.getfixturevalue("postgres"), request.param)


@pytest.fixture(params=["asyncpg", "psycopg"])
def postgres_url(request: pytest.FixtureRequest, postgres: Server) -> str:
    """The shop in PostgreSQL, through each driver."""
    return with_driver(postgres, request.param)


def with_driver(server: Server, driver: str) -> str:
    return server.url.replace("postgresql://", f"postgresql+{driver}://")


@pytest.fixture
def served(mode: str, folder: Path) -> Served:
    """The plugin served to a real client, in each protocol era."""

    def serve(url: object, **settings: Any) -> AbstractAsyncContextManager[Client]:
        # The servers of the tests have only one user, who may do everything.
        return connect(
            plugin, name="sql", settings={"url": str(url), "allow_powerful_role": True, **settings}, mode=mode
        )

    return serve


@pytest.fixture
def refused(refused: Refused) -> Refused:
    """The error does not contain the password either."""

    def text(result: CallToolResult) -> str:
        found = refused(result)
        assert servers.PASSWORD not in found
        return found

    return text
