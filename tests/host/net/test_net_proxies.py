"""Requests through a proxy: what it is asked for is checked, and which URLs it is asked for."""

from __future__ import annotations

import ssl

import httpx2
import pytest
import trustme

from mcp_host.net import BlockedAddressError, Proxies, RefusedURLError, guarded_client
from support.forwardproxy import forward_proxy
from support.webservers import name_server, redirect, text, web_server

pytestmark = pytest.mark.anyio


async def test_http_is_asked_from_the_proxy_in_absolute_form() -> None:
    async with web_server({"/a": text("hi")}) as server, forward_proxy() as proxy:
        async with guarded_client(allow=["127.0.0.1"], proxies=Proxies.one(proxy.url)) as client:
            assert (await client.get(f"{server.url}/a?b=1")).text == "hi"
        assert proxy.asked == [f"GET {server.url}/a?b=1"]


@pytest.mark.parametrize("proxy_tls", [False, True])
async def test_https_goes_through_a_tunnel_and_the_certificate_is_checked(proxy_tls: bool) -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    context, proxy_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.test").configure_cert(context)
    authority.issue_cert("127.0.0.1").configure_cert(proxy_context)
    names = {"good.test": "127.0.0.1", "bad.test": "127.0.0.1"}
    async with (
        web_server({"/": text("safe")}, tls=context) as server,
        forward_proxy(names=names, auth=("me", "pass:word"), tls=proxy_context if proxy_tls else None) as proxy,
        name_server({}) as resolver,
    ):
        url = proxy.url.replace("//", "//me:pass%3Aword@")
        async with guarded_client(proxies=Proxies.one(url), resolver=resolver.resolve, verify=trust) as client:
            assert (await client.get(f"https://good.test:{server.port}/")).text == "safe"
            with pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
                await client.get(f"https://bad.test:{server.port}/")
        assert proxy.asked[0] == f"CONNECT good.test:{server.port}"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1/", BlockedAddressError),
        ("https://127.0.0.1/", BlockedAddressError),
        ("http://2130706433/", BlockedAddressError),
        ("http://127.1/", BlockedAddressError),
        ("http://0x7f.1/", BlockedAddressError),
        ("http://[::ffff:10.0.0.1]/", BlockedAddressError),
        ("https://169.254.169.254/latest/", BlockedAddressError),
        ("http://localhost/", BlockedAddressError),
        ("http://private.test/", BlockedAddressError),
        ("http://denied.test/", BlockedAddressError),
        ("http://unknown.denied.test/", BlockedAddressError),
        ("http://metadata.google.internal/", BlockedAddressError),
        ("http://intranet/", BlockedAddressError),
        ("http://printer.local/", BlockedAddressError),
        ("http://router.home.arpa./", BlockedAddressError),
        ("ftp://public.test/", RefusedURLError),
        ("http://user:pw@public.test/", RefusedURLError),
        ("http://public.test:99999/", RefusedURLError),
    ],
)
async def test_the_proxy_is_never_asked_for_what_is_not_allowed(url: str, error: type[Exception]) -> None:
    answers = {"private.test": [["8.8.8.8", "10.0.0.1"]], "denied.test": [["9.9.9.9"]], "public.test": [["8.8.8.8"]]}
    async with forward_proxy() as proxy, name_server(answers) as names, web_server({"/": redirect(url)}) as server:
        proxies = Proxies.one(proxy.url)
        deny = ["9.9.9.9", "unknown.denied.test"]

        async def resolve(host: str, port: int) -> list[str]:
            known = {"2130706433": "127.0.0.1", "127.1": "127.0.0.1", "0x7f.1": "127.0.0.1"}
            return [known[host]] if host in known else await names.resolve(host, port)

        async with guarded_client(deny=deny, proxies=proxies, resolver=resolve) as client:
            with pytest.raises(error):
                await client.get(url)
        assert proxy.asked == []
        allow = [server.address]
        async with guarded_client(allow=allow, deny=deny, proxies=proxies, resolver=resolve) as client:
            with pytest.raises(error):
                await client.get(server.url)
        assert proxy.asked == [f"GET {server.url}/"]


