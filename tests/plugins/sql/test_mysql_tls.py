"""TLS to MariaDB is what the URL asks for: nothing is sent in the clear where it must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trustme
from mcp import Client
from mcp.types import CallToolResult

from plugins.sql import servers
from plugins.sql.servers import Server

Served = Callable[..., AbstractAsyncContextManager[Client]]
Refused = Callable[[CallToolResult], str]

pytestmark = pytest.mark.anyio

CIPHER = {"sql": "SHOW SESSION STATUS LIKE 'Ssl_cipher'"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A MariaDB server with a certificate for 127.0.0.1."""
    if servers.MARIADBD is None:
        pytest.skip(servers.no_mariadb)
    with servers.mariadb_server(authority.issue_cert("127.0.0.1")) as server:
        yield server


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


async def cipher(served: Served, url: str) -> str:
    async with served(url) as client:
        result: Any = await client.call_tool("query", CIPHER)
    assert not result.is_error, result.content
    return str(result.structured_content["rows"][0][1])


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
async def test_tls_is_used_where_the_server_offers_it(served: Served, secure: Server) -> None:
    assert await cipher(served, secure.url) != ""
    assert await cipher(served, f"{secure.url}?ssl-mode=disabled") == ""


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
@pytest.mark.parametrize("options", ["ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}", "ssl_ca={ca}", "ssl=true"])
async def test_tls_that_the_url_asks_for_is_used(served: Served, secure: Server, ca_file: Path, options: str) -> None:
    assert await cipher(served, f"{secure.url}?{options.format(ca=ca_file)}") != ""


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
@pytest.mark.parametrize("option", ["ssl-mode=VERIFY_CA", "ssl-mode=VERIFY_IDENTITY", "ssl_verify_cert=true"])
async def test_a_certificate_of_an_unknown_authority_is_refused(
    served: Served, secure: Server, refused: Refused, option: str
) -> None:
    async with served(f"{secure.url}?{option}") as client:
        assert "cannot be used" in refused(await client.call_tool("query", CIPHER))


@pytest.mark.parametrize("mode", ["auto"], indirect=True)
async def test_a_certificate_for_another_name_is_refused(
    served: Served, secure: Server, ca_file: Path, refused: Refused
) -> None:
    url = secure.url.replace("127.0.0.1", "localhost")
    async with served(f"{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca_file}") as client:
        assert "cannot be used" in refused(await client.call_tool("query", CIPHER))
    assert await cipher(served, f"{url}?ssl-mode=VERIFY_CA&ssl-ca={ca_file}") != ""


@pytest.mark.parametrize("option", ["ssl-mode=REQUIRED", "ssl_mode=verify_identity", "ssl=1", "ssl-verify-cert=1"])
async def test_a_server_without_tls_gets_no_password(
    served: Served, mariadb: Server, refused: Refused, option: str
) -> None:
    async with served(f"{mariadb.url}?{option}") as client:
        text = refused(await client.call_tool("query", CIPHER))
    assert "the server does not offer TLS, which the URL asks for" in text
