"""A remote server that is down, back, forgetful, or no MCP server at all."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
import uvicorn
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.talking import refusal, text_of
from support.webservers import Reply, page, redirect, web_server

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


class Forgetful:
    """A server of the handshake that can forget its sessions. `executed` has the texts of the calls that it ran."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.started = 0
        self.executed: list[str] = []
        self.seen: set[tuple[str, str | None]] = set()
        """The query and the header `Authorization` of each request."""
        self.tools = ["echo"]
        self.unknown: Response = PlainTextResponse("Not Found", 404)
        self.waiting, self.go_on = asyncio.Event(), asyncio.Event()
        self.mute_at_the_end = False
        self.streams = False
        """Whether calls are answered in an event stream."""

    async def answer(self, request: Request) -> Response:
        self.seen.add((request.url.query, request.headers.get("authorization")))
        session = request.headers.get("mcp-session-id")
        if request.method == "DELETE" and self.mute_at_the_end:
            await self.go_on.wait()
        if request.method != "POST":
            return Response(status_code=405)
        message = await request.json()
        method = message["method"]
        if session is not None and session not in self.sessions:
            return self.unknown
        if method == "initialize":
            self.started += 1
            session = f"session-{self.started}"
            self.sessions.add(session)
        if "id" not in message:
            return Response(status_code=202)
        result = self._result(method, message.get("params") or {})
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if method == "tools/call" and self.streams:
            data = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
            return Response(f"event: message\ndata: {data}\n\n", media_type="text/event-stream")
        if method == "tools/call" and "wait" in (message["params"]["arguments"]):
            self.waiting.set()
            await self.go_on.wait()
        headers = {"mcp-session-id": session} if method == "initialize" and session else {}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "initialize":
            info = {"name": "forgetful", "version": "1"}
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        if method == "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]}
        if method == "tools/call":
            self.executed.append(params["arguments"]["text"])
            if "size" in params["arguments"]:
                return {"content": [{"type": "text", "text": "x" * params["arguments"]["size"]}]}
            return {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
        return None


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(served: Any, port: int = 0) -> AsyncIterator[int]:
    """Serve over HTTP, and yield the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    app: Any = served
    if isinstance(served, Forgetful):
        app = Starlette(routes=[Route("/mcp", served.answer, methods=["GET", "POST", "DELETE"])])
    server = _Uvicorn(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


def config(folder: Path, url: str, more: str = "") -> Path:
    file = folder / "mcp-host.toml"
    file.write_text(f'[host]\ndata_dir = "data"\n\n[plugins.remote]\nurl = "{url}"\n{more}\n')
    return file


async def echo(client: Client, text: str) -> str:
    return text_of(await client.call_tool("echo", {"text": text}))


def unknown(status: int, code: int, message: str) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}, status)


@each_era
@pytest.mark.parametrize(
    "answer",
    [
        unknown(404, -32600, "Session not found"),
        unknown(404, -32001, "Session not found"),
        unknown(400, -32600, "Session terminated"),
        unknown(400, -32000, "Bad Request: No valid session ID provided"),
        unknown(400, -32000, "Bad Request: Server not initialized"),
        unknown(404, -32600, "Not Found: Session terminated."),
        PlainTextResponse("Not Found", 404),
    ],
)
async def test_a_call_of_a_session_that_is_forgotten_is_repeated_once(
    tmp_path: Path, mode: str, answer: Response
) -> None:
    forgetful = Forgetful()
    forgetful.unknown = answer
    async with (
        serving(forgetful) as port,
        connect(config(tmp_path, f"http://127.0.0.1:{port}/mcp"), mode=mode) as client,
    ):
        assert await echo(client, "a") == "a"
        forgetful.sessions.clear()
        assert await echo(client, "b") == "b"
        assert forgetful.executed == ["a", "b"]
        assert forgetful.started == 2


async def test_all_calls_of_a_forgotten_session_are_repeated(tmp_path: Path) -> None:
    forgetful = Forgetful()
    async with serving(forgetful) as port, connect(config(tmp_path, f"http://127.0.0.1:{port}/mcp")) as client:
        await echo(client, "a")
        forgetful.sessions.clear()
        texts = [str(number) for number in range(8)]
        assert await asyncio.gather(*(echo(client, text) for text in texts)) == texts
        assert sorted(forgetful.executed) == [*texts, "a"]
        assert forgetful.started == 2


async def test_a_server_that_knows_no_session_at_all_is_asked_twice(tmp_path: Path) -> None:
    forgetful = Forgetful()
    async with serving(forgetful) as port, connect(config(tmp_path, f"http://127.0.0.1:{port}/mcp")) as client:

        class Never(set[str]):
            def __contains__(self, _: object) -> bool:
                return False

        forgetful.sessions = Never()
        with anyio.fail_after(30):
            result = await refusal(client, "echo", text="a")
        assert "not running" in result
        assert forgetful.executed == []


class Restarted:
    """An `MCPServer`, made anew for each start, and the methods of the requests that came since."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def app(self, name: str) -> Any:
        self.seen = seen = []
        server = MCPServer("restarted")

        @server.tool()
        def who() -> str:
            return name

        app = server.streamable_http_app()

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            async def read() -> Any:
                message = await receive()
                if message.get("body"):
                    seen.append(json.loads(message["body"])["method"])
                return message

            await app(scope, read if scope["type"] == "http" else receive, send)

        return noted


@each_era
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_restart_of_a_remote_server_costs_no_call(tmp_path: Path, mode: str, era: str) -> None:
    restarted = Restarted()
    async with serving(restarted.app("first")) as port:
        host = make_host(config(tmp_path, f"http://127.0.0.1:{port}/mcp", f'era = "{era}"'))
        server = HostServer(host)
        running = host.running()
        await running.__aenter__()
        client = Client(server, mode=mode)
        await client.__aenter__()
        assert text_of(await client.call_tool("who", {})) == "first"
    try:
        async with serving(restarted.app("second"), port):
            assert text_of(await client.call_tool("who", {})) == "second"
            connection = host.records[0].connection
            assert connection is not None
            if era == "auto":
                # A session of 2026-07-28 is not known to the server. It goes on.
                assert connection.protocol_version == "2026-07-28"
                assert connection.restarts == 0
                assert {"server/discover", "initialize"}.isdisjoint(restarted.seen)
            else:
                assert connection.protocol_version == "2025-11-25"
                assert connection.restarts == 1
                assert restarted.seen.count("initialize") == 1
    finally:
        await client.__aexit__(None, None, None)
        await running.__aexit__(None, None, None)


@each_era
async def test_a_server_that_goes_down_and_comes_back_is_served_again(tmp_path: Path, mode: str) -> None:
    forgetful = Forgetful()
    async with serving(forgetful) as port:
        host = make_host(config(tmp_path, f"http://127.0.0.1:{port}/mcp"))
        server = HostServer(host)
        running = host.running()
        await running.__aenter__()
    try:
        async with Client(server, mode=mode) as client:
            text = await refusal(client, "echo", text="lost")
            assert (
                f"http://127.0.0.1:{port}/mcp cannot be reached: Connection refused" in text or "ended during" in text
            )
            async with serving(forgetful, port):
                with anyio.fail_after(30):
                    while (await client.call_tool("echo", {"text": "back"})).is_error:
                        await asyncio.sleep(0.1)
                (record,) = host.records
                assert record.connection is not None
                assert record.connection.state == "up"
                assert record.warnings == ()
    finally:
        await running.__aexit__(None, None, None)


async def test_a_server_that_is_down_at_the_start_is_served_when_it_is_up(tmp_path: Path) -> None:
    forgetful = Forgetful()
    async with serving(forgetful) as port:
        pass
    host = make_host(config(tmp_path, f"http://127.0.0.1:{port}/mcp"))
    changed = asyncio.Event()
    async with host.running():
        (record,) = host.records
        assert record.problem is None
        problem = f"it cannot be started: http://127.0.0.1:{port}/mcp cannot be reached: Connection refused"
        assert [warning.what for warning in record.warnings] == [problem]
        assert record.connection is not None
        assert record.connection.state == "waiting"

        async def note(*_: Any) -> None:
            changed.set()

        host.on_catalog_changed = note
        async with serving(forgetful, port):
            with anyio.fail_after(30):
                await changed.wait()
            assert list(host.catalog.tools) == ["echo"]
        assert host.records[0].warnings == ()


@each_era
@pytest.mark.parametrize("start", ["lazy", "eager"])
async def test_what_a_server_listed_before_is_served_while_it_is_down(tmp_path: Path, mode: str, start: str) -> None:
    forgetful = Forgetful()
    async with serving(forgetful) as port:
        file = config(tmp_path, f"http://127.0.0.1:{port}/mcp", f'start = "{start}"')
        async with connect(file):
            pass
    forgetful.tools = ["echo", "new"]
    host = make_host(file)
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]
        assert "cannot be reached: Connection refused" in await refusal(client, "echo", text="lost")
        assert ["Connection refused" in warning.what for warning in host.records[0].warnings] == [True]
        changed = asyncio.Event()
        publish = host.on_catalog_changed

        async def note(*catalogs: Any) -> None:
            assert publish is not None
            await publish(*catalogs)
            changed.set()

        host.on_catalog_changed = note
        async with serving(forgetful, port):
            with anyio.fail_after(30):
                # A server that is started with the host comes back by itself.
                while start == "lazy" and (await client.call_tool("echo", {"text": "back"})).is_error:
                    await asyncio.sleep(0.1)
                await changed.wait()
            assert [tool.name for tool in (await client.list_tools()).tools] == ["echo", "new"]
            assert await echo(client, "back") == "back"
            assert host.records[0].warnings == ()


