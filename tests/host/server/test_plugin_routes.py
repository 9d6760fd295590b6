"""The HTTP routes of plugins: tokens, limits, requests of other sites, and the addresses with and without a slash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.auth.provider import AccessToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from mcp_host import HttpRoute, Plugin, hookimpl
from mcp_host.asgi import HostApp, create_app
from mcp_host.config import parse_config

pytestmark = pytest.mark.anyio

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {len(await request.body())}")


async def accept(socket: WebSocket) -> None:
    await socket.accept()


class Routes:
    """A plugin with these routes."""

    def __init__(self, *routes: BaseRoute | HttpRoute) -> None:
        self.routes = routes

    @hookimpl
    def mcp_routes(self) -> tuple[BaseRoute | HttpRoute, ...]:
        return self.routes

    @hookimpl
    def mcp_token_verifier(self) -> Verifier:
        return Verifier()


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        scopes = {"user": ["mcp"], "weak": []}.get(token)
        if scopes is None:
            return None
        return AccessToken(token=token, client_id="c", scopes=scopes, resource="http://127.0.0.1/tools/mcp")


AUTH = """
[auth]
verifier = "plugin:a"
issuer = "https://issuer.example"
resource = "http://127.0.0.1/tools/mcp"
required_scopes = ["mcp"]
"""


def app_of(*routes: BaseRoute | HttpRoute, toml: str = "") -> HostApp:
    text = f"[transport]\ninsecure = true\n{toml}\n[plugins.a]\n"
    return create_app(parse_config(text, environ={}), objects={"a": Routes(*routes)})


def web_of(app: Any, **headers: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1", headers=headers, timeout=10
    )


# Tokens


def bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@pytest.mark.parametrize(
    "guarded", [Route("/x", echo), HttpRoute(Route("/x", echo)), Mount("/", routes=[Route("/x", echo)])]
)
async def test_with_auth_a_route_needs_the_token_that_the_endpoint_needs(guarded: BaseRoute | HttpRoute) -> None:
    app = app_of(guarded, toml=AUTH)
    async with app.running(), web_of(app) as web:
        for token, status in ((None, 401), ("wrong", 401), ("weak", 403), ("user", 200)):
            response = await web.get("/x", headers=bearer(token))
            assert response.status_code == status
            if status != 200:
                assert "resource_metadata" in response.headers["www-authenticate"]


async def test_a_route_of_a_method_that_it_does_not_have_needs_a_token_too() -> None:
    app = app_of(Route("/x", echo), toml=AUTH)
    async with app.running(), web_of(app) as web:
        assert (await web.delete("/x")).status_code == 401
        assert (await web.delete("/x", headers=bearer("user"))).status_code == 405


async def test_a_public_route_needs_no_token() -> None:
    plugin = Plugin()
    plugin.route("/decorated", public=True)(echo)
    plugin.route("/private")(echo)
    routes = Routes(HttpRoute(Route("/hook", echo), public=True))
    text = f"{AUTH}[plugins.a]\n[plugins.b]\n"
    app = create_app(parse_config(text, environ={}), objects={"a": routes, "b": plugin})
    async with app.running(), web_of(app) as web:
        statuses = [(await web.get(path)).status_code for path in ("/hook", "/decorated", "/private")]
    assert statuses == [200, 200, 401]


async def test_a_websocket_without_a_valid_token_is_closed() -> None:
    app = app_of(WebSocketRoute("/ws", accept), toml=AUTH)
    async with app.running():
        for token, answer in ((None, "close"), ("weak", "close"), ("user", "accept")):
            sent: list[str] = []

            async def receive() -> dict[str, Any]:
                return {"type": "websocket.connect"}

            async def send(message: Any, sent: list[str] = sent) -> None:
                sent.append(message["type"])

            headers = [(b"host", b"localhost"), *((k.encode(), v.encode()) for k, v in bearer(token).items())]
            scope = {"type": "websocket", "path": "/ws", "headers": headers, "query_string": b"", "subprotocols": []}
            await app(scope, receive, send)
            assert sent == [f"websocket.{answer}"]


def test_an_http_route_of_something_else_is_that_plugins_error() -> None:
    app = app_of(HttpRoute(echo))  # type: ignore[arg-type]
    problem = app.host.records[0].problem
    assert problem is not None
    assert problem.what == "mcp_routes returned an HttpRoute of a function"


# Limits


def blocks(count: int, size: int) -> Callable[[], AsyncIterator[bytes]]:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * size

    return body


@pytest.mark.parametrize(
    "route", [Route("/x", echo, methods=["POST"]), Mount("/x", app=Route("/x", echo, methods=["POST"]).app)]
)
async def test_a_body_has_the_largest_size_of_the_endpoint(route: BaseRoute) -> None:
    app = app_of(route, toml="max_request_size = 1000")
    path = "/x/" if isinstance(route, Mount) else "/x"
    async with app.running(), web_of(app) as web:
        assert (await web.post(path, content=b"x" * 1000)).text == "POST 1000"
        assert (await web.post(path, content=b"x" * 1001)).status_code == 413
        # Without a Content-Length.
        assert (await web.post(path, content=blocks(10, 100)())).text == "POST 1000"
        assert (await web.post(path, content=blocks(11, 100)())).status_code == 413


async def test_a_body_that_does_not_arrive_in_time_ends_the_request() -> None:
    app = app_of(Route("/x", echo, methods=["POST"]), toml='request_timeout = "10ms"')
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": b"a", "more_body": True}]

    async def receive() -> Any:
        if not waiting:
            await anyio.sleep_forever()
        return waiting.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "headers": [(b"host", b"localhost")],
        "query_string": b"",
    }
    async with app.running():
        with anyio.fail_after(30):
            await app(scope, receive, send)
    assert sent[0]["status"] == 408
    assert b"did not arrive within 0.01 s" in sent[1]["body"]


# Requests of other sites


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "https://app.example"}, 200),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
    ],
)
async def test_other_sites_cannot_load_a_route_without_an_origin(headers: dict[str, str], status: int) -> None:
    routes = Route("/x", echo), HttpRoute(Route("/open", echo), public=True)
    app = app_of(*routes, toml='cors = ["https://app.example"]')
    async with app.running(), web_of(app) as web:
        for path in ("/x", "/open"):
            assert (await web.get(path, headers=headers)).status_code == status


# Slashes


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/tools", "/"])
async def test_the_endpoint_answers_with_and_without_a_slash_at_its_end(path: str) -> None:
    app = app_of(toml=f'path = "{path}"')
    outer = Starlette(routes=[Mount("/mounted", app)])
    async with app.running():
        for served, before in ((app, ""), (outer, "/mounted")):
            async with web_of(served, **ACCEPT) as web:
                for spelled in {path.rstrip("/") or "/", f"{path.rstrip('/')}/"}:
                    response = await web.post(f"{before}{spelled}", json=INITIALIZE)
                    assert response.status_code == 200, spelled
                    session = {"mcp-session-id": response.headers["mcp-session-id"]}
                    assert (await web.delete(f"{before}{spelled}", headers=session)).status_code == 200
                if path != "/":
                    assert (await web.post(f"{before}{path}//", json=INITIALIZE)).status_code == 404


async def test_the_token_is_checked_with_and_without_the_slash() -> None:
    app = app_of(toml=AUTH)
    async with app.running(), web_of(app, **ACCEPT) as web:
        for path in ("/mcp", "/mcp/"):
            assert (await web.post(path, json=INITIALIZE)).status_code == 401
            assert (await web.post(path, json=INITIALIZE, headers=bearer("user"))).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/mounted"])
@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/files", "/files/"),
        ("/files?a=b", "/files/?a=b"),
        ("/x/", "/x"),
        ("/x/?a=//evil", "/x?a=//evil"),
        ("/in/a:b/", "/in/a:b"),
        ("/nothing/", None),
        ("/x//", None),
        ("//evil.example/", None),
        ("//evil.example/files", None),
    ],
)
async def test_a_redirect_to_the_other_slash_keeps_scheme_and_host(
    prefix: str, path: str, location: str | None
) -> None:
    app = app_of(Mount("/files", routes=[Route("/", echo)]), Route("/x", echo), Route("/in/{name}", echo))
    outer = Starlette(routes=[Mount("/mounted", app)])
    async with app.running(), web_of(outer if prefix else app) as web:
        response = await web.get(f"http://127.0.0.1{prefix}{path}", follow_redirects=False)
        if location is None:
            assert response.status_code == 404
            return
        assert response.status_code == 307
        assert response.headers["location"].startswith((".", ".."))
        assert response.next_request is not None
        assert str(response.next_request.url) == f"http://127.0.0.1{prefix}{location}"
        posted = await web.post(f"http://127.0.0.1{prefix}{path}", follow_redirects=False)
        assert posted.status_code == 404, "a body is not sent twice"


# Mounted with tokens


async def test_the_metadata_that_a_401_names_is_served_by_the_outer_app() -> None:
    app = app_of(toml=AUTH)
    outer = Starlette(routes=[*app.well_known_routes, Mount("/tools", app)], lifespan=app.lifespan)
    async with outer.router.lifespan_context(outer), web_of(outer) as web:
        refused = await web.post("/tools/mcp", json=INITIALIZE)
        assert refused.status_code == 401
        named = refused.headers["www-authenticate"].partition('resource_metadata="')[2].partition('"')[0]
        metadata = await web.get(named)
        assert metadata.status_code == 200
        assert metadata.json()["authorization_servers"] == ["https://issuer.example"]


def test_without_auth_there_are_no_well_known_routes() -> None:
    assert app_of().well_known_routes == []


# Media types


@pytest.mark.parametrize("content_type", ["Application/JSON", "application/json; charset=UTF-8", "APPLICATION/JSON"])
async def test_media_types_are_compared_without_case(content_type: str) -> None:
    app = app_of()
    async with app.running(), web_of(app) as web:
        headers = {"content-type": content_type, "accept": "Application/JSON, Text/Event-Stream"}
        assert (await web.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 200
