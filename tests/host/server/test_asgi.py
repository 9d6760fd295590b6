"""The ASGI app: served, mounted several times in one app, with header checks, CORS, plugin routes and tokens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.types import TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

from mcp_host import Context, Plugin, PluginContext, Tool, hookimpl
from mcp_host.asgi import HostApp, create_app
from mcp_host.config import HostConfig, is_loopback, parse_config
from mcp_host.errors import HostError
from mcp_host.server.host import StartRefusedError
from mcp_host.server.http.app import trusted_addresses, url
from mcp_host.server.http.headers import HeaderRules, refuse_open

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Named(Plugin):
    """A plugin that returns its name, with a route and a recorded lifespan."""

    def __init__(self, name: str) -> None:
        self.events: list[str] = []

        @asynccontextmanager
        async def lifespan(context: PluginContext) -> AsyncIterator[str]:
            self.events.append("start")
            yield name
            self.events.append("stop")

        super().__init__(lifespan=lifespan)

        @self.tool
        def who(ctx: Context[None, str]) -> str:
            return ctx.state

        @self.tool(scopes=["admin"])
        def admin() -> str:
            return "done"

        @self.route("/health")
        async def health(request: Request) -> Response:
            return PlainTextResponse("ok")


def config(transport: str = "", more: str = "") -> HostConfig:
    return parse_config(f"[transport]\n{transport}\n{more}\n[plugins.named]\n", environ={})


def mounted(transport: str = "", more: str = "") -> HostConfig:
    """A configuration for an app without tokens."""
    return config(f"insecure = true\n{transport}", more)


TOKENS = '[auth]\nissuer = "https://i.example"\nresource = "https://r.example/mcp"\n'


def app_of(name: str, transport: str = "", more: str = "") -> tuple[HostApp, Named]:
    plugin = Named(name)
    return create_app(mounted(transport, more), objects={"named": plugin}), plugin


def http(app: Any, token: str | None = None) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1", headers=headers, timeout=5
    )


@asynccontextmanager
async def client_of(app: Any, path: str, mode: str, token: str | None = None) -> AsyncIterator[Client]:
    """A real client that talks to the app through its ASGI interface."""
    async with http(app, token) as web:
        transport = streamable_http_client(f"http://127.0.0.1{path}", http_client=web)
        async with Client(transport, mode=mode) as client:
            yield client


async def who(client: Client) -> str:
    block = (await client.call_tool("who", {})).content[0]
    assert isinstance(block, TextContent)
    return block.text


@each_era
async def test_several_apps_are_mounted_side_by_side_and_start_with_the_outer_one(mode: str) -> None:
    (one, first), (two, second) = app_of("one"), app_of("two", "path = '/'\njson_response = true\nstateless = true")

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(one.running())
            await stack.enter_async_context(two.running())
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/one", one)
    outer.mount("/two", two)
    async with outer.router.lifespan_context(outer):
        assert first.events == second.events == ["start"]
        async with client_of(outer, "/one/mcp", mode) as client:
            assert await who(client) == "one"
        async with client_of(outer, "/two/", mode) as client:
            assert await who(client) == "two"
        async with http(outer) as web:
            assert (await web.get("/one/health")).text == "ok"
    assert first.events == second.events == ["start", "stop"]


@each_era
async def test_a_mounted_app_starts_with_its_first_request(mode: str) -> None:
    app, plugin = app_of("lazy")
    outer = Starlette(routes=[Mount("/tools", app)])
    assert plugin.events == []
    async with client_of(outer, "/tools/mcp", mode) as client:
        assert await who(client) == "lazy"
        assert plugin.events == ["start"]
    await app.aclose()
    assert plugin.events == ["start", "stop"]


async def test_the_lifespan_fits_the_starlette_parameter() -> None:
    app, plugin = app_of("one")
    outer = Starlette(routes=[Mount("/", app)], lifespan=app.lifespan)
    async with outer.router.lifespan_context(outer):
        assert plugin.events == ["start"]
    assert plugin.events == ["start", "stop"]


async def test_the_app_speaks_the_lifespan_protocol() -> None:
    app, plugin = app_of("served")
    inbox: list[dict[str, Any]] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return inbox.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert plugin.events == ["start", "stop"]


async def test_an_app_reports_to_its_server_that_a_required_plugin_cannot_start() -> None:
    plugin = Plugin(lifespan=lambda context: failing())
    required = parse_config("[transport]\ninsecure = true\n[plugins.bad]\nrequired = true\n", environ={})
    app = create_app(required, objects={"bad": plugin})
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(StartRefusedError):
        await app({"type": "lifespan"}, receive, send)
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "no database" in sent[0]["message"]
    async with http(create_app(required, objects={"bad": plugin})) as web:
        with pytest.raises(StartRefusedError, match="no database"):
            await web.get("/mcp")


@asynccontextmanager
async def failing() -> AsyncIterator[None]:
    raise RuntimeError("no database")
    yield


def test_create_app_reads_a_file_and_refuses_without_a_required_plugin(tmp_path: Path) -> None:
    path = tmp_path / "mcp-host.toml"
    path.write_text("[transport]\ninsecure = true\n[plugins.nowhere]\nrequired = true\n", encoding="utf-8")
    with pytest.raises(StartRefusedError, match="nowhere"):
        create_app(path)
    path.write_text("[transport]\ninsecure = true\n", encoding="utf-8")
    assert create_app(str(path)).host.config.transport.kind == "http"


# Header checks


@pytest.mark.parametrize("path", ["/mcp", "/health", "/nothing"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "evil.example"}, 421), ({"origin": "http://evil.example"}, 403), ({"host": "127.0.0.1.evil"}, 421)],
)
async def test_foreign_hosts_and_origins_are_refused_on_every_route(
    path: str, headers: dict[str, str], status: int
) -> None:
    app, plugin = app_of("guarded")
    async with http(app) as web:
        assert (await web.get(path, headers=headers)).status_code == status
    assert plugin.events == [], "a request that is turned away does not even start the plugins"


async def test_the_headers_of_a_plugins_websocket_are_checked() -> None:
    class Sockets:
        @hookimpl
        def mcp_routes(self) -> list[WebSocketRoute]:
            return [WebSocketRoute("/ws", accept)]

    async def accept(socket: WebSocket) -> None:
        await socket.accept()

    app = create_app(mounted(), objects={"named": Sockets()})
    for headers, answer in (
        ([(b"host", b"evil.example")], "websocket.close"),
        ([(b"host", b"localhost"), (b"origin", b"http://evil.example")], "websocket.close"),
        ([(b"host", b"localhost"), (b"origin", b"http://localhost:1")], "websocket.accept"),
    ):
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any, sent: list[str] = sent) -> None:
            sent.append(message["type"])

        scope = {"type": "websocket", "path": "/ws", "headers": headers, "query_string": b"", "subprotocols": []}
        await app(scope, receive, send)
        assert sent == [answer]
    await app.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "localhost:1", "[::1]:8000"])
async def test_this_machines_own_names_are_accepted(host: str) -> None:
    app, _ = app_of("guarded")
    async with http(app) as web:
        response = await web.get("/health", headers={"host": host, "origin": f"http://{host}"})
        assert response.text == "ok"
    await app.aclose()


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.7", "mcp.example.com"])
def test_a_bind_address_beyond_this_machine_needs_allowed_hosts(bind: str) -> None:
    with pytest.raises(HostError) as caught:
        refuse_open(config(f'host = "{bind}"\ninsecure = true'))
    assert caught.value.hint.startswith('[transport] allowed_hosts = ["mcp.example.com"]')
    named = config(f'host = "{bind}"\nallowed_hosts = ["mcp.example.com", "x.example:9"]\ninsecure = true')
    refuse_open(named)
    rules = HeaderRules.of(named)
    accepted = ["mcp.example.com", "mcp.example.com:1", "x.example:9", "localhost:5"]
    assert [host for host in (*accepted, "x.example", "x.example:8") if rules.accept_host(host)] == accepted


@pytest.mark.parametrize(
    "name", ["mcp.example.com", "mcp.example.com:8443", "host.docker.internal", "192.168.1.7", "[2001:db8::1]"]
)
def test_a_name_that_others_can_use_needs_auth_or_insecure_on_a_loopback_address_too(name: str) -> None:
    named = f'allowed_hosts = ["localhost:8000", "{name}"]'
    with pytest.raises(HostError, match="without \\[auth\\] would let everyone") as caught:
        refuse_open(config(named))
    assert caught.value.where == "mcp-host.toml:2: transport.allowed_hosts"
    assert caught.value.hint.startswith("[transport] insecure = true")
    refuse_open(config(f"{named}\ninsecure = true"))
    refuse_open(config(named, TOKENS))


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000"])
def test_other_names_of_this_machine_need_neither(name: str) -> None:
    refuse_open(config(f'allowed_hosts = ["{name}"]'))


def test_an_app_for_another_server_needs_auth_or_insecure() -> None:
    with pytest.raises(HostError, match="would let everyone who reaches it call every tool") as caught:
        create_app(config(), objects={"named": Named("open")})
    assert caught.value.hint.startswith("[transport] insecure = true")
    create_app(mounted(), objects={"named": Named("on purpose")})


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("mcp.example.com", True),
        ("MCP.Example.COM:8443", True),
        ("mcp.example.com.", True),
        ("mcp.example.com:", True),
        ("default.example", True),
        ("default.example:443", True),
        ("default.example:444", False),
        ("[2001:DB8:0::7]:1", True),
        ("127.0.0.1:evil.example", False),
        ("localhost:8000@evil.example", False),
        ("mcp.example.com:*", True),
        ("mcp.example.com.evil", False),
        ("mcp.example.com/evil", False),
        ("[::1", False),
        ("[::1]evil", False),
        ("[zz]", False),
        ("", False),
    ],
)
def test_hosts_are_compared_as_names_and_ports(host: str, accepted: bool) -> None:
    named = '"mcp.example.com", "default.example:443", "[2001:db8::7]"'
    assert HeaderRules.of(config(f"allowed_hosts = [{named}]")).accept_host(host) is accepted


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://app.example", True),
        ("HTTPS://App.Example:443", True),
        ("https://app.example:444", False),
        ("http://app.example", False),
        ("https://app.example.evil", False),
        ("vscode-webview://a1", True),
        ("vscode-webview://a2", False),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:evil.example", False),
        ("http://localhost:*", False),
        ("https://localhost", False),
        ("null", False),
        ("*", False),
    ],
)
def test_origins_are_compared_as_schemes_names_and_ports(origin: str, accepted: bool) -> None:
    named = config('allowed_origins = ["https://app.example:443", "vscode-webview://a1"]')
    assert HeaderRules.of(named).accept_origin(origin) is accepted


def test_the_origin_null_is_accepted_if_it_is_named() -> None:
    assert HeaderRules.of(config('allowed_origins = ["null"]')).accept_origin("null")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("[::1]", True), ("LocalHost", True), ("0.0.0.0", False)],
)
def test_loopback_addresses_are_recognized(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("", "http://127.0.0.1:8000/mcp"),
        ('host = "127.0.0.2"', "http://127.0.0.2:8000/mcp"),
        ('host = "::1"\nport = 9\npath = "/x"', "http://[::1]:9/x"),
        ('host = "0:0:0:0:0:0:0:1"', "http://[0:0:0:0:0:0:0:1]:8000/mcp"),
        ('host = "LOCALHOST"', "http://LOCALHOST:8000/mcp"),
        ('host = "192.168.1.7"\nallowed_hosts = ["mcp.example.com"]', "http://192.168.1.7:8000/mcp"),
        ('host = "0.0.0.0"\nallowed_hosts = ["mcp.example.com"]', "http://mcp.example.com:8000/mcp"),
        ('host = "0.0.0.0"\nallowed_hosts = ["mcp.example.com:*"]', "http://mcp.example.com:8000/mcp"),
        ('host = "0.0.0.0"\nallowed_hosts = ["mcp.example.com:80"]', "http://mcp.example.com:80/mcp"),
        ('host = "::"\nallowed_hosts = ["[2001:db8::1]"]', "http://[2001:db8::1]:8000/mcp"),
        ('host = "0.0.0.0"', "http://127.0.0.1:8000/mcp"),
    ],
)
def test_a_client_can_use_the_shown_url(transport: str, expected: str) -> None:
    assert url(config(transport)) == expected
    assert HeaderRules.of(config(transport)).accept_host(expected.split("/")[2])


def test_a_proxy_is_recognized_on_an_ipv6_socket_too() -> None:
    trusted = trusted_addresses(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
    assert trusted == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "2001:db8::/32",
        "::ffff:10.0.0.0/104",
        "::ffff:192.0.2.7/128",
    ]


# Browsers


async def test_cors_accepts_the_configured_origins_and_exposes_the_session_id() -> None:
    app, _ = app_of("cors", 'cors = ["https://app.example.com"]')
    headers = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    async with http(app) as web:
        preflight = await web.options("/mcp", headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
        answer = await web.get("/health", headers={"origin": "https://app.example.com"})
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
        foreign = await web.options("/mcp", headers={**headers, "origin": "https://evil.example"})
        assert foreign.status_code == 403
    await app.aclose()


# Sessions and answers


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("transport", "content_type", "session"),
    [
        ("", "text/event-stream", True),
        ("json_response = true", "application/json", True),
        ("stateless = true", "text/event-stream", False),
        ("stateless = true\njson_response = true", "application/json", False),
    ],
)
async def test_responses_are_streams_or_json_with_or_without_sessions(
    transport: str, content_type: str, session: bool
) -> None:
    app, _ = app_of("one", transport)
    async with app.running(), http(app) as web:
        response = await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(content_type)
        assert ("mcp-session-id" in response.headers) is session


async def test_no_more_sessions_are_open_than_allowed() -> None:
    app, _ = app_of("one", "max_sessions = 2")
    async with app.running(), http(app) as web:
        opened = [await web.post("/mcp", json=INITIALIZE, headers=ACCEPT) for _ in range(2)]
        assert [response.status_code for response in opened] == [200, 200]
        refused = await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert refused.status_code == 503
        assert "mcp-session-id" not in refused.headers
        # The end of one makes room for another.
        gone = {"mcp-session-id": opened[0].headers["mcp-session-id"]}
        assert (await web.delete("/mcp", headers={**ACCEPT, **gone})).status_code == 200
        assert (await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200


@pytest.mark.parametrize("json_response", ["", "json_response = true"])
async def test_a_number_and_the_same_digits_as_a_text_are_two_ids(json_response: str) -> None:
    plugin, both = Plugin(), anyio.Event()
    arrived: list[None] = []

    @plugin.tool(read_only=True)
    async def meet() -> str:
        arrived.append(None)
        if len(arrived) == 2:
            both.set()
        await both.wait()
        return "met"

    app = create_app(mounted(json_response), objects={"named": plugin})
    answers: list[Any] = []
    async with app.running(), http(app) as web:
        opened = await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        web.headers.update({**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]})
        await web.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})

        async def call(request_id: int | str) -> None:
            params = {"name": "meet", "arguments": {}}
            body = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
            response = await web.post("/mcp", json=body)
            answers.append(json.loads(response.text[response.text.index("{") :]))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as calls:
                for request_id in (500, "500"):
                    calls.start_soon(call, request_id)
        # Afterwards, both ids can be used again.
        await call(500)
        await call("500")
    assert [type(answer["id"]) for answer in answers[2:]] == [int, str]
    assert {repr(answer["id"]) for answer in answers} == {"500", "'500'"}
    assert all(answer["result"]["content"][0]["text"] == "met" for answer in answers)


async def test_a_body_over_the_limit_is_refused() -> None:
    app, _ = app_of("one", "max_request_size = 100")
    async with app.running(), http(app) as web:
        assert (await web.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 413


# Tokens


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        scopes = {"user": ["mcp"], "root": ["mcp", "admin"], "weak": []}.get(token)
        if scopes is None:
            return None
        return AccessToken(token=token, client_id="c", scopes=scopes, resource="http://127.0.0.1/mcp")


class VerifierPlugin:
    @hookimpl
    def mcp_token_verifier(self) -> Verifier:
        return Verifier()


AUTH = """
[auth]
verifier = "plugin:{verifier}"
issuer = "https://issuer.example"
resource = "http://127.0.0.1/mcp"
required_scopes = ["mcp"]
[plugins.tokens]
"""


def guarded_app(verifier: str = "tokens") -> HostApp:
    objects = {"named": Named("guarded"), "tokens": VerifierPlugin()}
    return create_app(config(more=AUTH.format(verifier=verifier)), objects=objects)


@each_era
async def test_a_plugin_verifies_tokens_and_tools_require_scopes(mode: str) -> None:
    app = guarded_app()
    async with app.running():
        async with http(app) as web:
            for token, status in ((None, 401), ("wrong", 401), ("weak", 403)):
                headers = {"authorization": f"Bearer {token}"} if token else {}
                response = await web.post("/mcp", json=INITIALIZE, headers={**ACCEPT, **headers})
                assert response.status_code == status
                assert "resource_metadata" in response.headers["www-authenticate"]
            metadata = await web.get("/.well-known/oauth-protected-resource/mcp")
            assert metadata.json()["authorization_servers"] == ["https://issuer.example"]
        async with client_of(app, "/mcp", mode, token="user") as client:
            assert await who(client) == "guarded"
            refused = await client.call_tool("admin", {})
            assert refused.is_error
            assert "needs the scope admin" in refused.model_dump()["content"][0]["text"]
        async with client_of(app, "/mcp", mode, token="root") as client:
            assert not (await client.call_tool("admin", {})).is_error


@pytest.mark.parametrize(
    ("verifier", "what"),
    [("nowhere", "there is no plugin 'nowhere'"), ("named", "has no mcp_token_verifier hook")],
)
def test_a_missing_verifier_prevents_the_server(verifier: str, what: str) -> None:
    with pytest.raises(HostError, match=what) as caught:
        guarded_app(verifier)
    assert "auth.verifier" in caught.value.where


def test_a_failed_verifier_plugin_prevents_the_server() -> None:
    broken = config(more=AUTH.format(verifier="tokens"))
    with pytest.raises(HostError, match="plugin 'tokens' failed"):
        create_app(broken, objects={"named": Named("x"), "tokens": object()})


class HalfPlugin(VerifierPlugin):
    """It has the hook, but its tool cannot be served."""

    @hookimpl
    def mcp_tools(self) -> list[Tool]:
        return [Tool(lambda *many: None, name="wrong")]


def test_a_verifier_plugin_that_is_not_served_prevents_the_server() -> None:
    with pytest.raises(HostError, match="plugin 'tokens' failed"):
        create_app(config(more=AUTH.format(verifier="tokens")), objects={"named": Named("x"), "tokens": HalfPlugin()})


# Routes


def test_two_plugins_cannot_have_the_same_route_or_the_endpoint() -> None:
    both = parse_config("[transport]\ninsecure = true\n[plugins.a]\n[plugins.b]\n[plugins.c]\n", environ={})
    taker = Plugin()

    @taker.route("/mcp")
    async def endpoint(request: Request) -> Response:
        raise AssertionError

    app = create_app(both, objects={"a": Named("a"), "b": Named("b"), "c": taker})
    problems = [record.problem.what if record.problem else None for record in app.host.records]
    # The plugins have the same tools, so their names clash first.
    assert problems[0] is None
    assert "'who'" in str(problems[1])
    assert "'/mcp'" in str(problems[2])
    assert "the MCP endpoint" in str(problems[2])
    renamed = parse_config("[transport]\ninsecure = true\n[plugins.a]\n[plugins.b]\nprefix = 'b_'\n", environ={})
    app = create_app(renamed, objects={"a": Named("a"), "b": Named("b")})
    (_, problem) = (record.problem for record in app.host.records)
    assert problem is not None
    assert "route '/health' of plugin 'b'" in problem.what
    assert "plugin 'a'" in problem.what


async def test_the_app_stops_when_the_loop_ends() -> None:
    plugin = Named("loop")
    app = create_app(mounted(), objects={"named": plugin})

    async def use() -> None:
        async with http(app) as web:
            await web.get("/health")

    import asyncio

    await anyio.to_thread.run_sync(lambda: asyncio.run(use()))
    assert plugin.events == ["start", "stop"]
