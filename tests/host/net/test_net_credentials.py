"""Headers that are for one host reach that host, on every hop, and no other."""

from __future__ import annotations

import httpx2
import pytest

from mcp_host.net import HostHeaders, Proxies, RefusedURLError, guarded_client
from support.forwardproxy import forward_proxy
from support.webservers import redirect, text, web_server

pytestmark = pytest.mark.anyio

SECRET = {"Authorization": "Bearer s3cret", "X-Api-Key": "k3y", "Cookie": "session=c00kie"}
NAMES = {"authorization", "x-api-key", "cookie"}


async def test_a_hosts_headers_are_sent_to_it_only() -> None:
    async with web_server({"/": text("b")}) as other, web_server() as home:
        home.routes |= {
            "/": text("a"),
            "/same": redirect("/"),
            "/away": redirect(other.url),
            "/name": redirect(f"http://localhost:{home.port}/"),
        }
        other.routes["/back"] = redirect(f"{home.url}/")
        headers = [HostHeaders(home.address, SECRET)]
        async with guarded_client(allow=["127.0.0.1", "localhost"], host_headers=headers) as client:
            for path in ("/", "/same", "/away", "/name"):
                await client.get(home.url + path)
            await client.get(f"{other.url}/back")
    assert [set(request.headers) & NAMES for request in other.requests] == [set(), set()]
    by_target = [(request.target, "x-api-key" in request.headers) for request in home.requests]
    assert by_target == [
        *[("/", True), ("/same", True), ("/", True), ("/away", True), ("/name", True)],
        ("/", False),  # by another name
        ("/", True),  # back from the other host
    ]
    assert home.requests[0].headers["authorization"] == "Bearer s3cret"
    assert home.requests[0].headers["cookie"] == "session=c00kie"


async def test_each_host_of_a_chain_gets_its_own() -> None:
    async with web_server({"/": text("b")}) as two, web_server({"/": redirect(two.url)}) as one:
        headers = [HostHeaders(one.address, {"X-Key": "one"}), HostHeaders(two.address, {"X-Key": "two", "X-Two": "2"})]
        two.routes["/"] = redirect(f"{one.url}/end")
        one.routes["/end"] = text("end")
        async with guarded_client(allow=["127.0.0.1"], host_headers=headers) as client:
            await client.get(one.url)
    assert [request.headers.get("x-key") for request in (*one.requests, *two.requests)] == ["one", "one", "two"]
    assert "x-two" not in one.requests[1].headers


async def test_without_a_port_another_port_gets_them_only_if_the_caller_named_it() -> None:
    async with web_server({"/": text("b")}) as other, web_server({"/": redirect(other.url)}) as home:
        headers = [HostHeaders("127.0.0.1", SECRET)]
        async with guarded_client(allow=["127.0.0.1"], host_headers=headers) as client:
            await client.get(home.url)
            await client.get(other.url)
    assert [NAMES & set(request.headers) for request in (*home.requests, *other.requests)] == [NAMES, set(), NAMES]


@pytest.mark.parametrize("through_a_proxy", [False, True])
async def test_over_plain_http_they_stay_here_unless_it_is_allowed(through_a_proxy: bool) -> None:
    async with web_server({"/": text("hi")}) as server, forward_proxy(names={"api.test": "127.0.0.1"}) as proxy:

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        url = f"http://api.test:{server.port}/"
        proxies = Proxies.one(proxy.url) if through_a_proxy else None
        for allowed in (False, True):
            headers = [HostHeaders("api.test", SECRET, allow_http=allowed)]
            async with guarded_client(
                allow=["api.test"], host_headers=headers, resolver=resolve, proxies=proxies
            ) as client:
                if allowed:
                    await client.get(url)
                else:
                    with pytest.raises(
                        RefusedURLError, match=r"headers for api\.test in the settings are sent over https"
                    ):
                        await client.get(url)
                    assert server.requests == []
        assert set(server.requests[0].headers) >= NAMES


@pytest.mark.parametrize(
    ("host", "url", "matches"),
    [
        ("api.test", "https://API.test/", True),
        ("api.test", "https://api.test./", True),
        ("api.test", "https://api.test.evil.test/", False),
        ("api.test", "https://a.api.test/", False),
        ("api.test:443", "https://api.test/", True),
        ("api.test:443", "https://api.test:8443/", False),
        ("10.0.0.1", "https://[::ffff:10.0.0.1]/", True),
        ("[::1]:8000", "http://[::1]:8000/", True),
        ("localhost", "http://localhost:9/", True),
    ],
)
def test_a_host_is_itself_in_every_form(host: str, url: str, matches: bool) -> None:
    assert HostHeaders(host, SECRET).is_for(httpx2.URL(url), redirected=False) is matches


def test_a_network_is_not_a_host() -> None:
    with pytest.raises(ValueError, match="name one host"):
        HostHeaders("10.0.0.0/8", SECRET)
    assert "s3cret" not in repr(HostHeaders("api.test", SECRET))
