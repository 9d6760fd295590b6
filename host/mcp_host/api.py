"""What authors write plugins with: contributions as frozen dataclasses, and `Plugin`, their collector."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

import pluggy
from typing_extensions import TypeVar as DefaultTypeVar

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from mcp.server.mcpserver.resources import ResourceSecurity
    from mcp.types import Annotations, Icon, ToolAnnotations
    from pydantic import BaseModel
    from starlette.routing import BaseRoute

    from mcp_host.context import Context

PROJECT = "mcp_host"
"""The pluggy project name: what `hookimpl` marks functions for."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook it is named after."""

SettingsT = DefaultTypeVar("SettingsT", default=Any)
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Tool:
    """A function the model may call.

    `fn` is sync (run in a worker thread) or async; its signature is the input schema, its return
    annotation the output schema. `name`, `title` and `description` default to the function's own.
    The four hints and `annotations` are what clients show before they call (spec: Tool Annotations);
    a hint wins over the same field of `annotations`. `input_schema` replaces the advertised JSON Schema
    (arguments are still checked against the signature). `timeout` is in seconds; the TOML's wins.
    `scopes` are what the caller's token must carry when `[auth]` is on. `ui` is the `ui://` URI of the plugin's own
    resource that clients with MCP Apps (SEP-1865) render the result in; others show the result's text.
    """

    fn: Callable[..., Any]
    name: str | None = None
    title: str | None = None
    description: str | None = None
    annotations: ToolAnnotations | None = None
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None
    structured_output: bool | None = None
    input_schema: Mapping[str, Any] | None = None
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    timeout: float | None = None
    scopes: Sequence[str] = ()
    ui: str | None = None


@dataclass(frozen=True)
class Resource:
    """Data a client may read, at a fixed URI or at every URI of an RFC 6570 template.

    The template's variables are the parameters of `fn`, which may also take a `Context` and returns
    `str`, `bytes`, anything JSON can say, or the SDK's `ReadResourceContents` where the media type of one URI differs
    from that of the template. `mime_type` is `text/plain` unless given, and at a `ui://` URI that of
    MCP Apps; such a page's `csp` and `permissions` are said in `meta={"ui": ...}`. `security` replaces the
    path-traversal checks made on template values. `timeout` is in seconds.
    """

    uri: str
    fn: Callable[..., Any]
    name: str | None = None
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None
    security: ResourceSecurity | None = None
    timeout: float | None = None
    scopes: Sequence[str] = ()


@dataclass(frozen=True)
class Prompt:
    """A prompt template. `fn` returns text, a message, or a sequence of them; its parameters are the arguments."""

    fn: Callable[..., Any]
    name: str | None = None
    title: str | None = None
    description: str | None = None
    icons: Sequence[Icon] | None = None
    timeout: float | None = None
    scopes: Sequence[str] = ()


@dataclass(frozen=True)
class Completion:
    """A completer for one argument of a prompt or of a resource template.

    `ref` is the prompt's name (as the author wrote it) or the template's URI, `argument` the argument's name.
    `fn(value)` gets what the user has typed and returns the candidates, best first. It may also take
    `arguments` (a dict of the arguments chosen so far) and a `Context`.
    """

    ref: str
    argument: str
    fn: Callable[..., Iterable[str] | Awaitable[Iterable[str]]]


@dataclass(frozen=True)
class Check:
    """One question `mcp-host check` asks: `fn` returns None when all is well, or one line saying what is not.

    `fn` may be async and may take the `PluginContext`; an exception counts as a failure.
    """

    fn: Callable[..., str | Awaitable[str | None] | None]
    name: str


@dataclass(frozen=True)
class Command:
    """A command of `mcp-host NAME`, where NAME is the plugin's name.

    `fn` is a function with typer's annotations, sync or async: its parameters are the arguments and options, its
    docstring is the help. A parameter annotated `PluginContext` gets the plugin's context. `fn` may also be a
    `typer.Typer`: a group of commands. What it returns, if it is an integer, is the exit code. `name` is the
    function's own unless given: of `sync_all`, `sync-all`.
    """

    fn: Callable[..., Any]
    name: str | None = None