@each_era
@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_that_is_too_large_fails_its_own_call_at_once(tmp_path: Path, mode: str, streams: bool) -> None:
    forgetful = Forgetful()
    async with (
        serving(forgetful) as port,
        connect(config(tmp_path, f"http://127.0.0.1:{port}/mcp"), mode=mode) as client,
    ):
        waiting = asyncio.create_task(client.call_tool("echo", {"text": "other", "wait": True}))
        await forgetful.waiting.wait()
        forgetful.streams = streams
        with pytest.raises(MCPError, match=r"is larger than 33554432 bytes|exceeded the 33554432 byte limit"):
            await client.call_tool("echo", {"text": "large", "size": 33 * 1024 * 1024})
        forgetful.go_on.set()
        assert text_of(await waiting) == "other"
        assert await echo(client, "same session") == "same session"
        assert forgetful.started == 1
        assert forgetful.executed == ["other", "large", "same session"]


async def test_a_server_that_does_not_answer_the_end_of_its_session_delays_nothing(tmp_path: Path) -> None:
    forgetful = Forgetful()
    forgetful.mute_at_the_end = True
    async with serving(forgetful) as port:
        file = config(tmp_path, f"http://127.0.0.1:{port}/mcp")
        file.write_text(file.read_text().replace("[host]", "[host]\nstop_timeout = 600"))
        try:
            # Nothing else ends before 300 seconds.
            with anyio.fail_after(60):
                async with connect(file) as client:
                    assert await echo(client, "a") == "a"
        finally:
            forgetful.go_on.set()


