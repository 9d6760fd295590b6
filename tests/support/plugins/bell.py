"""Rings, and walks at its client's pace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from mcp_host import Context, Plugin, PluginContext


@asynccontextmanager
async def lifespan(plugin: PluginContext) -> AsyncIterator[anyio.Semaphore]:
    yield anyio.Semaphore(0)


plugin = Plugin(lifespan=lifespan)


@plugin.tool
async def touch(uri: str, ctx: Context) -> str:
    """Say that a resource has changed."""
    await ctx.notify_resource_updated(uri)
    return "touched"


@plugin.tool
async def walk(steps: int, ctx: Context) -> str:
    """Report each step, and wait for a `go` after it."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await ctx.state.acquire()
    return "walked"


@plugin.tool
async def go(ctx: Context) -> str:
    """Let the walker take a step."""
    ctx.state.release()
    return "gone"


@plugin.tool
async def nap(ctx: Context) -> str:
    """End the stream of the answer before there is one, where it can be resumed."""
    await ctx.close_sse_stream()
    return "slept"
