"""Tools that change the lists of tools and of prompts."""

from __future__ import annotations

from typing import Any

from mcp_host import Context, Prompt, Tool


async def test_trigger_tool_change(ctx: Context) -> str:
    """Show or hide a tool."""
    return await _change(TOOLS, _LATE_TOOL, ctx)


async def test_trigger_prompt_change(ctx: Context) -> str:
    """Show or hide a prompt."""
    return await _change(PROMPTS, _LATE_PROMPT, ctx)


async def _change(items: list[Any], late: Any, ctx: Context) -> str:
    if late in items:
        items.remove(late)
    else:
        items.append(late)
    assert await ctx.plugin.refresh()
    return "changed"


def _late() -> str:
    """It comes and goes."""
    return "late"


_LATE_TOOL, _LATE_PROMPT = Tool(_late, name="late"), Prompt(_late, name="late")

TOOLS = [Tool(test_trigger_tool_change), Tool(test_trigger_prompt_change)]
PROMPTS: list[Prompt] = []