async def test_a_required_server_that_is_down_ends_the_start(tmp_path: Path) -> None:
    async with serving(Forgetful()) as port:
        pass
    host = make_host(config(tmp_path, f"http://127.0.0.1:{port}/mcp", "required = true"))
    with pytest.raises(Exception, match="Connection refused"):
        async with host.running():
            pass


SECRET = "5ec7et5"

URLS: dict[str, tuple[str, str, str, str | None]] = {
    "in the query": ('{ env = "IT", format = "http://SERVER/mcp?key={}&a=b" }', SECRET, f"key={SECRET}&a=b", None),
    "a password": ('{ env = "IT", format = "http://me:{}@SERVER/mcp" }', SECRET, "", f"me:{SECRET}"),
    "with escapes": ('{ env = "IT", format = "http://me:{}@SERVER/mcp" }', f"{SECRET}%3A", "", f"me:{SECRET}:"),
    "the whole URL": ('{ env = "IT" }', f"http://{SECRET}@SERVER/mcp?key={SECRET}", f"key={SECRET}", f"{SECRET}:"),
    "written in the file": (f'"http://me:{SECRET}@SERVER/mcp?key={SECRET}"', "", f"key={SECRET}", f"me:{SECRET}"),
}  # fmt: skip


@each_era
@pytest.mark.parametrize("case", URLS)
async def test_a_secret_in_the_url_reaches_the_server_and_no_record(
    tmp_path: Path, mode: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, value, query, user = URLS[case]
    forgetful = Forgetful()
    async with serving(forgetful) as port:
        server = f"127.0.0.1:{port}"
        monkeypatch.setenv("IT", value.replace("SERVER", server))
        file = config(tmp_path, "")
        file.write_text(file.read_text().replace('url = ""', f"url = {url.replace('SERVER', server)}"))
        host = make_host(file)
        async with host.running(), Client(HostServer(host), mode=mode) as client:
            assert await echo(client, "a") == "a"
            assert SECRET not in json.dumps(host.records[0].to_json())
    authorization = f"Basic {base64.b64encode(user.encode()).decode()}" if user else None
    assert forgetful.seen == {(query, authorization)}
    # The server is down now.
    (tmp_path / "data" / "remote" / "definitions.json").unlink()
    host = make_host(file)
    async with host.running():
        assert "***" in host.records[0].warnings[0].what
        assert SECRET not in json.dumps(host.records[0].to_json())


@pytest.mark.parametrize("value", ["ftp://h/5ec7et5", "5ec7et5", "https://h:x/5ec7et5"])
async def test_a_variable_that_is_no_url_is_refused_without_its_value(
    tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IT", value)
    file = config(tmp_path, "")
    file.write_text(file.read_text().replace('url = ""', 'url = { env = "IT" }'))
    host = make_host(file)
    async with host.running():
        problem = host.records[0].problem
        assert problem is not None
        assert "*** is not a URL such as" in problem.what
        assert SECRET not in json.dumps(host.records[0].to_json())


async def test_a_header_with_a_line_break_is_refused_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IT", f"{SECRET}\nX-Other: 1")
    host = make_host(config(tmp_path, "http://127.0.0.1:9/mcp", 'headers.X-Key = { env = "IT" }'))
    async with host.running():
        problem = host.records[0].problem
    assert problem is not None
    assert "the value of the header X-Key has a line break" in problem.what
    assert SECRET not in str(problem)


async def failure(url: str, folder: Path) -> str:
    """Start a host with this URL, and return the problem in the record."""
    host: Host = make_host(config(folder, url))
    async with host.running():
        plugin: LoadedPlugin = host.plugins[0]
        problem = plugin.record.problem
        assert plugin.record.warnings == ()
        assert problem is not None
        assert "\n" not in problem.what
        return problem.what


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (page("<h1>Welcome</h1>"), "it answered with text/html, which is no MCP"),
        (Reply(status=404), "it answered 404"),
        (Reply(status=401), "it answered 401"),
        (redirect("https://example.com/mcp"), "to https://example.com/mcp, which is not followed"),
        (Reply(body=b"{}", headers={"Content-Type": "application/json"}), "Failed to parse JSON response"),
        (Reply(status=200, body=b"hello"), "it answered with no media type, which is no MCP"),
    ],
)
async def test_a_url_that_is_no_mcp_server_is_explained_in_one_line(tmp_path: Path, reply: Reply, reason: str) -> None:
    async with web_server({"/mcp": reply}) as server:
        assert reason in await failure(f"{server.url}/mcp", tmp_path)


async def test_a_certificate_that_is_not_trusted_is_explained(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with web_server({}, tls=context) as server:
        text = await failure(f"{server.url}/mcp", tmp_path)
    assert "cannot be reached: CERTIFICATE_VERIFY_FAILED" in text


async def test_a_server_that_is_busy_is_tried_again(tmp_path: Path) -> None:
    async with web_server({"/mcp": Reply(status=503)}) as server:
        host = make_host(config(tmp_path, f"{server.url}/mcp"))
        async with host.running():
            (record,) = host.records
            assert record.problem is None
            assert "it answered 503" in record.warnings[0].what
            with anyio.fail_after(30):
                asked = len(server.requests)
                while len(server.requests) == asked:
                    await asyncio.sleep(0.05)
