"""The plugin does not reach what the guard refuses, except what the settings allow."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest
import trustme
from mcp import Client

from mcp_host import ToolError
from mcp_plugin_fetch.fetcher import Fetcher
from mcp_plugin_fetch.pages import Text
from mcp_plugin_fetch.settings import Settings
from support.forwardproxy import forward_proxy
from support.webservers import Reply, name_server, page, redirect, text, web_server

pytestmark = pytest.mark.anyio

Served = Callable[..., AbstractAsyncContextManager[Client]]
Fetched = Callable[..., Awaitable[tuple[str, str]]]
Refused = Callable[..., Awaitable[str]]


@pytest.mark.parametrize("robots", [True, False])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"],
)
async def test_this_machine_is_not_reached(served: Served, refused: Refused, host: str, robots: bool) -> None:
    async with web_server({"/": text("secret")}) as server, served(allow=[], robots=robots) as client:
        why = await refused(client, f"http://{host}:{server.port}/")
        assert "a loopback address, which is not allowed" in why
        assert "in [plugins.fetch.settings]" in why
        assert server.connections == 0


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "192.168.1.1", "[fd00:ec2::254]", "100.64.0.1"])
async def test_the_local_network_is_not_reached(served: Served, refused: Refused, address: str) -> None:
    async with served() as client:
        assert "which is not allowed" in await refused(client, f"http://{address}/latest/meta-data/")


async def test_only_the_allowed_address_is_reached(served: Served, fetched: Fetched, refused: Refused) -> None:
    async with web_server({"/": text("a")}) as one, web_server({"/": text("b")}) as two:
        async with served(allow=[one.address]) as client:
            assert (await fetched(client, one.url))[1] == "a"
            assert f'add "{two.address}" to `allow`' in await refused(client, two.url)
            one.routes["/"] = redirect(two.url)
            assert "is a loopback address" in await refused(client, one.url)
        async with served(allow=["127.0.0.0/8"], deny=[two.address]) as client:
            assert "the settings deny" in await refused(client, two.url)
    assert two.connections == 0


async def test_a_name_that_resolves_to_a_private_address_later_is_refused() -> None:
    answers = {"rebind.test": [["127.0.0.2"], ["127.0.0.2"], ["127.0.0.1"]]}
    async with (
        web_server({"/": text("secret")}) as private,
        web_server({"/": text("public"), "/2": text("two")}, host="127.0.0.2", port=private.port) as public,
        name_server(answers) as names,
    ):
        fetcher = Fetcher(Settings(allow=["127.0.0.2"]), resolver=names.resolve)
        try:
            site = f"http://rebind.test:{public.port}"
            first = await fetcher.fetch(f"{site}/", raw=False)
            assert isinstance(first, Text)
            assert first.text == "public"
            assert names.asked == ["rebind.test"] * 2  # one for robots.txt, one for the page
            with pytest.raises(ToolError, match=r"rebind\.test resolves to a loopback address"):
                await fetcher.fetch(f"{site}/2", raw=False)
        finally:
            await fetcher.close()
    assert (public.targets, private.connections) == (["/robots.txt", "/"], 0)


async def test_the_certificate_is_checked_against_the_name() -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.test").configure_cert(context)
    names = {"good.test": [["127.0.0.1"]], "bad.test": [["127.0.0.1"]]}
    async with web_server({"/": page("<p>safe")}, tls=context) as server, name_server(names) as resolver:
        fetcher = Fetcher(Settings(allow=["127.0.0.1"]), resolver=resolver.resolve, verify=trust)
        try:
            shown = await fetcher.fetch(f"https://good.test:{server.port}/", raw=False)
            assert isinstance(shown, Text)
            assert shown.text == "safe"
            with pytest.raises(ToolError, match=r"certificate verify failed.*bad\.test"):
                await fetcher.fetch(f"https://bad.test:{server.port}/", raw=False)
        finally:
            await fetcher.close()


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await anyio.sleep(0.02)


async def test_a_page_that_arrives_too_slowly_is_stopped_at_the_timeout(served: Served, refused: Refused) -> None:
    async with web_server({"/": Reply(body=drip)}) as server, served(timeout=0.5, robots=False) as client:
        assert "was not complete within 0.5 s" in await refused(client, server.url)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"x" * 2000),
        Reply(headers={"Content-Length": "5000000000", "Content-Type": "text/plain"}),
        Reply(body=gzip.compress(b"x" * 100_000), headers={"Content-Encoding": "gzip"}),
        Reply(status=404, body=b"x" * 2000, headers={"Content-Type": "text/plain"}),
    ],
)
async def test_a_page_that_is_too_large_is_refused(served: Served, refused: Refused, reply: Reply) -> None:
    async with web_server({"/": reply}) as server, served(max_bytes=1024) as client:
        assert "larger than the limit of 1,024 bytes" in await refused(client, server.url)


async def test_an_error_does_not_contain_the_address_of_an_internal_name() -> None:
    async with name_server({"db.corp": [["10.20.30.40"]]}) as names:
        fetcher = Fetcher(Settings(), resolver=names.resolve)
        try:
            with pytest.raises(ToolError) as caught:
                await fetcher.fetch("http://db.corp/", raw=False)
        finally:
            await fetcher.close()
    assert "db.corp resolves to a private address" in str(caught.value)
    assert "10.20.30.40" not in str(caught.value)


async def test_a_proxy_from_the_settings_or_the_environment_is_used_and_checked(
    served: Served, fetched: Fetched, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_server({"/": text("hi")}) as server, forward_proxy() as proxy:
        async with served(proxy=proxy.url) as client:
            assert (await fetched(client, server.url))[1] == "hi"
            assert "a private address, which is not allowed" in await refused(client, "https://10.0.0.1/")
        assert proxy.asked == [f"GET {server.url}/robots.txt", f"GET {server.url}/"]
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with served() as client:
            await fetched(client, server.url)
        assert len(proxy.asked) == 4
        for direct in ({"proxy_from_environment": False}, {"no_proxy": ["127.0.0.1"]}):
            async with served(**direct) as client:
                await fetched(client, server.url)
        assert len(proxy.asked) == 4


async def test_a_variable_that_is_no_proxy_stops_the_plugin_with_its_name(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://hunter2@proxy")
    with pytest.raises(Exception, match="HTTPS_PROXY") as caught:
        async with served():
            raise AssertionError("it starts")
    assert "hunter2" not in str(caught.value)


async def test_a_hosts_headers_come_from_the_settings(served: Served, fetched: Fetched) -> None:
    async with web_server({"/": text("b")}) as other, web_server({"/": redirect(other.url)}) as home:
        hosts = {home.address: {"token": "t0ken", "headers": {"X-Key": "k3y"}, "cookies": {"a": "1"}}}
        async with served(hosts=hosts) as client:
            assert (await fetched(client, home.url))[1] == "b"
    sent = home.requests[-1].headers
    assert (sent["authorization"], sent["x-key"], sent["cookie"]) == ("Bearer t0ken", "k3y", "a=1")
    assert not {"authorization", "x-key", "cookie"} & set(other.requests[-1].headers)
