"""Serving over HTTP: the ASGI app with its header check, CORS and plugin routes, and the uvicorn that runs it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_host.config import HostConfig, TransportSection
from mcp_host.containment.process import OwnProcess
from mcp_host.errors import HostError
from mcp_host.server.auth.auth import AnswerUnavailable
from mcp_host.server.draining import before_the_outer_server_stops, grace
from mcp_host.server.hostserver import HostServer
from mcp_host.server.http.bodies import check_bodies
from mcp_host.server.http.connections import accepted_at_once, most_connections, protocol_with_limits
from mcp_host.server.http.headers import HeaderCheck, HeaderRules, url_host
from mcp_host.server.http.pluginroutes import PluginRoute, path_in_app, redirect_slashes
from mcp_host.server.http.refused import observed
from mcp_host.server.http.resuming import EventLog, keep_events
from mcp_host.server.http.rootpage import root_route

_CLOSING_GRACE = 1
"""How long uvicorn waits for connections to close after the time for requests in flight is over, in seconds."""
_BACKLOG = 1024
"""How many connections may wait to be accepted."""
_METADATA = "/.well-known/oauth-protected-resource"
_RETRY_AFTER = 1000
"""When a client should reconnect after its stream ended, in milliseconds (SEP-1699)."""


class HostApp:
    """The ASGI app of one host. Serve it, or mount it in a Starlette or FastAPI app. One app can mount several.

    When it is served directly, its plugins start and stop with the server. When it is mounted, they start with the
    first request and stop when the event loop ends. To start and stop them with the outer app, pass
    `lifespan=app.lifespan` to that app, or enter `app.running()` in its lifespan.
    """

    def __init__(
        self,
        server: HostServer,
        *,
        own_process: bool = False,
        meanwhile: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        """Serve the host of `server`. `meanwhile` is entered while the plugins run."""
        self.host = server.host
        self._own_process = own_process
        self._meanwhile = meanwhile
        self.server = server
        transport = self.host.config.transport
        self._endpoint = transport.path
        self._inner = _starlette(server)
        self._app: ASGIApp = self._inner
        if transport.cors:
            self._app = CORSMiddleware(
                self._app,
                allow_origins=list(transport.cors),
                allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=["Mcp-Session-Id", "MCP-Protocol-Version", "WWW-Authenticate"],
            )
        self._headers = HeaderCheck(HeaderRules.of(self.host.config))
        self._task: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[Any]] = set()
        self._out_of_time: set[asyncio.Task[Any]] = set()
        self._answered = asyncio.Event()
        self._users = 0
        self._started: asyncio.Event | None = None
        self._stop: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan_protocol(receive, send)
            return
        scope = at_endpoint(scope, self._endpoint)
        if self._is_at_endpoint(scope) and self.host.observers.any:
            await observed(self._answer, self.host.observers, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    def _is_at_endpoint(self, scope: Scope) -> bool:
        return bool(scope["type"] == "http" and path_in_app(scope) == self._endpoint)

    @property
    def well_known_routes(self) -> list[Route]:
        """The routes of the protected-resource metadata (RFC 9728), which are at the root of the outer app.

        When the app is mounted with `[auth]`, give these to the outer app. A response 401 names their path.
        """
        return [route for route in self._inner.routes if isinstance(route, Route) and route.path.startswith(_METADATA)]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The same two headers are checked for a plugin's websocket.
        refusal = self._headers.refusal(scope)
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "Host or Origin not allowed"})
            else:
                await refusal(scope, receive, send)
            return
        await self._ensure_running()
        if self._is_at_endpoint(scope) and scope["method"] == "GET":
            # A session's stream of notifications ends only with the session. It is not counted as a request.
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        self._requests.add(task)
        try:
            await self._app(scope, receive, send if self._own_process else sending)
        except asyncio.CancelledError:
            if task not in self._out_of_time:
                raise
            task.uncancel()
            if not has_begun:
                await PlainTextResponse("The server is shutting down\n", 503)(scope, receive, send)
        finally:
            self._requests.discard(task)
            self._answered.set()

    async def drain(self) -> bool:
        """Refuse new calls, and wait until the requests in flight are answered, at most `[host] shutdown_timeout`.

        Returns whether all are answered.
        """
        self.host.dispatcher.closing = True
        self.host.ending()
        self.server.listeners.close()
        async with grace(self.host.config.host.shutdown_timeout, lambda: len(self._requests)):
            while self._requests:
                self._answered.clear()
                await self._answered.wait()
        return not self._requests

    async def _drain_and_cancel(self) -> None:
        """Do what `run` does at a signal, before the outer server begins to stop."""
        if not await self.drain():
            self._out_of_time = set(self._requests)
            for task in self._out_of_time:
                task.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the plugins and the session manager during the block. An app can run only once."""
        async with self.host.running(), self._inner.router.lifespan_context(self._inner), self._meanwhile():
            authorization = self.server.authorization
            if authorization is not None and authorization.keys is not None:
                await authorization.keys.refresh()
            self._users += 1
            stopping = nullcontext() if self._own_process else before_the_outer_server_stops(self._drain_and_cancel)
            try:
                with stopping:
                    yield
            finally:
                self._users -= 1
                self.server.listeners.close()

    @asynccontextmanager
    async def lifespan(self, _: Any = None) -> AsyncIterator[None]:
        """`running()` in the form of the `lifespan=` parameter of Starlette and FastAPI."""
        async with self.running():
            yield

    async def aclose(self) -> None:
        """Stop the plugins if a request started them. If they were started in another way, they stop by themselves."""
        if self._task is not None and self._stop is not None:
            self._stop.set()
            await asyncio.wait([self._task])

    async def _ensure_running(self) -> None:
        if self._users:
            return
        if self._task is None:
            self._started = asyncio.Event()
            self._stop = asyncio.Event()
            self._task = asyncio.create_task(self._live(), name=f"mcp-host {self.host.config.host.name}")
        assert self._started is not None
        if not self._started.is_set():
            waiter = asyncio.ensure_future(self._started.wait())
            await asyncio.wait([waiter, self._task], return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            if self._task.done():
                # The start failed. Every request raises the same error until a new app is made.
                self._task.result()

    async def _live(self) -> None:
        assert self._started is not None
        assert self._stop is not None
        async with self.running():
            self._started.set()
            await self._stop.wait()

    async def _lifespan_protocol(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _starlette(server: HostServer) -> Starlette:
    transport = server.host.config.transport
    app = server.streamable_http_app(
        streamable_http_path=transport.path,
        json_response=transport.json_response,
        stateless_http=transport.stateless,
        max_request_body_size=transport.max_request_size,
        session_idle_timeout=None if transport.stateless else transport.session_idle_timeout,
        max_sessions=transport.max_sessions,
        retry_interval=_RETRY_AFTER if transport.resumable else None,
        # HostApp checks the headers for every route, also for plugins' routes. The SDK checks only its own endpoint.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    check_bodies(server.session_manager, transport.request_timeout)
    if server.authorization is not None and server.authorization.keys is not None:
        app.add_middleware(AnswerUnavailable)
    if transport.resumable:
        keep_events(server.session_manager, EventLog())
    auth = server.authorization.settings if server.authorization is not None else None
    app.router.routes.extend(PluginRoute(route, transport, auth) for route in server.host.catalog.routes)
    app.router.routes.append(root_route(server))  # the last one: a plugin may have a page of its own there
    redirect_slashes(app.router)
    return app


def at_endpoint(scope: Scope, endpoint: str) -> Scope:
    """Return the scope of a request, with the endpoint's path if it differs from that only by a slash at its end."""
    path = path_in_app(scope)
    if path == endpoint or path.removesuffix("/") != endpoint.removesuffix("/"):
        return scope
    return {**scope, "path": scope.get("root_path", "") + endpoint}


class _Uvicorn(uvicorn.Server):
    """A uvicorn that answers the requests in flight before it shuts down, and does not handle signals itself."""

    def __init__(self, config: uvicorn.Config, app: HostApp, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._stopping: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing. Uvicorn would raise the signals again at its end, before the lifespans have ended."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            # asyncio uses `backlog` for two numbers: the queue in the kernel, and how many it accepts at once. The
            # queue should be longer.
            listener.listen(_BACKLOG)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            self._ready(url(self._app.host.config, port))

    def stop(self) -> None:
        """Begin to shut down. `should_exit` is set last, because it ends the SDK's event streams."""
        self._stopping = asyncio.create_task(self._stop(), name="stopping the server")

    async def _stop(self) -> None:
        if not await self._app.drain():
            # What still runs has had its time.
            self.config.timeout_graceful_shutdown = 0
        self.should_exit = True


def url(config: HostConfig, port: int | None = None) -> str:
    """Return the URL that clients connect to."""
    transport = config.transport
    name = url_host(transport.host)
    if transport.host in ("0.0.0.0", "::"):
        name = transport.allowed_hosts[0].removesuffix(":*") if transport.allowed_hosts else "127.0.0.1"
    own_port = re.search(":[0-9]+$", name.rpartition("]")[2])
    authority = name if own_port else f"{name}:{port if port is not None else transport.port}"
    return f"http://{authority}{transport.path}"


async def serve_http(server: HostServer, ready: Callable[[str], None], process: OwnProcess) -> None:
    """Serve until a signal stops the process. `ready` is called with the URL once connections are accepted.

    Raises:
        HostError: The address cannot be bound, or a required plugin failed to start.
    """
    transport = server.host.config.transport
    app = HostApp(server, own_process=True)
    listener = _bind(transport)
    process.keep_from_forks(listener.fileno())
    most = transport.max_connections or most_connections()
    config = uvicorn.Config(
        app,
        http=protocol_with_limits(head_timeout=transport.request_timeout, connections=most),
        backlog=accepted_at_once(most),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_CLOSING_GRACE,
        timeout_keep_alive=transport.keep_alive,  # type: ignore[arg-type]
        proxy_headers=bool(transport.trusted_proxies),
        forwarded_allow_ips=trusted_addresses(transport.trusted_proxies),
        server_header=False,
    )
    try:
        async with app.running():
            uvicorn_server = _Uvicorn(config, app, ready)
            with process.stopping(uvicorn_server.stop):
                await uvicorn_server.serve(sockets=[listener])
    finally:
        listener.close()


def trusted_addresses(proxies: Sequence[str]) -> list[str]:
    """Return the networks of the proxies, for uvicorn. An IPv6 socket has IPv4 addresses mapped (RFC 4291)."""
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    mapped = [f"::ffff:{each.network_address}/{96 + each.prefixlen}" for each in networks if each.version == 4]
    return [*map(str, networks), *mapped]


def _bind(transport: TransportSection) -> socket.socket:
    family = socket.AF_INET6 if ":" in transport.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named. Without it, small responses wait about 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((transport.host.strip("[]"), transport.port))
    except OSError as error:
        listener.close()
        raise HostError(
            f"cannot listen on {transport.host} port {transport.port}: {error.strerror or error}",
            where="transport.port",
            hint="[transport] port = 0   (any free port), or --port",
        ) from error
    return listener


__all__ = ["HostApp", "serve_http", "url"]
