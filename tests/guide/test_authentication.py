"""7. Bearer tokens: JWTs of a real issuer, API keys that a plugin knows, and the responses 401 and 403."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from e2e.conftest import Cli, Process
from guide.talking import refusal, structured
from support.issuer import OTHER_KEY, Issuer, serving_issuer

pytestmark = pytest.mark.anyio

ACCEPT = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as served:
        yield served


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def secured(cli: Cli, auth: str, plugins: str = "") -> Iterator[Process]:
    """Run `mcp-host` with this `[auth]`, in which `RESOURCE` is its own URL."""
    port = free_port()
    resource = f"http://127.0.0.1:{port}/mcp"
    text = f'[auth]\n{auth}\n[plugins.secure]\nobject = "secure:plugin"\n{plugins}'
    cli.config(text.replace("RESOURCE", resource))
    with cli.serve("--port", str(port)) as process:
        assert process.url == resource
        yield process


def jwts(issuer: Issuer) -> str:
    return f'issuer = "{issuer.url}"\nresource = "RESOURCE"\nrequired_scopes = ["read"]'


@asynccontextmanager
async def client_of(url: str, token: str, mode: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def ask(url: str, token: str | None) -> httpx2.Response:
    headers = {**ACCEPT, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
    return httpx2.post(url, json=PING, headers=headers, timeout=30)


async def test_a_valid_token_calls_a_tool_that_knows_its_client_and_may_require_more_scopes(
    cli: Cli, issuer: Issuer, mode: str, folder: Path
) -> None:
    datasets = f'[plugins.datasets]\nobject = "datasets:plugin"\nsettings.folder = "{folder}"\n'
    library = f'[plugins.library]\nobject = "library:plugin"\nsettings.folder = "{folder}"\n'
    with secured(cli, jwts(issuer), datasets + library) as process:
        token = issuer.token(aud=process.url, scope="read write", client_id="editor")
        async with client_of(process.url, token, mode) as client:
            done = await structured(client, "secure_operation", data="x")
            assert (done["message"], done["data"], done["client"]) == ("Secure operation completed", "x", "editor")
            read = await structured(client, "read_and_analyze_resource", resource_uri="config://settings")
            assert read["client_id"] == "editor"
            assert read["request_id"]
        async with client_of(process.url, issuer.token(aud=process.url, scope="read"), mode) as client:
            said = await refusal(client, "secure_operation", data="x")
            assert said == "secure_operation needs the scope write, which this token does not have"


async def test_a_missing_a_wrong_and_an_expired_token_get_401_and_a_missing_scope_403(cli: Cli, issuer: Issuer) -> None:
    with secured(cli, jwts(issuer)) as process:
        url = process.url
        good: dict[str, Any] = {"aud": url, "scope": "read"}
        assert ask(url, issuer.token(**good)).status_code != 401
        for token in (
            None,
            "valid_token",
            issuer.token(**good, key=OTHER_KEY),
            issuer.token(**good, exp=int(time.time()) - 60),
            issuer.token(aud="http://127.0.0.1/another", scope="read"),
            issuer.token(**good, iss="https://evil.example"),
        ):
            refused = ask(url, token)
            assert refused.status_code == 401
            challenge = refused.headers["www-authenticate"]
            assert challenge.startswith('Bearer error="invalid_token"')
            assert 'resource_metadata="' in challenge
        refused = ask(url, issuer.token(aud=url, scope="write"))
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
        assert "it has expired" in process.err
        assert "valid_token" not in process.err


async def test_the_metadata_that_a_401_points_to_names_the_issuer(cli: Cli, issuer: Issuer) -> None:
    with secured(cli, jwts(issuer)) as process:
        pointed = ask(process.url, None).headers["www-authenticate"].partition('resource_metadata="')[2].rstrip('"')
        metadata = httpx2.get(pointed).json()
    assert metadata["resource"] == process.url
    assert metadata["authorization_servers"] == [issuer.url]
    assert metadata["scopes_supported"] == ["read"]
    assert metadata["bearer_methods_supported"] == ["header"]


class Memory:
    """A client's storage for its token during a test."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_a_client_that_knows_only_the_url_can_get_a_token(cli: Cli, issuer: Issuer, mode: str) -> None:
    with secured(cli, jwts(issuer), '[plugins.greeting]\nobject = "greeting:plugin"\n') as process:
        login = ClientCredentialsOAuthProvider(process.url, Memory(), "robot", "secret", issuer=issuer.url)
        async with (
            httpx2.AsyncClient(auth=login, timeout=30) as http,
            Client(streamable_http_client(process.url, http_client=http), mode=mode) as client,
        ):
            assert await structured(client, "add", a=1, b=2) == {"result": 3}
    # The scope comes from the server's metadata.
    assert f"/token client_credentials {process.url} read" in issuer.asked


