"""Two servers under one Starlette app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from mcp_host.asgi import create_app

api = create_app("api.toml")
analytics = create_app("analytics.toml")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with api.running(), analytics.running():
        yield


app = Starlette(
    routes=[Mount("/api", api), Mount("/analytics", analytics)],
    lifespan=lifespan,
)
