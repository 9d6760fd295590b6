"""Knows secrets and does not keep them."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field, SecretStr

from mcp_host import Context, Plugin, PluginContext


class Settings(BaseModel, extra="forbid"):
    token: SecretStr | None = None
    password: str = Field("", description="From a file.")


@asynccontextmanager
async def lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[None]:
    if "VAULT_FRAIL" in os.environ:
        raise ConnectionError(spill(plugin))
    yield


plugin = Plugin(settings=Settings, lifespan=lifespan)


def spill(ctx: Context[Settings] | PluginContext[Settings]) -> str:
    assert ctx.settings.token is not None
    return f"{ctx.settings.token.get_secret_value()} and {ctx.settings.password}"


@plugin.tool
def log_it(ctx: Context[Settings]) -> str:
    """Log the secrets."""
    ctx.plugin.log.warning("the secrets are %s", spill(ctx))
    return "logged"


@plugin.tool
def raise_it(ctx: Context[Settings]) -> str:
    """Raise the secrets."""
    raise RuntimeError(spill(ctx))


@plugin.check
def are_they_good(plugin: PluginContext[Settings]) -> str | None:
    assert plugin.settings.token is not None
    return f"bad secrets: {plugin.settings.token.get_secret_value()} {plugin.settings.password}"