@pytest.mark.parametrize("name", ["public.test", "wiki.corp"])
async def test_a_name_that_only_the_proxy_resolves_is_asked_for_if_it_is_public_or_allowed(name: str) -> None:
    async with (
        web_server({"/": text("hi")}) as server,
        forward_proxy(names={name: "127.0.0.1"}) as proxy,
        name_server({}) as none,
        guarded_client(allow=["wiki.corp"], proxies=Proxies.one(proxy.url), resolver=none.resolve) as client,
    ):
        assert (await client.get(f"http://{name}:{server.port}/")).text == "hi"


async def test_errors_of_the_proxy_name_it_and_not_its_password() -> None:
    async with forward_proxy(auth=("me", "right")) as proxy:
        wrong = Proxies.one(proxy.url.replace("//", "//me:hunter2@"))
        async with guarded_client(allow=["127.0.0.1"], proxies=wrong) as client:
            with pytest.raises(httpx2.ProxyError, match="407 Proxy Authentication Required"):
                await client.get("https://127.0.0.1:1/")
            assert (await client.get("http://127.0.0.1:1/")).status_code == 407
        port = proxy.port
    async with guarded_client(
        allow=["127.0.0.1"], proxies=Proxies.one(f"http://me:hunter2@127.0.0.1:{port}")
    ) as client:
        with pytest.raises(httpx2.ProxyError, match=rf"^the proxy 127\.0\.0\.1:{port} cannot be reached$"):
            await client.get("https://127.0.0.1:1/")
    assert "hunter2" not in repr(wrong)


async def test_a_socks_proxy_without_its_library_is_an_error_that_names_it() -> None:
    async with guarded_client(allow=["127.0.0.1"], proxies=Proxies.one("socks5://127.0.0.1:1")) as client:
        with pytest.raises(httpx2.ProxyError, match=r"httpx2\[socks\]"):
            await client.get("http://127.0.0.1:1/")


# Which URLs


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://a.test/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://a.test/", None),
        ({"HTTPS_PROXY": "p:1"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "socks5h://p:1"}, "http://a.test/", "socks5h://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "https://q"}, "https://a.test/", "https://q"),
        ({"HTTP_PROXY": "http://p:1", "http_proxy": "http://q:2"}, "http://a.test/", "http://q:2"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.test/", None),
        ({"HTTPS_PROXY": ""}, "https://a.test/", None),
        ({}, "https://a.test/", None),
    ],
)
def test_the_environments_proxies_are_read(environ: dict[str, str], url: str, proxy: str | None) -> None:
    found = Proxies.from_environment(environ).of(httpx2.URL(url))
    assert (found and found.url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("a.test", "http://a.test/", True),
        ("a.test", "http://b.a.test/", True),
        ("a.test", "http://ba.test/", False),
        (".a.test", "http://b.a.test/", True),
        ("*.a.test", "http://b.a.test/", True),
        ("x.test, A.TEST", "http://a.test./", True),
        ("x.test a.test", "http://a.test/", True),
        ("a.test:8080", "http://a.test:8080/", True),
        ("a.test:8080", "http://a.test/", False),
        ("a.test:443", "https://a.test/", True),
        ("*", "http://a.test/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.1.2.3", "http://10.1.2.3:99/", True),
        ("::1", "http://[::1]/", True),
        ("[::1]:80", "http://[::1]/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("test", "http://a.test/", True),
        ("", "http://a.test/", False),
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, url: str, direct: bool) -> None:
    proxies = Proxies.from_environment({"ALL_PROXY": "http://p:1", "NO_PROXY": no_proxy})
    assert (proxies.of(httpx2.URL(url)) is None) is direct


async def test_a_host_without_a_proxy_is_reached_directly_with_the_guard_in_force() -> None:
    async with web_server({"/": text("hi")}) as server, forward_proxy() as proxy:
        proxies = Proxies.one(proxy.url, direct=["127.0.0.0/8"])
        async with guarded_client(allow=[server.address], proxies=proxies) as client:
            assert (await client.get(server.url)).text == "hi"
            with pytest.raises(BlockedAddressError):
                await client.get("http://127.0.0.1:1/")
        assert proxy.asked == []


@pytest.mark.parametrize("url", ["ftp://p", "http://", "http://a b", "http://p:x", "javascript:x", "http://hunter2@"])
def test_what_is_not_a_proxy_is_an_error_without_the_url(url: str) -> None:
    with pytest.raises(ValueError, match="proxy") as caught:
        Proxies.one(url)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY: "):
        Proxies.from_environment({"HTTPS_PROXY": url})
