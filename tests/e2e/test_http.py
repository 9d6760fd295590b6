"""`mcp-host run --transport http` as a process: which requests it accepts, its answers, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from watchfiles import awatch

if TYPE_CHECKING:
    from support.processes import Cli, Process

LONGEST = 60.0
ACCEPT = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@pytest.fixture(scope="module")
def served(module_cli: Cli) -> Iterator[Process]:
    module_cli.config('[transport]\ncors = ["https://app.example"]\n[plugins.good]\n')
    with module_cli.serve() as process:
        yield process


def health(process: Process) -> str:
    return process.url.replace("/mcp", "/good/health")


def test_only_requests_for_a_host_of_this_machine_are_answered(served: Process) -> None:
    evil = {**ACCEPT, "Host": "evil.example"}
    assert httpx2.post(served.url, json=INITIALIZE, headers=evil).status_code == 421
    assert httpx2.get(health(served), headers={"Host": "evil.example"}).status_code == 421
    assert httpx2.post(served.url, json=INITIALIZE, headers=ACCEPT).status_code == 200
    assert httpx2.get(health(served)).text == "well"


def test_only_pages_of_known_origins_may_ask(served: Process) -> None:
    for origin, status in (("https://evil.example", 403), ("http://localhost:3000", 200), ("https://app.example", 200)):
        headers = {**ACCEPT, "Origin": origin}
        assert httpx2.post(served.url, json=INITIALIZE, headers=headers).status_code == status
        assert httpx2.get(health(served), headers={"Origin": origin}).status_code == status


def test_a_page_of_a_cors_origin_may_send_requests_and_read_the_session_id(served: Process) -> None:
    preflight = httpx2.options(
        served.url,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, mcp-session-id",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    answer = httpx2.post(served.url, json=INITIALIZE, headers={**ACCEPT, "Origin": "https://app.example"})
    assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["mcp-session-id"]


def test_a_page_of_any_other_origin_may_not_send_requests(served: Process) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx2.options(served.url, headers=headers)
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers


def test_by_default_answers_are_event_streams_and_sessions_are_kept(served: Process) -> None:
    answer = httpx2.post(served.url, json=INITIALIZE, headers=ACCEPT)
    assert answer.headers["content-type"].startswith("text/event-stream")
    unknown = {**ACCEPT, "Mcp-Session-Id": "nobodys"}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert httpx2.post(served.url, json=ping, headers=unknown).status_code == 404


def test_json_answers_without_sessions_are_a_setting(cli: Cli) -> None:
    cli.config("[transport]\njson_response = true\nstateless = true\npath = '/tools'\n[plugins.good]\n")
    with cli.serve() as process:
        assert process.url.endswith("/tools")
        answer = httpx2.post(process.url, json=INITIALIZE, headers=ACCEPT)
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.json()["result"]["serverInfo"]["name"] == "mcp-host"
        assert "mcp-session-id" not in answer.headers
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "state", "arguments": {}}}
        assert httpx2.post(process.url, json=call, headers=ACCEPT).json()["result"]["structuredContent"] == {
            "result": "the state"
        }


@pytest.mark.anyio
async def test_a_call_whose_session_its_client_ends_is_answered_with_404(cli: Cli) -> None:
    cli.config("[transport]\njson_response = true\n[plugins.good]\n")
    trace = cli.folder / "trace"
    trace.touch()
    with cli.serve(env={"GOOD_TRACE": str(trace)}) as process:
        async with httpx2.AsyncClient(headers=ACCEPT, timeout=LONGEST) as http, anyio.create_task_group() as group:
            answer = await http.post(process.url, json=INITIALIZE)
            http.headers["Mcp-Session-Id"] = answer.headers["mcp-session-id"]
            await http.post(process.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            statuses = []

            async def hold() -> None:
                call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "hold", "arguments": {}}}
                statuses.append((await http.post(process.url, json=call)).status_code)

            group.start_soon(hold)
            async for _ in awatch(trace, rust_timeout=200, yield_on_timeout=True):
                if "holding" in trace.read_text():
                    break
            assert (await http.delete(process.url)).status_code == 200
        assert statuses == [404]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.anyio
async def test_a_signal_stops_the_plugins_and_ends_the_server_with_0_also_while_a_client_listens(
    cli: Cli, number: signal.Signals
) -> None:
    cli.config("[plugins.good]")
    trace = cli.folder / "trace"
    with cli.serve(env={"GOOD_TRACE": str(trace)}) as process:
        async with Client(process.url) as client, client.listen(tools_list_changed=True):
            process.signal(number)
            assert process.wait() == 0
        assert "Traceback" not in process.err
    assert trace.read_text() == "start\nstop\n"


def test_a_signal_while_the_plugins_start_stops_the_started_ones_and_ends_the_process_with_0(cli: Cli) -> None:
    cli.config("[plugins.good]\n[plugins.stopper]")
    trace = cli.folder / "trace"
    done = cli.run("run", "--transport", "http", "--port", "0", env={"GOOD_TRACE": str(trace)})
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("INFO mcp_host.cli.run: stopped\n")
    assert done.err.count("\n") == 1
    assert trace.read_text() == "start\nstop\n"


def test_a_second_signal_ends_a_server_that_waits_for_a_call_at_once(cli: Cli) -> None:
    cli.config("[plugins.good]")
    with cli.serve() as process:
        address = urlsplit(process.url)
        params = {"name": "hold", "arguments": {}, "_meta": {"progressToken": 7}}
        body = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})
        headers = "".join(f"{name}: {value}\r\n" for name, value in ACCEPT.items())
        session = httpx2.post(process.url, json=INITIALIZE, headers=ACCEPT).headers["mcp-session-id"]
        request = (
            f"POST /mcp HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}Mcp-Session-Id: {session}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with socket.create_connection((address.hostname or "", address.port or 0), LONGEST) as connection:
            connection.sendall(request.encode())
            answer = connection.makefile("r", encoding="utf-8")
            assert any("holding" in line for line in answer)
            process.signal(signal.SIGINT)
            process.until_logged("waiting for 1 call to end, 10 s at most; a second signal ends the process at once")
            process.signal(signal.SIGINT)
            assert process.wait() == -signal.SIGINT


def test_a_head_without_end_is_cut_off(served: Process) -> None:
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname or "", address.port or 0), LONGEST) as connection:
        connection.sendall(b"POST /mcp HTTP/1.1\r\nX: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"x" * 2**26)


@pytest.mark.parametrize(("setting", "descriptors"), [("max_connections = 20", "1024"), ("", "100")])
def test_a_flood_of_connections_is_refused_and_the_open_ones_keep_working(
    cli: Cli, setting: str, descriptors: str
) -> None:
    cli.config(f"[transport]\n{setting}\n[plugins.good]\n")
    limited = replace(cli, through=("sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"))
    with limited.serve() as process, httpx2.Client(headers=ACCEPT, timeout=LONGEST) as client, ExitStack() as stack:
        assert client.post(process.url, json=INITIALIZE).status_code == 200
        address = urlsplit(process.url)
        flood = [
            stack.enter_context(socket.create_connection((address.hostname or "", address.port or 0), LONGEST))
            for _ in range(300)
        ]
        answers = [connection.recv(1000) for connection in flood[80:]]
        assert {answer.partition(b"\r\n")[0] for answer in answers} <= {b"HTTP/1.1 503 Service Unavailable", b""}
        assert any(answers)
        # The client's own connection is kept.
        assert client.post(process.url, json=INITIALIZE).status_code == 200
        stack.close()
        with httpx2.Client(headers={**ACCEPT, "Connection": "close"}, timeout=LONGEST) as others:
            # The first ones may come before the host has seen that the flood is over.
            statuses = [others.post(process.url, json=INITIALIZE).status_code for _ in range(50)]
        assert statuses[-1] == 200
        assert process.err.count("connections are open, and more are refused") == 1
        assert "system resource" not in process.err


def test_a_bind_address_that_others_reach_needs_the_names_they_use(cli: Cli) -> None:
    done = cli.run("run", "--transport", "http", "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert done.out == ""
    assert "DNS rebinding" in done.err
    assert '[transport] allowed_hosts = ["mcp.example.com"]' in done.err


def test_a_port_in_use_is_an_error_with_a_hint(cli: Cli) -> None:
    cli.config("[plugins.good]")
    trace = cli.folder / "trace"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli.run("run", "-t", "http", "--port", str(port), env={"GOOD_TRACE": str(trace)})
    assert done.code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.err
    assert "--port" in done.err
    assert "Traceback" not in done.err
    assert not trace.exists()  # found out before any plugin was started


def test_the_first_lines_show_what_is_served_and_how_to_connect(served: Process) -> None:
    said: Any = "".join(served.lines)
    assert "mcp-plugin-good 1.0" in said
    assert f"Serving mcp-host at {served.url}" in said
    assert f"claude mcp add --transport http mcp-host {served.url}" in said
    assert f"inspect --url {served.url}" in said


# The access log


REFUSED = """
from mcp_host import Plugin, ToolError

