"""Has its callers come back for the answer."""

import asyncio

from mcp_host import Context, Plugin

plugin = Plugin()
nudged = asyncio.Event()


@plugin.tool
async def nudge() -> None:
    """Let the other tool go on."""
    nudged.set()


@plugin.tool
async def send_away(times: int, ctx: Context) -> str:
    """End the stream of the call, and wait for a nudge, as often as asked."""
    for time in range(times):
        await ctx.report_progress(time + 1)
        await ctx.close_sse_stream()
        await nudged.wait()
        nudged.clear()
    return "here again"