async def test_the_url_of_the_keys_and_the_audience_can_be_configured(cli: Cli, issuer: Issuer) -> None:
    keys = f'{jwts(issuer)}\njwks = "{issuer.jwks_url}"\naudience = "mcp-api"'
    with secured(cli, keys) as process:
        assert issuer.asked == ["/jwks"], "nothing is looked for that is given"
        assert ask(process.url, issuer.token(aud="mcp-api", scope="read")).status_code != 401
        assert ask(process.url, issuer.token(aud=process.url, scope="read")).status_code == 401


async def test_a_host_starts_without_its_issuer_logs_it_and_recovers(cli: Cli, issuer: Issuer) -> None:
    issuer.status = 503
    with secured(cli, jwts(issuer)) as process:
        assert f"no signing keys of {issuer.url}" in process.err
        token = issuer.token(aud=process.url, scope="read")
        assert ask(process.url, None).status_code == 401
        unavailable = ask(process.url, token)
        assert unavailable.status_code == 503
        assert int(unavailable.headers["retry-after"]) == 1
        issuer.status = 200
        with anyio.fail_after(30):
            while ask(process.url, token).status_code == 503:
                await anyio.sleep(0.1)
        assert ask(process.url, token).status_code != 401


async def test_a_plugin_can_verify_tokens(cli: Cli, mode: str) -> None:
    verifier = 'verifier = "plugin:accounts"\nissuer = "https://auth.example.com"\nresource = "RESOURCE"'
    accounts = '[plugins.accounts]\nobject = "accounts:plugin"\nrequired = true\nsettings.resource = "RESOURCE"\n'
    for name, key, scopes in (("ann", "key of ann", '["read", "write"]'), ("bob", "key of bob", '["read"]')):
        digest = hashlib.sha256(key.encode()).hexdigest()
        accounts += f'[plugins.accounts.settings.accounts.{name}]\nsha256 = "{digest}"\nscopes = {scopes}\n'
    with secured(cli, f'{verifier}\nrequired_scopes = ["read"]', accounts) as process:
        assert ask(process.url, None).status_code == 401
        assert ask(process.url, "key of eve").status_code == 401
        async with client_of(process.url, "key of ann", mode) as client:
            assert (await structured(client, "secure_operation", data="x"))["client"] == "ann"
        async with client_of(process.url, "key of bob", mode) as client:
            assert "needs the scope write" in await refusal(client, "secure_operation", data="x")


async def test_an_address_beyond_this_machine_needs_allowed_hosts_and_auth(cli: Cli) -> None:
    everywhere = '[transport]\nkind = "http"\nhost = "0.0.0.0"\nport = 0\n'
    named = f'{everywhere}allowed_hosts = ["mcp.example.com"]\n'
    plugins = '[plugins.greeting]\nobject = "greeting:plugin"\n'
    for text, hint in ((everywhere, "[transport] allowed_hosts"), (named, "[transport] insecure = true")):
        cli.config(text + plugins)
        refused = cli.run("run")
        assert refused.code == 2
        assert refused.out == ""
        assert f"hint:  {hint}" in refused.err
    cli.config(f"{named}insecure = true\n{plugins}")
    with cli.serve() as process:
        port = process.url.rpartition(":")[2].partition("/")[0]
        answered = httpx2.post(
            f"http://127.0.0.1:{port}/mcp", json=PING, headers={**ACCEPT, "Host": "mcp.example.com"}, timeout=30
        )
        assert answered.status_code not in (401, 403, 421)
