"""9. Several servers under one Starlette app, with CORS for the pages of a browser."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import uvicorn
from mcp import Client
from starlette.applications import Starlette

from guide.conftest import SERVERS
from support.talking import structured

pytestmark = pytest.mark.anyio

ACCEPT = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
PAGE = "https://app.example.com"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """`main.py`, made in a folder with its two configurations."""
    for name in ("api", "analytics"):
        transport = f'[transport]\nstateless = true\ninsecure = true\ncors = ["{PAGE}"]\n'
        plugin = f'[plugins.{name}]\nobject = "guide.servers.{name}:plugin"\n'
        (tmp_path / f"{name}.toml").write_text(transport + plugin, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("guide_main", SERVERS / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Starlette = module.app
    return found


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve with uvicorn on a free port; yield the address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(30):
            while not server.started:
                await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True


async def test_each_server_answers_under_its_own_path(app: Starlette, mode: str) -> None:
    async with serving(app) as url:
        async with Client(f"{url}/api/mcp", mode=mode) as client:
            assert await structured(client, "api_endpoint", data="x") == {"result": "API processed: x"}
            assert [tool.name for tool in (await client.list_tools()).tools] == ["api_endpoint"]
        async with Client(f"{url}/analytics/mcp", mode=mode) as client:
            assert await structured(client, "analyze_data", dataset=[1, 2, 3]) == {
                "count": 3,
                "sum": 6,
                "average": 2,
                "max": 3,
                "min": 1,
            }
            assert (await structured(client, "analyze_data", dataset=[]))["average"] is None


async def test_only_a_page_of_the_configured_origin_may_call(app: Starlette) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, mcp-session-id"}
    async with serving(app) as url, httpx2.AsyncClient(timeout=30) as web:
        for path in ("/api/mcp", "/analytics/mcp"):
            preflight = await web.options(url + path, headers={**asks, "Origin": PAGE})
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == PAGE
            assert {"GET", "POST", "DELETE"} <= set(preflight.headers["access-control-allow-methods"].split(", "))
            answer = await web.post(url + path, json=PING, headers={**ACCEPT, "Origin": PAGE})
            assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
            foreign = await web.options(url + path, headers={**asks, "Origin": "https://evil.example"})
            assert foreign.status_code == 403
