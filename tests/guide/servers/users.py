"""A database and an HTTP client that live as long as the server."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import BaseModel, Field

from mcp_host import Context, Plugin, PluginContext, ToolError


class Settings(BaseModel, extra="forbid"):
    database: str = Field(description="The SQLite file.")
    api: str = Field(description="Where the API of the users is.")
    timeout: float = 30.0


@dataclass
class AppContext:
    """Application context with typed dependencies."""

    db: sqlite3.Connection
    http: httpx2.AsyncClient


@asynccontextmanager
async def app_lifespan(plugin: PluginContext[Settings]) -> AsyncIterator[AppContext]:
    """Manage application lifecycle with dependencies."""
    settings = plugin.settings
    async with httpx2.AsyncClient(base_url=settings.api, timeout=settings.timeout) as http:
        with closing(sqlite3.connect(settings.database)) as db:
            db.row_factory = sqlite3.Row
            plugin.log.info("connected to %s", settings.database)
            yield AppContext(db, http)
    plugin.log.info("disconnected")


plugin = Plugin(settings=Settings, lifespan=app_lifespan)


@plugin.tool(read_only=True)
async def fetch_user_data(user_id: int, ctx: Context[Settings, AppContext]) -> dict[str, Any]:
    """Fetch user data using managed resources."""
    app = ctx.request_context.lifespan_context  # or ctx.state
    row = app.db.execute("SELECT id, name FROM users WHERE id = ?", (user_id,)).fetchone()
    if row is None:
        raise ToolError(f"There is no user {user_id}.")
    try:
        response = await app.http.get(f"/users/{user_id}")
        response.raise_for_status()
    except httpx2.HTTPError as error:
        raise ToolError(f"The users' API did not answer: {error}") from error
    return {"user_id": user_id, "database_data": dict(row), "external_data": response.json()}
