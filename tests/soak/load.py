"""The clients of the soaked host: one action at a time, each with a correct result or an expected error."""

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
"""Seconds after which a request counts as lost."""

DYING = Path(__file__).with_name("dying_client.py")

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
    "swallow": ("did not finish within 0.1 s",),
    # It cancels another call of itself that has not begun.
    "cancel_all": ("Tool cancel_all failed unexpectedly", "plugin rude is paused after"),
    "stop_loop": (),
    "silence": (),
    "alter": (),
}


@dataclass
class Tally:
    """How often each action was done, and the unexpected results."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.done += other.done
        self.wrong += other.wrong


Action = Callable[[Client], Awaitable[None]]


async def _ask(client: Client) -> None:
    """Send one request of each kind."""
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
        raise AssertionError("a request for something unknown succeeded")


async def _fault(client: Client) -> None:
    name = random.choice(list(FAULTS))
    try:
        result = await client.call_tool(name, {})
    except MCPError as error:
        # A reload removes the plugin for a while.
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
    raise AssertionError("a resource that crashes was read")


async def _cancel(client: Client) -> None:
    """Cancel a call after it has started."""
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


ANY_ERA: dict[str, Action] = {
    "ask": _ask,
    "ask wrongly": _ask_wrongly,
    "fault": _fault,
    "fault of a resource": _fault_of_a_resource,
    "cancel": _cancel,
}
MODERN: dict[str, Action] = {**ANY_ERA, "listen and drop": _listen}


async def abandon(url: str, *, listening: bool) -> None:
    """Open a handshake session, call a tool, and leave without ending the session, or with its stream open."""
    headers = {"Accept": "application/json, text/event-stream"}
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "leaver", "version": "1"}}
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
    """Start a client process and kill it during a call."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", DYING, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"holding\n"
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _counted(tally: Tally, name: str) -> AsyncIterator[None]:
    """Count an action and record its errors. No request may be lost."""
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


async def act(client: Client, tally: Tally, era: str, number: int) -> None:
    """Do so many random actions with one client."""
    known = MODERN if era == "modern" else ANY_ERA
    for name in random.choices(list(known), k=number):
        async with _counted(tally, f"{era}: {name}"):
            await known[name](client)


async def load(url: str, seconds: float) -> Tally:
    """Run two busy clients of 2026-07-28, a handshake client that reconnects, and clients that leave without an end."""
    tally = Tally()
    ends = anyio.current_time() + seconds

    async def modern() -> None:
        async with Client(url) as client:
            while anyio.current_time() < ends:
                await act(client, tally, "modern", 1)

    async def legacy() -> None:
        while anyio.current_time() < ends:
            async with _counted(tally, "legacy: session"), Client(url, mode="legacy") as client:
                await act(client, tally, "legacy", 5)

    async def careless() -> None:
        while anyio.current_time() < ends:
            for listening in (False, True):
                async with _counted(tally, "session abandoned"):
                    await abandon(url, listening=listening)
            async with _counted(tally, "client killed"):
                await kill(url)

    async with anyio.create_task_group() as group:
        for worker in (modern, modern, legacy, careless):
            group.start_soon(worker)
    return tally
