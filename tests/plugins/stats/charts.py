"""What the tests of charts share: the call, and a look at its result."""

from __future__ import annotations

from typing import Any

from mcp import Client
from mcp.types import TextContent

from mcp_plugin_stats.models import Chart


async def chart_of(client: Client, **arguments: Any) -> Chart:
    """Draw a chart without an image, and return it."""
    result = await client.call_tool("chart", {"image": False, **arguments})
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    return Chart.model_validate(result.structured_content)


def figures(chart: Chart) -> dict[Any, Any]:
    """Return y by x, or by x and series."""
    return {point.x if point.series is None else (point.x, point.series): point.y for point in chart.points}
