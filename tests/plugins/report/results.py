"""Helpers that read results in the tests of the report plugin."""

from __future__ import annotations

from mcp import Client
from mcp.types import CallToolResult, TextContent, TextResourceContents

from mcp_plugin_report.models import Report


def report_of(result: CallToolResult) -> Report:
    """Return the report of a successful call."""
    assert not result.is_error, result.content
    return Report.model_validate(result.structured_content)


def text_of(result: CallToolResult) -> str:
    """Return the first block of a result, which is text."""
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def read(client: Client, uri: str) -> str:
    """Return the text at a URI."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text
