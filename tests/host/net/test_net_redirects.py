"""Where redirects may lead, which headers follow them, and that the environment's proxies are not used."""

from __future__ import annotations

import httpx2
import pytest

from mcp_host.net import (
    BlockedAddressError,
    RefusedURLError,
    guarded_client,
)
from support.webservers import Reply, redirect, text, web_server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://127.0.0.1:{inner}/", BlockedAddressError),
        ("//127.0.0.1:{inner}/", BlockedAddressError),
        ("http://localhost:{inner}/", BlockedAddressError),
        ("http://2130706433:{inner}/", BlockedAddressError),
        ("http://[::ffff:127.0.0.1]:{inner}/", BlockedAddressError),
        ("http://169.254.169.254/latest/meta-data/", BlockedAddressError),
        ("ftp://127.0.0.1:{outer}/", RefusedURLError),
        ("file:///etc/passwd", RefusedURLError),
        ("http://user:secret@127.0.0.1:{outer}/", RefusedURLError),
        ("https://127.0.0.1:{inner}/", BlockedAddressError),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_checked_like_a_url(location: str, error: type[Exception], status: int) -> None:
    async with (
        web_server({"/": text("secret")}) as inner,
        web_server() as outer,
        guarded_client(allow=[outer.address]) as client,
    ):
        to = location.format(inner=inner.port, outer=outer.port)
        outer.routes |= {"/": redirect("/hop"), "/hop": redirect(to, status)}
        with pytest.raises(error):
            await client.get(outer.url)
        assert outer.targets == ["/", "/hop"]
        assert inner.connections == 0


async def test_redirects_are_followed_and_counted() -> None:
    async with web_server() as server, guarded_client(allow=[server.address], max_redirects=3) as client:
        server.routes |= {f"/{n}": redirect(f"/{n + 1}") for n in range(10)} | {"/3": text("there")}
        response = await client.get(f"{server.url}/0")
        assert (response.text, response.url.path) == ("there", "/3")
        server.routes["/3"] = redirect("/4")
        with pytest.raises(httpx2.TooManyRedirects):
            await client.get(f"{server.url}/0")
        assert server.targets[-1] == "/3"


async def test_credentials_are_sent_only_to_their_own_origin() -> None:
    secrets = {"Authorization": "Bearer s", "X-Api-Key": "s", "Proxy-Authorization": "Basic s", "Cookie": "s=1"}
    async with (
        web_server({"/": text("other")}) as other,
        web_server({"/same": redirect("/there"), "/there": text("same"), "/away": redirect(other.url)}) as home,
        guarded_client(allow=["127.0.0.1"], headers={"User-Agent": "ua", "X-Default": "s"}) as client,
    ):
        await client.get(f"{home.url}/same", headers=secrets)
        assert home.requests[-1].headers["authorization"] == "Bearer s"
        assert home.requests[-1].headers["x-api-key"] == "s"
        await client.get(f"{home.url}/away", headers=secrets)
        sent = other.requests[-1].headers
        assert not {"authorization", "x-api-key", "proxy-authorization", "cookie", "x-default"} & set(sent)
        assert sent["user-agent"] == "ua"
        assert sent["host"] == other.address


async def test_no_cookie_is_kept() -> None:
    routes = {"/": Reply(headers={"Set-Cookie": "a=1; Path=/"})}
    async with web_server(routes) as server, guarded_client(allow=["127.0.0.1"]) as client:
        await client.get(server.url)
        await client.get(server.url)
    assert all("cookie" not in request.headers for request in server.requests)


async def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_server() as proxy, web_server({"/": text("direct")}) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with guarded_client(allow=["127.0.0.1"]) as client:
            assert (await client.get(server.url)).text == "direct"
    assert proxy.connections == 0
