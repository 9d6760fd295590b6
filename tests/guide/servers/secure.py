"""An operation that is not for everybody."""

from datetime import UTC, datetime
from typing import Any

from mcp_host import Context, Plugin

plugin = Plugin()


@plugin.tool(scopes=["write"])
async def secure_operation(data: str, ctx: Context) -> dict[str, Any]:
    """A secure operation that requires authentication."""
    return {
        "message": "Secure operation completed",
        "data": data,
        "client": ctx.client_id,
        "timestamp": datetime.now(UTC).isoformat(),
    }
