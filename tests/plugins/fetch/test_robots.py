"""What the plugin does with robots.txt (RFC 9309)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from mcp import Client

from support.webservers import Answer, Reply, redirect, text, web_server

pytestmark = pytest.mark.anyio

Served = Callable[..., AbstractAsyncContextManager[Client]]
Fetched = Callable[..., Awaitable[tuple[str, str]]]
Refused = Callable[..., Awaitable[str]]

RULES = """
User-agent: *
Disallow: /private
Allow: /private/but-public
Disallow: /*.secret$

User-agent: greedybot
Disallow: /
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", True),
        ("/public", True),
        ("/private", False),
        ("/private/x", False),
        ("/private/but-public", True),
        ("/a.secret", False),
        ("/a.secret?x", True),
        ("/a.secret#part", False),
        ("/%70rivate", False),
    ],
)
async def test_what_a_site_disallows_is_not_fetched(
    served: Served, fetched: Fetched, refused: Refused, path: str, allowed: bool
) -> None:
    routes = {"/robots.txt": text(RULES), path.partition("?")[0]: text("here")}
    async with web_server(routes) as server, served() as client:
        if allowed:
            assert (await fetched(client, server.url + path))[1] == "here"
        else:
            assert "asks robots not to fetch" in await refused(client, server.url + path)
            assert server.targets == ["/robots.txt"]


async def test_the_rules_for_the_user_agent_apply(served: Served, fetched: Fetched, refused: Refused) -> None:
    routes = {"/robots.txt": text(RULES), "/private": text("here"), "/": text("here")}
    async with web_server(routes) as server:
        async with served(user_agent="GreedyBot/2.0") as client:
            assert "robots.txt" in await refused(client, server.url)
        async with served(robots=False, user_agent="GreedyBot/2.0") as client:
            assert (await fetched(client, f"{server.url}/private"))[1] == "here"
        assert server.targets == ["/robots.txt", "/private"]


async def test_robots_txt_is_read_once_and_may_itself_be_fetched(served: Served, fetched: Fetched) -> None:
    routes = {"/robots.txt": text(RULES), "/": text("a"), "/b": text("b")}
    async with web_server(routes) as server, served() as client:
        for path in ("/", "/b", "/", "/robots.txt"):
            await fetched(client, server.url + path)
    assert server.targets == ["/robots.txt", "/", "/b", "/", "/robots.txt"]


async def test_robots_txt_is_read_again_after_its_time(served: Served, fetched: Fetched, refused: Refused) -> None:
    async with web_server({"/": text("a")}) as server, served(robots_seconds=1e-9) as client:
        await fetched(client, server.url)
        server.routes["/robots.txt"] = text("User-agent: *\nDisallow: /")
        assert "robots.txt" in await refused(client, server.url)


async def endless() -> AsyncIterator[bytes]:
    yield b"User-agent: *\nDisallow: /private\n"
    while True:
        yield b"# nothing\n" * 1000


@pytest.mark.parametrize(
    ("robots", "root", "private"),
    [
        (Reply(status=404), True, True),
        (Reply(status=401), True, True),
        (Reply(status=403), True, True),
        (Reply(status=429), True, True),
        (Reply(status=500), False, False),
        (Reply(status=503), False, False),
        (Reply(head=b"garbage\r\n\r\n"), False, False),
        (Reply(body=b"x", headers={"Content-Length": "9"}), False, False),
        (redirect("/robots.txt"), True, True),
        (redirect("/elsewhere.txt"), True, False),
        (text(""), True, True),
        (text("\ufeffUser-agent: *\nDisallow: /private"), True, False),
        (Reply(body=b"\xff\xfe\0\1 nonsense"), True, True),
        (text("<html><h1>Welcome</h1>", "text/html"), True, True),
        (Reply(body=endless), True, False),
    ],
)
async def test_a_missing_robots_txt_allows_and_an_unreadable_one_disallows(
    served: Served, robots: Answer, root: bool, private: bool
) -> None:
    routes = {"/robots.txt": robots, "/elsewhere.txt": text(RULES), "/": text("a"), "/private": text("b")}
    async with web_server(routes) as server, served() as client:
        for path, allowed in (("/", root), ("/private", private)):
            result = await client.call_tool("fetch", {"url": server.url + path})
            assert result.is_error is not allowed, result.content


async def test_an_unreadable_robots_txt_is_named_and_read_again(
    served: Served, fetched: Fetched, refused: Refused
) -> None:
    async with web_server({"/": text("a"), "/robots.txt": Reply(status=503)}) as server, served() as client:
        why = await refused(client, server.url)
        assert f"{server.url}/robots.txt cannot be read (it answers 503)" in why
        server.routes["/robots.txt"] = text("")
        await fetched(client, server.url)


async def test_each_redirect_checks_the_robots_txt_of_its_target(served: Served, refused: Refused) -> None:
    async with (
        web_server({"/robots.txt": text("User-agent: *\nDisallow: /inner"), "/inner": text("x")}) as other,
        web_server(
            {"/": redirect(f"{other.url}/inner"), "/same": redirect("/private"), "/robots.txt": text(RULES)}
        ) as site,
        served() as client,
    ):
        assert f"{other.url}/robots.txt" in await refused(client, site.url)
        assert other.targets == ["/robots.txt"]
        assert f"{site.url}/robots.txt" in await refused(client, f"{site.url}/same")
        assert "/private" not in site.targets


async def test_robots_txt_goes_through_the_guard_too(served: Served, refused: Refused) -> None:
    async with (
        web_server({"/": text("secret")}) as inner,
        web_server({"/": text("a"), "/robots.txt": redirect(inner.url)}) as site,
        served(allow=[site.address]) as client,
    ):
        assert "is a loopback address" in await refused(client, site.url)
    assert (inner.connections, site.targets) == (0, ["/robots.txt"])