plugin = Plugin()


@plugin.tool
def refuse() -> str:
    raise ToolError("no")


@plugin.tool
def crash() -> str:
    raise OSError("no")
"""


async def ask_for_everything(url: str, mode: str) -> None:
    async with Client(url, mode=mode) as client:
        await client.list_tools()
        await client.call_tool("refuse", {})
        await client.call_tool("crash", {})
        with pytest.raises(MCPError):
            await client.call_tool("no\nERROR forged \u202e", {})


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_request_is_a_line_of_the_log(cli: Cli, mode: str) -> None:
    (cli.folder / "refusing.py").write_text(REFUSED, encoding="utf-8")
    cli.config('[plugins.refusing]\nobject = "refusing:plugin"\n')
    with cli.serve(env={"PYTHONPATH": str(cli.folder)}) as process:
        await ask_for_everything(process.url, mode)
        process.until_logged("forged")
        lines = [line.partition("mcp_host.access: ")[2] for line in process.err.splitlines() if "access: " in line]
    shown = [re.sub(r"[0-9.]+ms", "0ms", re.sub(r"error [0-9a-f]{8}", "error ID", line)) for line in lines]
    assert shown[0] == f"{'initialize' if mode == 'legacy' else 'server/discover'} - - ok 0ms"
    assert shown[1:] == [
        "tools/list - - ok 0ms",
        "tools/call refuse refusing error:failed 0ms",
        "tools/call crash refusing error:crashed 0ms (error ID)",
        r'tools/call "no\nERROR forged \u202e" - refused:unknown 0ms',
    ]
    assert "INFO mcp_host.access: tools/list" in process.err


@pytest.mark.anyio
async def test_a_request_that_never_was_a_message_is_a_line_too(cli: Cli) -> None:
    cli.config("[transport]\nmax_request_size = 1000\n[plugins.good]\n")
    with cli.serve() as process:
        httpx2.post(process.url, content=b"{", headers=ACCEPT)
        httpx2.post(process.url, json=INITIALIZE, headers={**ACCEPT, "Host": "evil.example"})
        httpx2.post(process.url, content=b" " * 2000, headers=ACCEPT)
        httpx2.post(process.url, json=INITIALIZE, headers={**ACCEPT, "Mcp-Session-Id": "gone"})
        httpx2.post(process.url, json={**INITIALIZE, "method": "example/unknown", "params": {}}, headers=ACCEPT)
        async with Client(process.url) as client:
            with pytest.raises(MCPError):
                await client.call_tool("last", {})
        process.until_logged("last")
        lines = [line.partition("mcp_host.access: ")[2] for line in process.err.splitlines() if "access: " in line]
    assert [line.rpartition(" ")[0] for line in lines] == [
        "http/POST - - refused:bad-arguments",
        "http/POST - - refused:denied",
        "http/POST - - refused:too-large",
        "http/POST - - refused:unknown",
        "http/POST - - refused:bad-arguments",
        "server/discover - - ok",
        "tools/call last - refused:unknown",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("flag", ["--quiet", "-q", "--log-level=warning"])
async def test_the_access_log_can_be_turned_off(cli: Cli, flag: str) -> None:
    cli.config("[plugins.good]\n")
    with cli.serve(flag) as process:
        async with Client(process.url) as client:
            await client.list_tools()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "mcp_host.access" not in process.err


# Proxies and idle connections

WHO = """
from mcp_host import Plugin
from starlette.responses import PlainTextResponse

