"""Long lists are served page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS

from mcp_host import Context, Plugin, Prompt, Resource, SchemaTool
from mcp_host.server.hostserver import HostServer
from mcp_host.testing import connect, make_host
from support.parts import plugin_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])

KINDS = {
    "list_tools": "tools",
    "list_resources": "resources",
    "list_resource_templates": "resource_templates",
    "list_prompts": "prompts",
}


async def nothing(arguments: Mapping[str, Any], context: Context) -> str:
    return ""


def many(count: int) -> Plugin:
    """Return a plugin with so many items of each kind."""
    parts: list[Any] = []
    for number in range(count):
        parts += [
            SchemaTool(f"tool{number}", {"type": "object"}, nothing),
            Resource(f"data://{number}", lambda: "", name=f"resource{number}"),
            Resource(f"data{number}://{{x}}", lambda x: "", name=f"template{number}"),
            Prompt(lambda: "", name=f"prompt{number}"),
        ]
    return plugin_of(*parts)


def names(items: Iterable[Any]) -> list[str]:
    return [item.name for item in items]


async def pages(client: Client, method: str) -> list[list[str]]:
    found, cursor = [], None
    while True:
        page = await getattr(client, method)(cursor=cursor, cache_mode="bypass")
        found.append(names(getattr(page, KINDS[method])))
        cursor = page.next_cursor
        if cursor is None:
            return found


@each_era
@pytest.mark.parametrize("method", KINDS)
async def test_each_item_is_on_one_page_in_its_order(mode: str, method: str) -> None:
    async with connect(many(5), mode=mode, options={"host": {"page_size": 2}}) as client:
        found = await pages(client, method)
        assert [len(page) for page in found] == [2, 2, 2 if method == "list_resources" else 1]
        listed = [name for page in found for name in page if name != "plugins"]
        assert [name[-1] for name in listed] == list("01234")
        # Again, from what is kept.
        assert await pages(client, method) == found


@each_era
@pytest.mark.parametrize("count", [1, 3, 4])
async def test_a_list_that_ends_with_its_page_has_no_further_page(mode: str, count: int) -> None:
    async with connect(many(count), mode=mode, options={"host": {"page_size": count}}) as client:
        assert [len(page) for page in await pages(client, "list_tools")] == [count]


@each_era
@pytest.mark.parametrize("cursor", ["", "x", "dG9vbDE=", "dG9vbDI", "/w==", "ÿ", "dG9vbDk5", "bm90aGluZw=="])
async def test_what_begins_no_page_is_refused(mode: str, cursor: str) -> None:
    # dG9vbDE= is tool1, which is in the middle of a page.
    async with connect(many(5), mode=mode, options={"host": {"page_size": 2}}) as client:
        with pytest.raises(MCPError, match="list it again from its beginning") as raised:
            await client.list_tools(cursor=cursor)
    assert raised.value.code == INVALID_PARAMS


@each_era
async def test_the_list_has_changed_between_two_pages(mode: str) -> None:
    plugin = many(5)
    host = make_host(plugin, options={"host": {"page_size": 2}})
    async with host.running(), Client(HostServer(host), mode=mode) as client:
        first = await client.list_tools(cache_mode="bypass")
        del plugin._tools[0]
        (loaded,) = host.plugins
        await host.refresh(loaded)
        with pytest.raises(MCPError, match="list it again from its beginning"):
            await client.list_tools(cursor=first.next_cursor, cache_mode="bypass")
        assert [len(page) for page in await pages(client, "list_tools")] == [2, 2]


async def test_only_pages_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host(many(6), options={"host": {"page_size": 2}})
    server = HostServer(host)
    async with host.running(), Client(server) as client:
        await pages(client, "list_tools")
        for number in range(6):
            for cursor in (f"tool{number}", f"other{number}"):
                with pytest.raises(MCPError):
                    await client.list_tools(cursor=cursor)
        assert len(server._listings) == 3


async def test_other_requests_have_their_turn_while_a_page_is_made() -> None:
    tools = [SchemaTool(f"tool{number}", {"type": "object"}, nothing) for number in range(1000)]
    host = make_host(plugin_of(*tools))
    server = HostServer(host)
    async with host.running():
        making = asyncio.ensure_future(server._page(host.catalog, "tools/list", "2025-11-25", None))
        turns = 0
        while not making.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(making.result()["tools"]) == 1000
    assert turns >= 1000 / 50


async def test_ten_thousand_tools() -> None:
    tools = [SchemaTool(f"tool{number}", {"type": "object"}, nothing) for number in range(10_000)]
    async with connect(plugin_of(*tools)) as client:
        found = await pages(client, "list_tools")
    assert [len(page) for page in found] == [1000] * 10
    assert found[9][999] == "tool9999"
