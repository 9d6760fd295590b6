from __future__ import annotations

from collections.abc import Callable

import pytest
from mcp.types import CallToolResult, TextContent

Refused = Callable[[CallToolResult], str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def refused() -> Refused:
    """Return the text of an error that the tool raised on purpose."""

    def text(result: CallToolResult) -> str:
        assert result.is_error, result.structured_content
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert "unexpectedly" not in content.text
        return content.text

    return text