plugin = Plugin()


@plugin.route("/who")
async def who(request):
    return PlainTextResponse(f"{request.client.host} {request.url.scheme}")
"""


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ([], "127.0.0.1 http"),
        (["192.0.2.0/24"], "127.0.0.1 http"),
        (["127.0.0.1"], "203.0.113.9 https"),
        (["127.0.0.0/8", "203.0.113.0/24"], "198.51.100.7 https"),
    ],
)
def test_forwarded_headers_are_used_only_from_the_proxies_that_the_file_names(
    cli: Cli, proxies: list[str], expected: str
) -> None:
    (cli.folder / "who.py").write_text(WHO, encoding="utf-8")
    cli.config(f"[transport]\ntrusted_proxies = {json.dumps(proxies)}\n[plugins.who]\nobject = 'who.py:plugin'\n")
    headers = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"}
    # This variable makes uvicorn by itself trust everyone.
    with cli.serve(env={"FORWARDED_ALLOW_IPS": "*"}) as process:
        assert httpx2.get(process.url.replace("/mcp", "/who"), headers=headers).text == expected


LATENCY = 0.06
"""Seconds that bytes take in each direction."""


async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on after the latency. The end of the stream takes as long."""
    loop = asyncio.get_running_loop()
    while data := await source.read(65536):
        loop.call_later(LATENCY, sink.write, data)
    await asyncio.sleep(LATENCY)
    sink.close()


