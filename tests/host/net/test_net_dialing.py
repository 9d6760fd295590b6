"""Where the guarded client connects, against real servers and a real name server on loopback."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpcore2
import httpx2
import pytest
import trustme

from mcp_host.net import (
    AddressRule,
    BlockedAddressError,
    ExchangeTimeoutError,
    Guard,
    GuardError,
    RefusedURLError,
    guarded_client,
)
from mcp_host.net.dialing import GuardedBackend
from support.webservers import name_server, text, web_server

pytestmark = pytest.mark.anyio


# Addresses in URLs


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001"),
        *("0x7f.1", "017700000001", "127.0.0.01", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]"),
        *(
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[::127.0.0.1]",
        ),
        *("[2002:7f00:1::]", "127。0。0。1", "①②⑦.0.0.1", "[fe80::1%25lo]", "0177.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "127.0.0.1."),
    ],
)
async def test_no_form_of_loopback_is_dialled(host: str) -> None:
    async with web_server({"/": text("secret")}) as server, guarded_client() as client:
        with pytest.raises((GuardError, httpx2.InvalidURL, httpx2.ConnectError)):
            await client.get(f"http://{host}:{server.port}/")
        assert server.connections == 0


@pytest.mark.parametrize(
    ("host", "port", "says", "hint"),
    [
        ("127.0.0.1", 81, "127.0.0.1 is a loopback address", '"127.0.0.1:81"'),
        ("2130706433", 81, "2130706433 is a loopback address", '"127.0.0.1:81"'),
        ("localhost", 80, "localhost resolves to a loopback address", '"localhost:80"'),
        ("[::1]", 80, "::1 is a loopback address", '"[::1]:80"'),
        ("[::ffff:10.1.2.3]", 80, "::ffff:10.1.2.3 is a private address", '"10.1.2.3:80"'),
        ("169.254.169.254", 80, "169.254.169.254 is a link-local address", '"169.254.169.254:80"'),
        ("[64:ff9b::a01:203]", 80, "the NAT64 form of a private address", '"[64:ff9b::a01:203]:80"'),
    ],
)
async def test_a_refusal_says_what_the_address_is_and_how_to_allow_it(
    host: str, port: int, says: str, hint: str
) -> None:
    async with guarded_client() as client:
        with pytest.raises(BlockedAddressError) as caught:
            await client.get(f"http://{host}:{port}/")
    assert says in caught.value.what
    assert hint in caught.value.hint
    assert AddressRule.parse(caught.value.hint.split('"')[1]).port == port


async def test_a_refusal_does_not_reveal_the_address_of_an_internal_name() -> None:
    async with name_server({"db.corp": [["10.20.30.40"]]}) as names, guarded_client(resolver=names.resolve) as client:
        with pytest.raises(BlockedAddressError) as caught:
            await client.get("http://db.corp/")
    assert "10.20.30.40" not in str(caught.value)
    assert caught.value.address == "10.20.30.40"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://127.0.0.1/", "only http and https are fetched, not ftp"),
        ("file:///etc/passwd", "with a host"),
        ("ws://127.0.0.1/", "not ws"),
        ("gopher://127.0.0.1/", "not gopher"),
        ("http:///path", "with a host"),
        ("http://127.0.0.1:0/", "names port 0"),
        ("http://127.0.0.1:65536/", "names port 65536"),
        ("http://user:secret@127.0.0.1/", "contains a user name or a password"),
        ("http://user@127.0.0.1/", "contains a user name or a password"),
        ("/relative", "with a host"),
    ],
)
async def test_only_plain_web_urls_are_fetched(url: str, why: str) -> None:
    async with guarded_client(allow=["127.0.0.1"]) as client:
        with pytest.raises(RefusedURLError, match=why) as caught:
            await client.get(url)
    assert "secret" not in str(caught.value)


async def test_allowed_addresses_are_reached_and_deny_wins() -> None:
    async with web_server({"/": text("hello")}) as server:
        for allow in (f"127.0.0.1:{server.port}", "127.0.0.0/8", f"localhost:{server.port}"):
            host = "localhost" if "localhost" in allow else "127.0.0.1"
            async with guarded_client(allow=[allow], resolver=_fixed("127.0.0.1")) as client:
                assert (await client.get(f"http://{host}:{server.port}/")).text == "hello"
        async with guarded_client(allow=["127.0.0.0/8"], deny=["127.0.0.1"]) as client:
            with pytest.raises(BlockedAddressError, match="an address that the settings deny"):
                await client.get(server.url)
        async with guarded_client(deny=["example.com"], resolver=_fixed("93.184.216.34")) as client:
            with pytest.raises(BlockedAddressError, match="an address that the settings deny"):
                await client.get("http://example.com/")


# Names that change


async def test_when_the_dns_answer_changes_only_the_checked_address_is_dialled() -> None:
    async with (
        web_server({"/": text("secret")}) as inner,
        web_server({"/": text("public")}, host="127.0.0.2", port=inner.port) as good,
        name_server({"rebind.test": [["127.0.0.2"], ["127.0.0.1"]]}) as names,
        guarded_client(allow=["127.0.0.2"], resolver=names.resolve) as client,
    ):
        first = await client.get(f"http://rebind.test:{good.port}/")
        assert first.text == "public"
        # Resolved once: a second lookup before the connection would have got the private answer.
        assert names.asked == ["rebind.test"]
        assert good.requests[0].headers["host"] == f"rebind.test:{good.port}"
        with pytest.raises(BlockedAddressError):
            await client.get(f"http://rebind.test:{good.port}/")
        assert names.asked == ["rebind.test", "rebind.test"]
        assert (good.connections, inner.connections) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "::1"], ["127.0.0.2", "::ffff:7f00:1"]],
)
async def test_one_bad_address_among_good_ones_refuses_the_name(answer: list[str]) -> None:
    async with (
        web_server({"/": text("public")}, host="127.0.0.2") as server,
        name_server({"mixed.test": [answer]}) as names,
        guarded_client(allow=["127.0.0.2"], resolver=names.resolve) as client,
    ):
        with pytest.raises(BlockedAddressError):
            await client.get(f"http://mixed.test:{server.port}/")
        assert server.connections == 0


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with (
        web_server({"/": text("second")}, host="127.0.0.2") as server,
        name_server({"two.test": [["127.0.0.3", "127.0.0.2"]]}) as names,
        guarded_client(allow=["127.0.0.0/8"], resolver=names.resolve) as client,
    ):
        assert (await client.get(f"http://two.test:{server.port}/")).text == "second"
        assert len(names.asked) == 1


async def test_a_family_that_does_not_answer_does_not_use_up_the_attempts() -> None:
    async with web_server({"/": text("over IPv4")}) as server:
        answer = [f"::{n:x}" for n in range(2, 8)] + ["127.0.0.1"]
        async with guarded_client(allow=["127.0.0.1", "::/96"], resolver=_fixed(*answer)) as client:
            assert (await client.get(f"http://both.test:{server.port}/")).text == "over IPv4"


@pytest.mark.parametrize("answer", [[], ["127.1"], ["not an address"], ["8.8.8.8"] * 65])
async def test_an_answer_that_is_none_is_an_error(answer: list[str]) -> None:
    async with guarded_client(resolver=_fixed(*answer)) as client:
        with pytest.raises((httpx2.ConnectError, BlockedAddressError)):
            await client.get("http://odd.test/")


@pytest.mark.parametrize("host", ["no-such-name.test", f"{'a' * 70}.test", "a..b", "exa mple.test"])
async def test_a_name_that_does_not_resolve_is_a_connection_error(host: str) -> None:
    async with guarded_client() as client:
        with pytest.raises((httpx2.ConnectError, httpx2.InvalidURL)):
            await client.get(f"http://{host}/")


async def test_a_resolver_that_hangs_is_stopped() -> None:
    async def hang(host: str, port: int) -> Iterable[str]:
        await anyio.sleep_forever()
        return ()

    async with guarded_client(resolver=hang, timeout=0.2) as client:
        with pytest.raises((httpx2.ConnectTimeout, ExchangeTimeoutError)):
            await client.get("http://slow.test/")


async def test_an_address_that_does_not_answer_is_a_connection_error() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        port = bound.getsockname()[1]
        async with guarded_client(allow=["127.0.0.0/8"], resolver=_fixed("127.0.0.1", "127.0.0.2")) as client:
            for host in ("127.0.0.1", "none.test"):
                with pytest.raises(httpx2.ConnectError):
                    await client.get(f"http://{host}:{port}/")


async def test_resolving_and_connecting_share_one_timeout() -> None:
    async def hang(host: str, port: int) -> Iterable[str]:
        await anyio.sleep_forever()
        return ()

    with anyio.fail_after(30), pytest.raises(httpcore2.ConnectTimeout, match=r"slow\.test did not answer in time"):
        await GuardedBackend(Guard(resolver=hang)).connect_tcp("slow.test", 80, timeout=0.05)


async def test_a_connection_to_another_address_is_closed_before_anything_is_sent() -> None:
    class Detour(httpcore2.AnyIOBackend):
        async def connect_tcp(self, host: str, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
            return await super().connect_tcp("127.0.0.1", *args, **kwargs)

    async with web_server({"/": text("secret")}) as server:
        backend = GuardedBackend(Guard(allow=["127.0.0.2"]), Detour())
        with pytest.raises(BlockedAddressError, match="another address than the one dialled"):
            await backend.connect_tcp("127.0.0.2", server.port, timeout=30)
        assert server.requests == []


async def test_a_socket_file_is_not_dialled() -> None:
    with pytest.raises(BlockedAddressError, match="a socket file"):
        await GuardedBackend(Guard()).connect_unix_socket("/run/docker.sock")


# TLS


@asynccontextmanager
async def tls_server(authority: trustme.CA, *names: str) -> AsyncIterator[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    async with web_server({"/": text("over TLS")}, tls=context) as server:
        yield server


async def test_the_certificate_is_checked_against_the_name_not_the_address() -> None:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    names = {"site.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
    async with tls_server(authority, "site.test") as server, name_server(names) as resolver:
        client = guarded_client(allow=["127.0.0.1"], resolver=resolver.resolve, verify=trust)
        async with client:
            response = await client.get(f"https://site.test:{server.port}/")
            assert response.text == "over TLS"
            assert server.requests[0].server_name == "site.test"
            assert server.requests[0].headers["host"] == f"site.test:{server.port}"
            with pytest.raises(httpx2.ConnectError, match=r"other\.test"):
                await client.get(f"https://other.test:{server.port}/")
            with pytest.raises(httpx2.ConnectError, match=r"127\.0\.0\.1"):
                await client.get(f"https://127.0.0.1:{server.port}/")


async def test_an_unknown_authority_is_refused() -> None:
    async with (
        tls_server(trustme.CA(), "site.test") as server,
        guarded_client(allow=["127.0.0.1"], resolver=_fixed("127.0.0.1")) as client,
    ):
        with pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
            await client.get(f"https://site.test:{server.port}/")


def _fixed(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve
