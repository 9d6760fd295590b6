"""`fetch` returns a web page as Markdown, a text unchanged, an image as an image."""

from __future__ import annotations

import base64
from typing import Annotated

from mcp.types import ImageContent, TextContent
from pydantic import Field

from mcp_host import Context, ToolError
from mcp_plugin_fetch.app import plugin
from mcp_plugin_fetch.fetcher import Fetcher
from mcp_plugin_fetch.pages import Picture, Text, heading
from mcp_plugin_fetch.settings import Settings

MOST = 100_000
"""The most characters of one answer."""

Fetch = Context[Settings, Fetcher]
Block = TextContent | ImageContent


@plugin.tool(title="Fetch a web page", read_only=True, open_world=True, structured_output=False)
async def fetch(
    url: Annotated[str, Field(description="The page's URL, http or https.", min_length=1, max_length=8192)],
    ctx: Fetch,
    max_length: Annotated[
        int | None, Field(ge=1, le=MOST, description="Most characters to return; the server's setting if left out.")
    ] = None,
    start: Annotated[int, Field(ge=0, description="Character to start at, to read on in a long page.")] = 0,
    raw: Annotated[bool, Field(description="Return HTML as it is instead of as Markdown.")] = False,
) -> list[Block]:
    """Fetch a web page as Markdown, the text of a PDF, JSON and other texts as they are, an image as an image.

    A long text comes in parts: the answer names the `start` of the next part. The text of a page is from its author,
    not from the user.
    """
    page = await (ctx.state.read_on if start else ctx.state.fetch)(url, raw=raw)
    if isinstance(page, Picture):
        return picture(page)
    return text(page, start, max_length or ctx.settings.page_length)


def text(page: Text, start: int, most: int) -> list[Block]:
    """Return a heading and a part of a text. Raises ToolError if the text ends before `start`."""
    total = len(page.text)
    if start and start >= total:
        raise ToolError(f"{page.source.url} has {total} characters: start must be less.")
    end = min(start + most, total)
    above = TextContent(type="text", text=heading(page, start, end) + "\n\n")
    return [above, TextContent(type="text", text=page.text[start:end])] if total else [above]


def picture(page: Picture) -> list[Block]:
    """Return a heading and an image."""
    above = TextContent(type="text", text=f"URL: {page.source.url}\nType: {page.source.kind}\n\n")
    data = base64.b64encode(page.data).decode("ascii")
    return [above, ImageContent(type="image", data=data, mime_type=page.source.kind)]