@dataclass(frozen=True)
class Call:
    """What a middleware sees: one tool call, resource read or prompt get on its way to its owner.

    `name` is the served tool or prompt name, or the URI. `arguments` are as the client sent them.
    """

    kind: Literal["tool", "resource", "prompt"]
    plugin: str
    name: str
    arguments: Mapping[str, Any]
    context: Context[Any, Any]


Announce = Callable[[str], Awaitable[None]]
CallNext = Callable[[Call], Awaitable[Any]]
Middleware = Callable[[Call, CallNext], Awaitable[Any]]


@dataclass(frozen=True)
class HostFacts:
    """What a plugin may know of the host it runs in. `base_dir` is the folder of `mcp-host.toml`."""

    name: str
    version: str
    transport: Literal["stdio", "http"]
    base_dir: Path
    debug: bool = False


@dataclass(frozen=True)
class PluginContext(Generic[SettingsT]):
    """One plugin's own view: its name, its settings, its folder, its logger, and facts about the host."""

    name: str
    settings: SettingsT
    log: logging.Logger
    host: HostFacts
    _data_dir: Path = field(repr=False)
    _announce: Announce | None = field(default=None, repr=False, compare=False)

    @property
    def data_dir(self) -> Path:
        """A folder of the plugin's own, kept between runs and made when first asked for."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return self._data_dir

    async def notify_resource_updated(self, uri: str) -> None:
        """Tell the clients that subscribed to one of the plugin's own resources that it has changed.

        For what changes outside of a request, in a task of the lifespan; inside one, `ctx` has the same method.
        A URI that the plugin does not serve is passed over.
        """
        if self._announce is not None:
            await self._announce(uri)


Lifespan = Callable[[PluginContext[Any]], AbstractAsyncContextManager[Any]]


class Plugin:
    """A plugin written with decorators, as an `MCPServer` is.

    `settings` is the pydantic model of `[plugins.NAME.settings]`; without one the plugin takes no
    settings. `lifespan` takes the `PluginContext` and returns an async context manager; what it yields
    is `ctx.state`. Every decorator works with and without arguments.
    """

    def __init__(self, settings: type[BaseModel] | None = None, lifespan: Lifespan | None = None) -> None:
        self.settings = settings
        self.lifespan = lifespan
        self._tools: list[Tool] = []
        self._resources: list[Resource] = []
        self._prompts: list[Prompt] = []
        self._completions: list[Completion] = []
        self._middleware: list[Middleware] = []
        self._routes: list[tuple[str, Callable[..., Any], Sequence[str], str | None]] = []
        self._checks: list[Check] = []
        self._commands: list[Command] = []

    @overload
    def tool(self, name: _FunctionT, /) -> _FunctionT: ...
    @overload
    def tool(
        self,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        structured_output: bool | None = None,
        *,
        input_schema: Mapping[str, Any] | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        idempotent: bool | None = None,
        open_world: bool | None = None,
        timeout: float | None = None,
        scopes: Sequence[str] = (),
        ui: str | None = None,
    ) -> Callable[[_FunctionT], _FunctionT]: ...
    def tool(self, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Contribute the decorated function as a tool; the arguments are `Tool`'s."""
        if callable(name):
            self._tools.append(Tool(name))
            return name

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._tools.append(Tool(fn, name, *args, **kwargs))
            return fn

        return decorate

    def resource(
        self,
        uri: str,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        icons: Sequence[Icon] | None = None,
        annotations: Annotations | None = None,
        meta: Mapping[str, Any] | None = None,
        security: ResourceSecurity | None = None,
        timeout: float | None = None,
        scopes: Sequence[str] = (),
    ) -> Callable[[_FunctionT], _FunctionT]:
        """Contribute the decorated function as the resource, or resource template, at `uri`."""
        if callable(uri):
            raise TypeError('a resource needs its URI: write @plugin.resource("scheme://path") above the function')

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._resources.append(
                Resource(
                    uri,
                    fn,
                    name=name,
                    title=title,
                    description=description,
                    mime_type=mime_type,
                    icons=icons,
                    annotations=annotations,
                    meta=meta,
                    security=security,
                    timeout=timeout,
                    scopes=scopes,
                )
            )
            return fn

        return decorate

    @overload
    def prompt(self, name: _FunctionT, /) -> _FunctionT: ...
    @overload
    def prompt(
        self,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        *,
        timeout: float | None = None,
        scopes: Sequence[str] = (),
    ) -> Callable[[_FunctionT], _FunctionT]: ...
    def prompt(self, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Contribute the decorated function as a prompt; the arguments are `Prompt`'s."""
        if callable(name):
            self._prompts.append(Prompt(name))
            return name

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._prompts.append(Prompt(fn, name, *args, **kwargs))
            return fn

        return decorate

    def completion(self, ref: str, argument: str) -> Callable[[_FunctionT], _FunctionT]:
        """Contribute the decorated function as the completer of one argument of a prompt or template."""

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._completions.append(Completion(ref, argument, fn))
            return fn

        return decorate

    def middleware(self, fn: _FunctionT) -> _FunctionT:
        """Run the decorated `async (call, call_next)` around every tool call, resource read and prompt get."""
        self._middleware.append(cast("Middleware", fn))
        return fn

    def route(
        self, path: str, methods: Sequence[str] = ("GET",), name: str | None = None
    ) -> Callable[[_FunctionT], _FunctionT]:
        """Serve the decorated `async (request) -> Response` beside `/mcp` when the transport is HTTP."""

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._routes.append((path, fn, methods, name))
            return fn

        return decorate

    @overload
    def check(self, name: _FunctionT, /) -> _FunctionT: ...
    @overload
    def check(self, name: str | None = None) -> Callable[[_FunctionT], _FunctionT]: ...
    def check(self, name: Any = None) -> Any:
        """Contribute the decorated function as a question of `mcp-host check`."""

        def decorate(fn: _FunctionT, label: str | None = None) -> _FunctionT:
            self._checks.append(Check(fn, label or fn.__name__.replace("_", " ")))
            return fn

        return decorate(name) if callable(name) else lambda fn: decorate(fn, name)

    @overload
    def command(self, name: _FunctionT, /) -> _FunctionT: ...
    @overload
    def command(self, name: str | None = None) -> Callable[[_FunctionT], _FunctionT]: ...
    def command(self, name: Any = None) -> Any:
        """Contribute the decorated function as a command of `mcp-host NAME`; see `Command`."""

        def decorate(fn: _FunctionT, called: str | None = None) -> _FunctionT:
            self._commands.append(Command(fn, called))
            return fn

        return decorate(name) if callable(name) else lambda fn: decorate(fn, name)

    # The hooks, so that a Plugin is loaded by the same machinery as a module of hooks.

    @hookimpl
    def mcp_settings(self) -> type[BaseModel] | None:
        return self.settings

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool]:
        return tuple(self._tools)

    @hookimpl
    def mcp_resources(self) -> Iterable[Resource]:
        return tuple(self._resources)

    @hookimpl
    def mcp_prompts(self) -> Iterable[Prompt]:
        return tuple(self._prompts)

    @hookimpl
    def mcp_completions(self) -> Iterable[Completion]:
        return tuple(self._completions)

    @hookimpl
    def mcp_lifespan(self, plugin: PluginContext[Any]) -> AbstractAsyncContextManager[Any] | None:
        return self.lifespan(plugin) if self.lifespan else None

    @hookimpl
    def mcp_middleware(self) -> Iterable[Middleware]:
        return tuple(self._middleware)

    @hookimpl
    def mcp_routes(self) -> Iterable[BaseRoute]:
        if not self._routes:
            return ()
        from starlette.routing import Route

        return tuple(Route(path, fn, methods=list(methods), name=name) for path, fn, methods, name in self._routes)

    @hookimpl
    def mcp_token_verifier(self) -> TokenVerifier | None:
        return None

    @hookimpl
    def mcp_checks(self) -> Iterable[Check]:
        return tuple(self._checks)

    @hookimpl
    def mcp_commands(self) -> Iterable[Command]:
        return tuple(self._commands)
