"""`fetch` as a prompt: the user puts a page into the conversation."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import Message, UserMessage
from pydantic import Field

from mcp_plugin_fetch.app import plugin
from mcp_plugin_fetch.pages import Picture
from mcp_plugin_fetch.tools import Fetch, picture, text


@plugin.prompt(name="fetch", title="Read a web page")
async def fetch_prompt(
    url: Annotated[str, Field(description="The page's URL, http or https.")], ctx: Fetch
) -> list[Message]:
    """Put a web page, or the beginning of a long one, into the conversation."""
    page = await ctx.state.fetch(url, raw=False)
    blocks = picture(page) if isinstance(page, Picture) else text(page, 0, ctx.settings.page_length)
    return [UserMessage(block) for block in blocks]