@pytest.mark.anyio
async def test_no_request_on_an_idle_connection_is_lost_behind_a_slow_network(cli: Cli) -> None:
    """A server that closes idle connections after 5 s, as uvicorn does, loses those sent just before."""
    cli.config("[plugins.good]\n")
    with cli.serve() as process:
        parts = urlsplit(process.url)
        connections: list[Any] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(asyncio.current_task())
            far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
            await asyncio.gather(relay(reader, far_writer), relay(far_reader, writer))

        request = f"GET /good/health HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()

        async def answered_after(idle: float) -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b""
            for pause in (0, idle):
                await asyncio.sleep(pause)
                writer.write(request)
                head = await reader.readuntil(b"well")
            writer.close()
            return head.startswith(b"HTTP/1.1 200")

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            answers = await asyncio.gather(*(answered_after(4.8 + step * 0.02) for step in range(25)))
            await asyncio.gather(*connections)
    assert all(answers)


@pytest.mark.anyio
async def test_an_idle_connection_stays_open_for_the_time_of_the_file(cli: Cli) -> None:
    cli.config("[transport]\nkeep_alive = '200ms'\n[plugins.good]\n")
    with cli.serve() as process:
        parts = urlsplit(process.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET /good/health HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        # The server closes the connection after the answer, though nobody asked for it.
        with anyio.fail_after(4):
            answer = await reader.read()
            while more := await reader.read():
                answer += more
        writer.close()
    assert b"connection: close" not in answer.lower()
    assert answer.endswith(b"well")
