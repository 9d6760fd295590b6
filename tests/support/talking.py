"""Short helpers for what a test asks of a client."""

from __future__ import annotations

from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent, TextResourceContents


def text_of(result: CallToolResult) -> str:
    """Return the text of a result's only block."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def failure_of(result: CallToolResult) -> str:
    """Return the text of a tool's error."""
    assert result.is_error
    return text_of(result)


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must report an error, and return the text for the model."""
    return failure_of(await client.call_tool(tool, arguments))


async def structured(client: Client, tool: str, **arguments: Any) -> Any:
    """Call a tool that must succeed, and return its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result.structured_content


async def read(client: Client, uri: str) -> TextResourceContents:
    """Read a resource of one text."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    return contents
