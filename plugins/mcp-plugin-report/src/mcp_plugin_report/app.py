"""The plugin object, and the lifespan that owns the kept reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp_host import Context, Plugin, PluginContext
from mcp_plugin_report.settings import Settings
from mcp_plugin_report.store import Store


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[Store]:
    """Open the folder of kept reports."""
    yield Store(plugin.data_dir / "reports", plugin.settings.keep, plugin.log)


plugin = Plugin(settings=Settings, lifespan=lifespan)

Reports = Context[Settings, Store]
"""The context of the tools and resources."""


def reports_of(ctx: Reports) -> Store:
    """Return the reports of the caller.

    With tokens, they belong to the token's subject, or to its client if it has no subject. Without tokens (stdio, or
    HTTP without `[auth]`), there is one owner.
    """
    from mcp.server.auth.middleware.auth_context import get_access_token
    from mcp.server.auth.provider import principal_components

    token = get_access_token()
    if token is None:
        return ctx.state
    client, issuer, subject = principal_components(token)
    return ctx.state.of(["subject", issuer, subject] if subject else ["client", issuer, client])
