"""The keys of an issuer under many requests at once: one fetches, the others wait only if they must."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from mcp_host.server.auth import jwks
from mcp_host.server.auth.jwks import FRESH, PAUSE_WITHOUT, KeysUnavailableError, SigningKeys
from support.issuer import EC_KEY, jwk

pytestmark = pytest.mark.anyio

DOCUMENT = {"keys": [jwk(EC_KEY, "ec")]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_from(fetch: Callable[[str], Awaitable[dict[str, Any]]], clock: Clock) -> SigningKeys:
    return SigningKeys("https://issuer.example", "https://issuer.example/jwks", ["ES256"], fetch=fetch, clock=clock)


async def test_requests_at_the_same_time_fetch_the_keys_once() -> None:
    asked = 0

    async def fetch(url: str) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return DOCUMENT

    keys = keys_from(fetch, Clock())
    found = await asyncio.gather(*(keys.find("ec", "ES256") for _ in range(10)))
    assert None not in found
    assert asked == 1


async def test_who_has_waited_for_a_later_try_does_not_try_again() -> None:
    """Each fetch takes longer than the pause after it. The second one began after the third request had come."""
    clock, asked = Clock(), 0

    async def fetch(url: str) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        await anyio.wait_all_tasks_blocked()
        clock.now += PAUSE_WITHOUT + 1
        raise KeysUnavailableError("down")

    keys = keys_from(fetch, clock)
    async with anyio.create_task_group() as group:
        group.start_soon(keys.refresh)
        await asyncio.sleep(0)
        for _ in range(3):
            clock.now += 1
            group.start_soon(keys.refresh)
            await asyncio.sleep(0)
    assert asked == 2


async def test_old_keys_are_used_while_one_request_fetches_new_ones() -> None:
    clock, answers = Clock(), anyio.Event()
    answers.set()

    async def fetch(url: str) -> dict[str, Any]:
        await answers.wait()
        return DOCUMENT

    keys = keys_from(fetch, clock)
    await keys.find("ec", "ES256")
    clock.now += FRESH + 1
    answers = anyio.Event()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(keys.find, "ec", "ES256")
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(jwks.LONGEST / 2):  # before the fetch is given up
                assert await keys.find("ec", "ES256") is not None
            answers.set()


async def test_an_issuer_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "LONGEST", 0.05)

    async def fetch(url: str) -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(20):
        with pytest.raises(KeysUnavailableError, match="the issuer did not answer within"):
            await keys_from(fetch, Clock()).find("ec", "ES256")
