"""What clients may subscribe to, and how much, in both protocol eras."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
from mcp import MCPError
from mcp.types import INVALID_PARAMS, JSONRPCRequest

from mcp_host import Plugin
from mcp_host.catalog.catalog import Catalog
from mcp_host.server.interest import Interest, Principal, Subscriber
from mcp_host.server.messages import LARGEST_LISTEN, NotAMessageError, parse
from mcp_host.testing import connect

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]

each_era = pytest.mark.parametrize("mode", ["auto", "legacy"])


def rows() -> Plugin:
    plugin = Plugin()
    plugin.resource("big://row/{n}")(lambda n: n)
    return plugin


async def subscribe(client: Any, mode: str, uris: list[str]) -> list[str]:
    """Subscribe to the resources, and return which of them the server names in its acknowledgement."""
    if mode == "auto":
        async with client.listen(resource_subscriptions=uris) as subscription:
            return list(subscription.honored.resource_subscriptions or ())
    for uri in uris:
        await client.subscribe_resource(uri)
    return uris


@each_era
@pytest.mark.parametrize(
    ("uris", "what"),
    [
        ([f"big://row/{n}" for n in range(1001)], "at most 1000 resources in one session or stream"),
        ([f"big://row/{n}{'x' * 1000}" for n in range(300)], "URIs of at most 262144 bytes in one session or stream"),
        ([f"big://row/{n}{'é' * 500}" for n in range(300)], "URIs of at most 262144 bytes in one session or stream"),
    ],
)
async def test_the_number_and_the_bytes_of_one_subscriber_are_bounded(mode: Any, uris: list[str], what: str) -> None:
    async with connect(rows(), mode=mode) as client:
        with pytest.raises(MCPError, match=what) as caught:
            await subscribe(client, mode, uris)
        assert caught.value.error.code == INVALID_PARAMS


@each_era
async def test_a_resource_that_is_asked_for_repeatedly_counts_once(mode: Any) -> None:
    async with connect(rows(), mode=mode) as client:
        uris = await subscribe(client, mode, ["big://row/1", "big://row/2"] * 600)
    assert list(dict.fromkeys(uris)) == ["big://row/1", "big://row/2"]
    assert mode == "legacy" or len(uris) == 2


@pytest.mark.parametrize("unserved", ["nobody://serves/this", "big://row", "big://row/../../etc/passwd"])
@each_era
async def test_nobody_can_subscribe_to_what_is_not_served(mode: Any, unserved: str) -> None:
    async with connect(rows(), mode=mode) as client:
        if mode == "legacy":
            with pytest.raises(MCPError, match="Unknown resource"):
                await subscribe(client, mode, [unserved])
        else:
            assert await subscribe(client, mode, [unserved, "big://row/1"]) == ["big://row/1"]
            assert await subscribe(client, mode, [unserved]) == []


ALICE: Principal = ("app", "https://i.example", "alice")
BOB: Principal = ("app", "https://i.example", "bob")


def fill(subscriber: Subscriber, number: int, principal: Principal, uri: str = "big://row/") -> None:
    for index in range(1000):
        subscriber.add(f"{uri}{number}-{index}", principal, "2026-07-28")


@pytest.mark.parametrize("principal", [ALICE, None])
def test_the_sessions_and_streams_of_one_principal_are_bounded_together(principal: Principal) -> None:
    interest = Interest(Catalog)
    subscribers = [Subscriber(interest) for _ in range(10)]
    for number, subscriber in enumerate(subscribers):
        fill(subscriber, number, principal)
    with closing(Subscriber(interest)) as another:
        with pytest.raises(MCPError, match="at most 10000 resources in one client"):
            another.add("big://row/x", principal, "2026-07-28")
        another.add("big://row/x", BOB, "2026-07-28")
        subscribers[0].remove("big://row/0-0")
        another.add("big://row/y", principal, "2026-07-28")
    for subscriber in subscribers:
        subscriber.close()
    assert interest.amounts == {}
    assert interest._held == {}


def test_the_bytes_of_one_principal_are_bounded_too() -> None:
    interest = Interest(Catalog)
    subscribers = [Subscriber(interest) for _ in range(9)]
    for number, subscriber in enumerate(subscribers[:8]):
        fill(subscriber, number, ALICE, f"big://{'x' * 235}/")
    with pytest.raises(MCPError, match="URIs of at most 2097152 bytes in one client"):
        fill(subscribers[8], 8, ALICE, f"big://{'x' * 235}/")


def test_a_request_for_a_stream_that_is_kept_has_a_smaller_limit_than_others() -> None:
    def request(method: str, size: int) -> bytes:
        return json.dumps(
            {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": {"x": "x" * size}}}
        ).encode()

    with pytest.raises(NotAMessageError, match="may have at most 393216 bytes") as caught:
        parse(request("subscriptions/listen", LARGEST_LISTEN), "line")
    assert caught.value.answer.id == 7
    assert isinstance(parse(request("subscriptions/listen", 300 * 1024), "line"), JSONRPCRequest)
    assert isinstance(parse(request("tools/call", LARGEST_LISTEN), "line"), JSONRPCRequest)
