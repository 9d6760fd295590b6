from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from mcp_host.testing import connect
from mcp_plugin_fetch import plugin

Served = Callable[..., AbstractAsyncContextManager[Client]]
Fetched = Callable[..., Awaitable[tuple[str, str]]]
Refused = Callable[..., Awaitable[str]]


@pytest.fixture
def served(mode: str) -> Served:
    """The plugin served to a real client, in each protocol era; 127.0.0.1 is allowed."""

    def serve(**settings: Any) -> AbstractAsyncContextManager[Client]:
        return connect(plugin, name="fetch", settings={"allow": ["127.0.0.1"], **settings}, mode=mode)

    return serve


@pytest.fixture
def fetched() -> Fetched:
    """Calls the tool and returns the two texts of an answer: what stands above, and the page's own."""

    async def call(client: Client, url: str, **arguments: Any) -> tuple[str, str]:
        result = await client.call_tool("fetch", {"url": url, **arguments})
        assert not result.is_error, result.content
        above, body = result.content
        assert isinstance(above, TextContent)
        assert isinstance(body, TextContent)
        return above.text, body.text

    return call


@pytest.fixture
def refused() -> Refused:
    """Calls the tool and returns the text of an error that it raised on purpose."""

    async def call(client: Client, url: str, **arguments: Any) -> str:
        result: CallToolResult = await client.call_tool("fetch", {"url": url, **arguments})
        assert result.is_error, result.content
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert "unexpectedly" not in content.text
        return content.text

    return call
