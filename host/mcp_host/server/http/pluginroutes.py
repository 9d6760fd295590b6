"""Serves the routes of plugins: with tokens unless they are public, and with the limits of the MCP endpoint."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, RequireAuthMiddleware
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.datastructures import Headers, URLPath
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_host.api import HttpRoute
from mcp_host.config import TransportSection
from mcp_host.server.http.bodies import BodyTimeout


class PluginRoute(BaseRoute):
    """A plugin's route behind the checks. `auth` has the rule for tokens, or is None without `[auth]`."""

    def __init__(self, given: HttpRoute, transport: TransportSection, auth: AuthSettings | None) -> None:
        self._route = given.route
        app: ASGIApp = RequestBodyLimitMiddleware(given.route.handle, transport.max_request_size)
        app = BodyTimeout(app, transport.request_timeout, lambda text: (text, "text/plain"))
        if auth is not None and not given.public:
            app = _TokenRequired(app, auth)
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return self._route.matches(scope)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        return self._route.url_path_for(name, **path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site") == "cross-site" and "origin" not in headers:
            # A page of another site loads this as an image or a link. With an Origin, the page itself is known.
            response = PlainTextResponse("Requests of other sites are not accepted", status_code=403)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _TokenRequired:
    """The SDK's check of tokens. It closes a websocket without a valid token, which the SDK cannot answer."""

    def __init__(self, app: ASGIApp, auth: AuthSettings) -> None:
        self._app = app
        self._scopes = auth.required_scopes or []
        metadata = build_resource_metadata_url(auth.resource_server_url) if auth.resource_server_url else None
        self._http = RequireAuthMiddleware(app, self._scopes, metadata)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif isinstance(scope.get("user"), AuthenticatedUser) and set(self._scopes) <= set(scope["auth"].scopes):
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "Authentication required"})


def redirect_slashes(router: Router) -> None:
    """Redirect a page's address to the one with, or without, a slash at its end, if only that one is served.

    Starlette redirects to a whole URL, and behind a proxy the scheme and the host of this URL may be wrong. These
    redirects are relative.
    """
    not_found = router.default

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            response = _redirect(scope, router)
            if response is not None:
                await response(scope, receive, send)
                return
        await not_found(scope, receive, send)

    router.redirect_slashes = False
    router.default = answer


def _redirect(scope: Scope, router: Router) -> Response | None:
    path = path_in_app(scope)
    if path.endswith("//") or path in ("", "/"):
        return None
    other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    there = {**scope, "path": scope.get("root_path", "") + other}
    if all(route.matches(there)[0] is Match.NONE for route in router.routes):
        return None
    name = quote(other.removesuffix("/").rpartition("/")[2], safe=":@")
    # "./" keeps a name with a colon from being read as a scheme.
    location = f"./{name}/" if other.endswith("/") else f"../{name}"
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse(f"{location}?{query}" if query else location)


def path_in_app(scope: Scope) -> str:
    """Return a request's path without the one at which the app is mounted."""
    path, mounted_at = str(scope["path"]), str(scope.get("root_path", ""))
    inner = path.removeprefix(mounted_at)
    return inner if inner.startswith("/") or not inner else path
