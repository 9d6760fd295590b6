"""A remote MCP server on loopback that requires tokens, with the authorization server that gives them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import uvicorn
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Given:
    """An access token: whose it is, and until when."""

    client: str
    subject: str
    scope: str
    resource: str
    expires: float


@dataclass
class AuthorizationServer:
    """Gives tokens. A test may change any field while it runs; `asked` has the requests, without secrets."""

    url: str = ""
    resources: list[str] = field(default_factory=list)
    subject: str = "ann"
    denies: bool = False
    expires_in: int | None = 3600
    codes_expire: bool = False
    rotates: bool = True
    gives_refresh_tokens: bool = True
    required_scope: str = ""
    """The scopes that each request needs, apart from a client's own."""
    gives: set[str] | None = None
    """The scopes that it gives; None for all."""
    wrong_state: bool = False
    is_down: bool = False
    held: threading.Event | None = None
    """The token endpoint does not answer before this is set."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when a request has reached the token endpoint."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Changes of the metadata; a member that is changed to None is left out."""
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, Given] = field(default_factory=dict)
    refresh_tokens: dict[str, Given] = field(default_factory=dict)
    used_up: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self, name: str, secret: str | None = None) -> None:
        """Register a client by hand."""
        self.clients[name] = {"client_id": name, **({"client_secret": secret} if secret else {})}

    def revoke_all(self) -> None:
        """Forget every token, as when somebody ends all logins at the server's own pages."""
        self.tokens.clear()
        self.refresh_tokens.clear()

    def expire_all(self) -> None:
        """Let every access token expire, earlier than was said."""
        for given in self.tokens.values():
            given.expires = 0

    def accepts(self, token: str) -> Given | None:
        given = self.tokens.get(token)
        return given if given is not None and given.expires > time.time() else None

    @property
    def metadata(self) -> dict[str, Any]:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "revocation_endpoint": f"{self.url}/revoke",
            "device_authorization_endpoint": f"{self.url}/device_authorization",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in {**found, **self.changes}.items() if value is not None}

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/oauth-authorization-server", self._metadata),
            Route("/register", self._register, methods=["POST"]),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/revoke", self._revoke, methods=["POST"]),
            Route("/device_authorization", self._device_authorization, methods=["POST"]),
            Route("/device", self._device),
        ]

    async def _metadata(self, request: Request) -> Response:
        self.asked.append("metadata")
        return JSONResponse(self.metadata)

    async def _register(self, request: Request) -> Response:
        wanted = await request.json()
        self.asked.append(f"register {' '.join(wanted['grant_types'])}")
        made = {**wanted, "client_id": f"client-{len(self.clients) + 1}"}
        if wanted.get("token_endpoint_auth_method") != "none":
            made["client_secret"] = secrets.token_urlsafe()
        self.clients[made["client_id"]] = made
        return JSONResponse(made, 201)

    async def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.asked.append(f"authorize {query.get('scope')} {query.get('resource')}")
        back = urlsplit(query["redirect_uri"])
        client = self.clients.get(query["client_id"])
        if client is None and not query["client_id"].startswith("https://"):
            return PlainTextResponse("unknown client", 400)
        if client and "redirect_uris" in client and query["redirect_uri"] not in client["redirect_uris"]:
            return PlainTextResponse("unknown redirect_uri", 400)
        assert (back.hostname, query["code_challenge_method"]) == ("127.0.0.1", "S256")
        answer = {"state": "another" if self.wrong_state else query["state"], "iss": self.url}
        if self.denies:
            answer |= {"error": "access_denied", "error_description": "Ann said <no>"}
        else:
            code = secrets.token_urlsafe()
            self.codes[code] = {**query, "subject": self.subject}
            answer |= {"code": code}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        client = self._authenticated(request, form)
        grant = form.get("grant_type", "")
        self.asked.append(f"token {grant} {form.get('resource')} {form.get('scope')}")
        if self.is_down:
            return PlainTextResponse("down", 503)
        if client is None:
            return _error("invalid_client", status=401)
        if grant == "refresh_token":
            answer = self._refresh(form, client)
            self.reached.set()
            if self.held is not None:
                await asyncio.to_thread(self.held.wait, 60)
            return answer
        if grant == "authorization_code":
            return self._for_code(form, client)
        if grant == "client_credentials":
            return self._given(client, "service", form.get("scope", ""), form.get("resource", ""), refresh=False)
        if grant == DEVICE:
            return self._for_device(form, client)
        return _error("unsupported_grant_type")

    def _authenticated(self, request: Request, form: dict[str, str]) -> str | None:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            client_id, _, secret = base64.b64decode(text).decode().partition(":")
        if client_id is None:
            return None
        known = {"client_id": client_id} if client_id.startswith("https://") else self.clients.get(client_id)
        return client_id if known is not None and known.get("client_secret") == secret else None

    def _for_code(self, form: dict[str, str], client: str) -> Response:
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.codes_expire or asked is None:
            return _error("invalid_grant", "the code has expired")
        if (asked["code_challenge"], asked["client_id"], asked["redirect_uri"]) != (
            challenge,
            client,
            form["redirect_uri"],
        ):
            return _error("invalid_grant", "the code is not for this")
        return self._given(client, asked["subject"], asked.get("scope", ""), form.get("resource", ""))

    def _refresh(self, form: dict[str, str], client: str) -> Response:
        token = form["refresh_token"]
        if token in self.used_up:
            # Somebody has stolen it (RFC 9700, section 4.14.2).
            self.revoke_all()
            return _error("invalid_grant", "the refresh token was used twice")
        given = self.refresh_tokens.get(token)
        if given is None or given.client != client:
            return _error("invalid_grant", "the refresh token is not known")
        if self.rotates:
            del self.refresh_tokens[token]
            self.used_up.add(token)
        return self._given(client, given.subject, given.scope, given.resource, refresh=self.rotates)

    def _for_device(self, form: dict[str, str], client: str) -> Response:
        device = self.devices.get(form["device_code"])
        if device is None or device["client"] != client:
            return _error("invalid_grant")
        if device["state"] == "waiting":
            return _error("authorization_pending")
        if device["state"] != "allowed":
            return _error(device["state"])
        return self._given(client, self.subject, device["scope"], device["resource"])

    def _given(self, client: str, subject: str, scope: str, resource: str, *, refresh: bool = True) -> Response:
        if resource not in self.resources:
            return _error("invalid_target")
        if self.gives is not None and not set(scope.split()) <= self.gives:
            return _error("invalid_scope")
        given = Given(client, subject, scope, resource, time.time() + (self.expires_in or 10**6))
        token = secrets.token_urlsafe()
        self.tokens[token] = given
        answer: dict[str, Any] = {"access_token": token, "token_type": "bearer", "scope": scope}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        if refresh and self.gives_refresh_tokens:
            answer["refresh_token"] = secrets.token_urlsafe()
            self.refresh_tokens[answer["refresh_token"]] = given
        return JSONResponse(answer)

    async def _revoke(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(f"revoke {form['token_type_hint']}")
        if self._authenticated(request, form) is None:
            return _error("invalid_client", status=401)
        self.tokens.pop(form["token"], None)
        self.refresh_tokens.pop(form["token"], None)
        return Response()

    async def _device_authorization(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(f"device {form.get('scope')}")
        code = secrets.token_urlsafe()
        user_code = f"WXYZ-{len(self.devices)}"
        self.devices[code] = {
            "client": form["client_id"],
            "state": "waiting",
            "scope": form.get("scope", ""),
            "resource": form["resource"],
            "user_code": user_code,
        }
        page = f"{self.url}/device"
        return JSONResponse(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={user_code}",
                "expires_in": 300,
                "interval": 0,
            }
        )

    async def _device(self, request: Request) -> Response:
        for device in self.devices.values():
            if device["user_code"] == request.query_params["user_code"]:
                device["state"] = "access_denied" if self.denies else "allowed"
                return PlainTextResponse("done")
        return PlainTextResponse("unknown code", 404)


def _error(code: str, description: str = "", status: int = 400) -> Response:
    return JSONResponse({"error": code, **({"error_description": description} if description else {})}, status)


@dataclass
class Remote:
    """A running MCP server. Its tools are `whoami`, which returns the subject of the token, and `wait`."""

    url: str
    auth: AuthorizationServer
    metadata: dict[str, Any]
    """The metadata of the resource; a test may change it."""
    requests: list[str] = field(default_factory=list)
    """The methods of HTTP that reached the server itself."""
    subjects: list[str] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    hides_metadata: bool = False


def browse(url: str) -> tuple[int, str]:
    """Open a page and follow it, as a browser does. Return the last status and page."""
    import httpx2

    with httpx2.Client(follow_redirects=True) as client:
        response = client.get(url)
        return response.status_code, response.text


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


class _NeedsToken:
    """Requires a token of the authorization server for all requests."""

    def __init__(self, app: ASGIApp, remote: Remote) -> None:
        self._app = app
        self._remote = remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        auth = self._remote.auth
        given = auth.accepts(request.headers.get("authorization", "").removeprefix("Bearer "))
        origin = self._remote.url.removesuffix("/mcp")
        about = f'resource_metadata="{origin}/.well-known/oauth-protected-resource/mcp"'
        if given is None or given.resource != self._remote.url:
            challenge = "Bearer" if self._remote.hides_metadata else f"Bearer {about}"
            await PlainTextResponse("no token", 401, {"WWW-Authenticate": challenge})(scope, receive, send)
            return
        if not set(auth.required_scope.split()) <= set(given.scope.split()):
            challenge = f'Bearer error="insufficient_scope", scope="{auth.required_scope}", {about}'
            await PlainTextResponse("scope", 403, {"WWW-Authenticate": challenge})(scope, receive, send)
            return
        self._remote.requests.append(scope["method"])
        self._remote.subjects.append(given.subject)
        await self._app(scope, receive, send)


def _server(remote: Remote) -> Server[Any]:
    async def tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name=name, input_schema={"type": "object"}) for name in ("whoami", "wait")])

    async def called(_: Any, params: CallToolRequestParams) -> CallToolResult:
        if params.name == "wait":
            remote.waiting.set()
            await asyncio.to_thread(remote.go_on.wait, 60)
        return CallToolResult(content=[TextContent(type="text", text=remote.subjects[-1])])

    return Server("remote", on_list_tools=tools, on_call_tool=called)


