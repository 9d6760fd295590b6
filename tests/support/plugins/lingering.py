"""Leaves something behind that never ends: each tool another kind, and its lifespan if LINGERING_LIFESPAN is set."""

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from mcp_host import Plugin, PluginContext

kept: list[object] = []
never = threading.Event()


async def stay() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def counting() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        await asyncio.Event().wait()


class Finalized:
    def __del__(self, wait=never.wait) -> None:  # type: ignore[no-untyped-def]
        wait()


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[None]:
    yield
    if os.environ.get("LINGERING_LIFESPAN"):
        await stay()


plugin = Plugin(lifespan=lifespan)


@plugin.tool(timeout=0.2)
async def to_thread() -> None:
    """Times out in a thread of the loop."""
    await asyncio.to_thread(never.wait)


@plugin.tool(timeout=0.2)
async def own_executor() -> None:
    """Times out in a thread of its own executor."""
    kept.append(executor := ThreadPoolExecutor(1))
    await asyncio.get_running_loop().run_in_executor(executor, never.wait)


@plugin.tool(timeout=0.2)
def plain() -> None:
    """Times out in a thread of the host."""
    never.wait()


@plugin.tool(timeout=0.2)
async def stubborn_call() -> None:
    """Swallows its cancellation."""
    await stay()


@plugin.tool()
async def stubborn_task() -> None:
    """Begins a task that swallows its cancellation."""
    kept.append(asyncio.create_task(stay()))


@plugin.tool()
async def generator() -> None:
    """Leaves a generator that waits in its `finally`."""
    kept.append(numbers := counting())
    await anext(numbers)


@plugin.tool()
def thread() -> None:
    """Begins a thread."""
    threading.Thread(target=never.wait, name="lingering thread").start()


@plugin.tool()
def exit_handler() -> None:
    """Registers an exit handler that hangs."""
    atexit.register(never.wait)


@plugin.tool()
async def blocked_loop() -> None:
    """Begins a task that blocks the event loop."""

    async def block() -> None:
        await asyncio.sleep(0.2)
        never.wait()

    kept.append(asyncio.create_task(block()))


@plugin.tool()
def finalized() -> None:
    """Leaves an object that hangs when Python is torn down."""
    sys.modules["__main__"].kept = Finalized()  # type: ignore[attr-defined]
