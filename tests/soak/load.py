"""What clients do to the soaked host, one deed at a time; each ends in an answer or in an error that it should."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference, TextContent

LONGEST = 60.0
"""Seconds after which something that was asked counts as lost."""

VICTIM = Path(__file__).with_name("victim.py")

PAUSED = ("plugin shaky is paused after", "plugin shaky is busy", "plugin shaky is stuck")
FAULTS = {
    "crash": ("Tool crash failed unexpectedly",),
    "leave": ("Tool leave failed unexpectedly",),
    "refuse": ("not today",),
    "hang": ("did not finish within 0.2 s",),
    "outlast": ("did not finish within 0.1 s",),
    "flood": (),
    "exit_task": (),
    "wander": (),
}


@dataclass
class Tally:
    """How often each deed was done, and what came of it that nobody expects."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.done += other.done
        self.wrong += other.wrong


Deed = Callable[[Client], Awaitable[None]]


async def _ask(client: Client) -> None:
    """One of everything that can be asked, in turn."""
    result = await client.call_tool("calculate_statistics", {"numbers": [1, 2, 6], "operation": "mean"})
    assert not result.is_error, result
    await client.list_tools(cache_mode="bypass")
    await client.read_resource("stats://datasets", cache_mode="bypass")
    await client.get_prompt("analyze_dataset", {"dataset": "penguins"})
    await client.complete(PromptReference(name="analyze_dataset"), {"name": "dataset", "value": "p"})
    await client.complete(
        ResourceTemplateReference(uri="stats://datasets/{name}/schema"), {"name": "name", "value": ""}
    )
    await client.list_resources(cache_mode="bypass")
    await client.list_resource_templates(cache_mode="bypass")
    await client.list_prompts(cache_mode="bypass")


async def _ask_wrongly(client: Client) -> None:
    result = await client.call_tool("calculate_statistics", {"numbers": "none"})
    assert result.is_error, result
    for request in (
        client.call_tool("no_such_tool", {}),
        client.read_resource("no://such"),
        client.get_prompt("no_such_prompt"),
    ):
        try:
            await request
        except MCPError:
            continue
        raise AssertionError("what is not there was answered")


async def _fault(client: Client) -> None:
    name = random.choice(list(FAULTS))
    try:
        result = await client.call_tool(name, {})
    except MCPError as error:
        # A reload takes the plugin away for a while.
        if not error.error.message.startswith(f"Unknown tool: {name}"):
            raise
        return
    block = result.content[0]
    assert isinstance(block, TextContent)
    expected = (*FAULTS[name], *PAUSED)
    assert not result.is_error or any(text in block.text for text in expected), f"{name}: {block.text}"


async def _fault_of_a_resource(client: Client) -> None:
    try:
        await client.read_resource("shaky://crash", cache_mode="bypass")
    except MCPError as error:
        expected = ("Resource shaky://crash failed unexpectedly", "Unknown resource: shaky://crash", *PAUSED)
        if not any(text in error.error.message for text in expected):
            raise
        return
    raise AssertionError("a crash was answered")


async def _cancel(client: Client) -> None:
    """Give up a call once it runs."""
    running = anyio.Event()

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        running.set()

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: client.call_tool("hold", {}, progress_callback=heard))
        await running.wait()
        group.cancel_scope.cancel()


async def _listen(client: Client) -> None:
    """Subscribe, and drop the subscription."""
    async with client.listen(tools_list_changed=True, resource_subscriptions=["stats://datasets"]):
        await client.list_tools(cache_mode="bypass")


ANY_ERA: dict[str, Deed] = {
    "ask": _ask,
    "ask wrongly": _ask_wrongly,
    "fault": _fault,
    "fault of a resource": _fault_of_a_resource,
    "cancel": _cancel,
}
MODERN: dict[str, Deed] = {**ANY_ERA, "listen and drop": _listen}


async def abandon(url: str, *, listening: bool) -> None:
    """Open a session of the handshake era, call, and go without a word; with `listening`, while its stream is open."""
    headers = {"Accept": "application/json, text/event-stream"}
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "deserter", "version": "1"}}
    async with httpx2.AsyncClient(timeout=LONGEST) as http:
        answer = await http.post(
            url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}, headers=headers
        )
        headers |= {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-06-18"}
        await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
        call = {"name": "calculate_statistics", "arguments": {"numbers": [1, 2], "operation": "mean"}}
        answer = await http.post(
            url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}, headers=headers
        )
        assert '"isError":true' not in answer.text, answer.text
        if listening:
            async with http.stream("GET", url, headers=headers) as stream:
                assert stream.status_code == 200


async def kill(url: str) -> None:
    """Have a client process die in the middle of a call."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", VICTIM, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"holding\n"
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _counted(tally: Tally, name: str) -> AsyncIterator[None]:
    """Note what came of a deed: nothing that was asked may be lost."""
    try:
        with anyio.fail_after(LONGEST):
            yield
    except* Exception as group:
        tally.wrong += [f"{name}: {error!r}" for error in _leaves(group)]
    tally.done[name] += 1


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


async def deeds(client: Client, tally: Tally, era: str, number: int) -> None:
    """Do so many deeds at one client."""
    known = MODERN if era == "modern" else ANY_ERA
    for name in random.choices(list(known), k=number):
        async with _counted(tally, f"{era}: {name}"):
            await known[name](client)


async def load(url: str, seconds: float) -> Tally:
    """Keep two clients of 2026-07-28 busy, one of the handshake era that comes and goes, and one that leaves badly."""
    tally = Tally()
    ends = anyio.current_time() + seconds

    async def modern() -> None:
        async with Client(url) as client:
            while anyio.current_time() < ends:
                await deeds(client, tally, "modern", 1)

    async def legacy() -> None:
        while anyio.current_time() < ends:
            async with _counted(tally, "legacy: session"), Client(url, mode="legacy") as client:
                await deeds(client, tally, "legacy", 5)

    async def unkind() -> None:
        while anyio.current_time() < ends:
            for listening in (False, True):
                async with _counted(tally, "session abandoned"):
                    await abandon(url, listening=listening)
            async with _counted(tally, "client killed"):
                await kill(url)

    async with anyio.create_task_group() as group:
        for worker in (modern, modern, legacy, unkind):
            group.start_soon(worker)
    return tally
