"""The other of two servers under one app."""

from mcp_host import Plugin

plugin = Plugin()


@plugin.tool(read_only=True)
def analyze_data(dataset: list[float]) -> dict[str, float | None]:
    """Describe a dataset."""
    return {
        "count": len(dataset),
        "sum": sum(dataset),
        "average": sum(dataset) / len(dataset) if dataset else None,
        "max": max(dataset, default=None),
        "min": min(dataset, default=None),
    }