@contextmanager
def _serving(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1)
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield
    finally:
        web.should_exit = True
        thread.join()


@contextmanager
def authorization_server() -> Iterator[AuthorizationServer]:
    """Serve an authorization server at a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        auth = AuthorizationServer(url=f"http://127.0.0.1:{listening.getsockname()[1]}")
        with _serving(Starlette(routes=auth.routes), listening):
            yield auth


@contextmanager
def remote_server(auth: AuthorizationServer | None = None) -> Iterator[Remote]:
    """Serve an MCP server that requires tokens, and its authorization server at the same port if none is given."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        own = auth if auth is not None else AuthorizationServer(url=origin)
        own.resources.append(f"{origin}/mcp")
        metadata = {"resource": f"{origin}/mcp", "authorization_servers": [own.url]}
        remote = Remote(f"{origin}/mcp", own, metadata)
        mcp_app = _server(remote).streamable_http_app()

        async def about(request: Request) -> Response:
            return JSONResponse(remote.metadata)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with mcp_app.router.lifespan_context(mcp_app):
                yield

        app = Starlette(
            routes=[
                Route("/.well-known/oauth-protected-resource/mcp", about),
                *(own.routes if auth is None else []),
                Mount("/", _NeedsToken(mcp_app, remote)),
            ],
            lifespan=lifespan,
        )
        try:
            with _serving(app, listening):
                yield remote
        finally:
            remote.go_on.set()
