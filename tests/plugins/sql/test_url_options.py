"""Each option of a database URL reaches the driver, or is refused by its name."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client

from mcp_host import HostError
from mcp_plugin_sql.urloptions import mysql_options, postgres_options

Served = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("option", "setting", "value"),
    [
        ("application_name=crawler", "application_name", "crawler"),
        ("options=-csearch_path%3Dsales", "search_path", "sales"),
        ("options=-c%20search_path%3Dsales%20--work-mem%3D1MB", "work_mem", "1MB"),
        ("options=-c%20application_name%3Da%5C%20b", "application_name", "a b"),
        ("channel_binding=prefer", "server_version_num", None),
        ("connect_timeout=5", "server_version_num", None),
        ("sslmode=prefer", "server_version_num", None),
        ("target_session_attrs=any", "server_version_num", None),
    ],
)
async def test_the_usual_options_work_with_both_drivers(
    served: Served, postgres_url: str, option: str, setting: str, value: str | None
) -> None:
    async with served(f"{postgres_url}?{option}") as client:
        result: Any = await client.call_tool("query", {"sql": f"SELECT current_setting('{setting}')"})
    assert not result.is_error, result.content
    if value is not None:
        assert result.structured_content["rows"] == [[value]]


@pytest.mark.anyio
async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(served: Served, postgres_url: str) -> None:
    async with served(f"{postgres_url}?sslmode=require") as client:
        result = await client.call_tool("query", {"sql": "SELECT 1"})
    assert result.is_error
    assert "SSL" in str(result.content)


@pytest.mark.parametrize(
    ("driver", "query", "name"),
    [
        ("psycopg", {"nonsense": "1"}, "nonsense"),
        ("asyncpg", {"nonsense": "1"}, "nonsense"),
        ("asyncpg", {"channel_binding": "require"}, "channel_binding=require"),
        ("asyncpg", {"keepalives_idle": "5"}, "keepalives_idle"),
        ("psycopg", {"options": "-c"}, "options"),
        ("psycopg", {"options": "-B 100"}, "options"),
        ("psycopg", {"connect_timeout": "soon"}, "connect_timeout"),
    ],
)
def test_what_postgresql_cannot_keep_is_refused_by_name(driver: str, query: dict[str, str], name: str) -> None:
    with pytest.raises(HostError, match=name):
        postgres_options(query, driver)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"chraset": "latin1"}, "chraset"),
        ({"charset": "latin1"}, "charset"),
        ({"ssl-mode": "MAYBE"}, "ssl-mode"),
        ({"ssl-mode": "DISABLED", "ssl-ca": "/ca.pem"}, "ssl-mode=DISABLED"),
        ({"ssl": "perhaps"}, "ssl"),
        ({"ssl-ca": "/nowhere/ca.pem"}, "TLS"),
        ({"unix_socket": "/s", "ssl-mode": "REQUIRED"}, "unix_socket"),
        ({"local_infile": "1"}, "local_infile"),
        ({"connect-timeout": "x"}, "connect_timeout"),
    ],
)
def test_what_mysql_cannot_keep_is_refused_by_name(query: dict[str, str], name: str) -> None:
    with pytest.raises(HostError, match=name):
        mysql_options(query)


@pytest.mark.parametrize(
    ("query", "verify", "name_checked", "required"),
    [
        ({}, ssl.CERT_NONE, False, False),
        ({"ssl-mode": "required"}, ssl.CERT_NONE, False, True),
        ({"ssl": "true"}, ssl.CERT_NONE, False, True),
        ({"ssl_mode": "VERIFY_CA"}, ssl.CERT_REQUIRED, False, True),
        ({"ssl_verify_cert": "1"}, ssl.CERT_REQUIRED, False, True),
        ({"ssl-mode": "VERIFY_IDENTITY"}, ssl.CERT_REQUIRED, True, True),
        ({"ssl_check_hostname": "true"}, ssl.CERT_REQUIRED, True, True),
    ],
)
def test_mysql_s_modes_of_tls(
    query: dict[str, str], verify: ssl.VerifyMode, name_checked: bool, required: bool
) -> None:
    options = mysql_options(query)
    assert options.tls is not None
    assert (options.tls.verify_mode, options.tls.check_hostname, options.requires_tls) == (
        verify,
        name_checked,
        required,
    )


def test_mysql_without_tls() -> None:
    assert mysql_options({"ssl-mode": "DISABLED"}).tls is None
    assert mysql_options({"unix_socket": "/run/mysqld/mysqld.sock"}).unix_socket == "/run/mysqld/mysqld.sock"
