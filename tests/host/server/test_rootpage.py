"""The page at `/`, for a person with a browser and for a program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from mcp_host import Plugin
from mcp_host.server.hostserver import HostServer
from mcp_host.server.http.app import HostApp
from mcp_host.testing import make_host

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def browsing(plugin: Plugin | None = None, **options: Any) -> AsyncIterator[httpx2.AsyncClient]:
    app = HostApp(HostServer(make_host({"weather": plugin or Plugin()}, options=options)))
    transport = httpx2.ASGITransport(app=app)
    async with app.running(), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def test_a_browser_gets_a_page_with_the_name_the_plugins_and_how_to_connect() -> None:
    async with browsing(host={"name": "my <tools>"}) as client:
        answer = await client.get("/", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<h1>my &lt;tools&gt;</h1>" in answer.text
    assert "Plugins: weather" in answer.text
    assert "claude mcp add --transport http &#x27;my &lt;tools&gt;&#x27; http://127.0.0.1:8000/mcp" in answer.text


async def test_a_program_gets_json() -> None:
    async with browsing(transport={"path": "/deep/mcp"}) as client:
        answer = await client.get("/")
    assert answer.json() == {"name": "mcp-host", "endpoint": "http://127.0.0.1:8000/deep/mcp", "plugins": ["weather"]}


async def test_behind_auth_the_plugins_are_not_named() -> None:
    auth = {"issuer": "https://issuer.example", "resource": "http://127.0.0.1:8000/mcp", "jwks": "http://127.0.0.1:9/k"}
    app = HostApp(HostServer(make_host(Plugin(), options={"auth": auth})))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1:8000") as client:
        assert (await client.get("/")).json().keys() == {"name", "endpoint"}
        assert "Plugins" not in (await client.get("/", headers={"Accept": "text/html"})).text
    await app.aclose()


async def test_another_host_name_is_refused() -> None:
    async with browsing() as client:
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 421


async def test_a_page_of_a_plugin_comes_first() -> None:
    plugin = Plugin()

    @plugin.route("/")
    async def own(request: object) -> PlainTextResponse:
        return PlainTextResponse("mine")

    async with browsing(plugin) as client:
        assert (await client.get("/")).text == "mine"


async def test_the_endpoint_may_be_the_root() -> None:
    async with browsing(transport={"path": "/"}) as client:
        assert (await client.get("/", headers={"Accept": "text/html"})).status_code != 200
