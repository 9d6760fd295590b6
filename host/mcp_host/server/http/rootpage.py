"""The small page at `/`: the server's name, its plugins, and how a client connects."""

from __future__ import annotations

import html
import shlex

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mcp_host.server.hostserver import HostServer

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }}
  pre {{ overflow-x: auto; padding: .75rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent) }}
</style>
<h1>{name}</h1>
<p>This is an MCP server. Its endpoint, for MCP clients, is <code>{url}</code></p>
<pre>claude mcp add --transport http {argument} {url}
mcp-host inspect --url {url}</pre>
{plugins}
"""


def root_route(server: HostServer) -> Route:
    """Return the route of the page. A program that prefers JSON gets `name`, `endpoint` and `plugins` as JSON.

    Behind `[auth]`, whoever asks is not known yet, so the plugins are not named.
    """

    async def page(request: Request) -> Response:
        config = server.host.config
        url = f"{str(request.base_url).rstrip('/')}{config.transport.path}"
        names = [plugin.name for plugin in server.host.plugins if plugin.alive] if config.auth is None else None
        if "text/html" not in request.headers.get("accept", ""):
            data = {"name": config.host.name, "endpoint": url, **({} if names is None else {"plugins": names})}
            return JSONResponse(data, headers=_HEADERS)
        listed = f"<p>Plugins: {html.escape(', '.join(names))}</p>" if names else ""
        text = _PAGE.format(
            name=html.escape(config.host.name),
            argument=html.escape(shlex.quote(config.host.name)),
            url=html.escape(url),
            plugins=listed,
        )
        return HTMLResponse(text, headers=_HEADERS)

    return Route("/", page, methods=["GET"])
