"""The API for authors of plugins: contributions as frozen dataclasses, and `Plugin`, which collects them."""

from __future__ import annotations

import logging
import os
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
"""The project name in pluggy, used by `hookimpl`."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook with the same name."""

SettingsT = DefaultTypeVar("SettingsT", default=Any)
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Tool:
    """A function that the model may call.

    `fn` is sync (it runs in a worker thread) or async. Its signature is the input schema, its return annotation is the
    output schema. An object in the result that JSON does not know is sent as its `str()`. The defaults of `name`,
    `title` and `description` come from the function. Clients show the four hints and `annotations` before a call (spec:
    Tool Annotations). A hint wins over the same field of `annotations`. `input_schema` replaces the advertised JSON
    Schema, but arguments are still checked against the signature. `timeout` is in seconds; a timeout in the TOML wins.
    With `[auth]`, the caller's token must have all `scopes`. `ui` is the `ui://` URI of a resource of the same plugin.
    Clients with MCP Apps (SEP-1865) render the result in it; other clients show the result's text.
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
class SchemaTool:
    """A tool with a JSON Schema instead of a signature, for tools that are known only at run time.

    `handler(arguments, ctx)` is sync (it runs in a worker thread) or async. It gets the arguments as one mapping, after
    they were checked against `input_schema`. It returns what any tool may return. With `output_schema`, its result must
    conform to that schema and is sent as structured content. References (`$ref`) are looked up only inside the schemas.
    The other fields are as in `Tool`.
    """

    name: str
    input_schema: Mapping[str, Any]
    handler: Callable[[Mapping[str, Any], Context[Any, Any]], Any]
    output_schema: Mapping[str, Any] | None = None
    title: str | None = None
    description: str | None = None
    annotations: ToolAnnotations | None = None
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    timeout: float | None = None
    scopes: Sequence[str] = ()
    ui: str | None = None


@dataclass(frozen=True)
class Resource:
    """Data that a client may read, at a fixed URI or at every URI of an RFC 6570 template.

    The template's variables are the parameters of `fn`. It may also take a `Context`. It returns `str`, `bytes`, any
    other value, which is sent as JSON (what JSON does not know, as its `str()`), or the SDK's `ReadResourceContents` if
    one URI needs another media type than the template. The default of `mime_type` is `text/plain`, and for a `ui://`
    URI the type of MCP Apps. The `csp` and `permissions` of such a page are in `meta={"ui": ...}`. `security` replaces
    the path-traversal checks on template values. `timeout` is in seconds.
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
    """A prompt template. `fn` returns text, a message, or a sequence of both. Its parameters are the arguments."""

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

    `ref` is the prompt's name (without the prefix) or the template's URI. `argument` is the argument's name.
    `fn(value)` gets the text that the user has typed and returns the candidates, best first. It may also take
    `arguments` (a dict of the arguments chosen so far) and a `Context`.
    """

    ref: str
    argument: str
    fn: Callable[..., Iterable[str] | Awaitable[Iterable[str]]]


@dataclass(frozen=True)
class Check:
    """A check that `mcp-host check` runs. `fn` returns None if all is well, or one line that describes the problem.

    `fn` may be async and may take the `PluginContext`. An exception is a failure, too.
    """

    fn: Callable[..., str | Awaitable[str | None] | None]
    name: str


@dataclass(frozen=True)
class Command:
    """A command of `mcp-host NAME`, where NAME is the plugin's name.

    `fn` is a function with typer's annotations, sync or async. Its parameters are the arguments and options, and its
    docstring is the help. A parameter annotated `PluginContext` gets the plugin's context. If it returns an integer,
    that is the exit code. `fn` may also be a `typer.Typer`, which is a group of commands. The default of `name` is the
    function's name with hyphens: `sync-all` for `sync_all`.
    """

    fn: Callable[..., Any]
    name: str | None = None


@dataclass(frozen=True)
class Call:
    """A tool call, resource read or prompt get, as a middleware sees it.

    `plugin` is the owner of the item. `name` is the served name of the tool or prompt, or the URI. `arguments` are as
    the client sent them. `context` is the context of the middleware's own plugin, which may not be the owner.
    """

    kind: Literal["tool", "resource", "prompt"]
    plugin: str
    name: str
    arguments: Mapping[str, Any]
    context: Context[Any, Any]


Announce = Callable[[str], Awaitable[None]]

CallNext = Callable[[Call], Awaitable[Any]]
"""Runs the next middleware or, after the last one, the item itself. Only the call's `arguments` may be changed."""

Middleware = Callable[[Call, CallNext], Awaitable[Any]]
"""Runs around the calls of its own plugin, or of every plugin with `middleware = "all"` in the plugin's table."""

EndReason = Literal[
    "failed",
    "crashed",
    "timed-out",
    "unanswered",
    "cancelled",
    "unknown",
    "bad-arguments",
    "too-large",
    "denied",
    "busy",
    "paused",
    "shutting-down",
]
"""Why a request failed. With the first five, the request ran. The others are refusals."""


@dataclass(frozen=True, kw_only=True)
class RequestEnded:
    """A request of a client has ended, or (`nested`) a read that a plugin made with `ctx.read_resource`.

    `method` is the method of the protocol. It is `http/POST` (or another verb) if the endpoint refused the HTTP request
    before it read a message: without a token, for example, or with a body that was too large or not a message.

    `name` is the served name of a tool or a prompt, or the URI or the template of a resource. If nothing is served
    under the name, it is the name that the client sent, cut to 200 characters. `plugin` is the owner of the item. Both
    are None for methods without a name. No field has the value of an argument.

    `outcome` is `error` if the request ran and failed. It is `refused` if the host did not run it, or did not send its
    result. `reason` is None for `ok`. `failed` is an error with a text for the caller. `unanswered` means that the
    client did not answer a question, or that its answer did not fit. `error_id` is in the log beside the traceback of a
    crash. `seconds` is wall-clock time, for `subscriptions/listen` the duration of the whole stream.
    """

    method: str
    name: str | None
    plugin: str | None
    outcome: Literal["ok", "error", "refused"]
    reason: EndReason | None
    error_id: str | None
    seconds: float
    protocol_version: str | None
    nested: bool = False


@dataclass(frozen=True, kw_only=True)
class PluginChanged:
    """A plugin has reached another stage or has failed.

    `stage` is the last completed stage, or None if the plugin was not found. `problem` is one line with the reason of a
    failure, or None. `error_id` is in the log beside it.
    """

    plugin: str
    stage: str | None
    problem: str | None
    error_id: str | None


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """A reload, or a plugin's `refresh()`, has ended: with a new catalog (`served`), or with the old one.

    `plugins` are the names of the served plugins, in order. `problem` is one line with the reason why the old catalog
    was kept, or None. `refreshed` is the plugin that asked for a refresh, or None for a reload of the configuration.
    """

    served: bool
    plugins: tuple[str, ...]
    problem: str | None
    refreshed: str | None = None


@dataclass(frozen=True, kw_only=True)
class SessionOpened:
    """A client of a handshake version has opened a session. The protocol has no sessions from 2026-07-28 on."""

    protocol_version: str


@dataclass(frozen=True, kw_only=True)
class SessionClosed:
    """A session has ended."""

    protocol_version: str


Event = RequestEnded | PluginChanged | Reloaded | SessionOpened | SessionClosed
"""The events for observers. Classes may be added later, so an observer should ignore classes that it does not know."""

Observer = Callable[[Event], None]
"""A plain function, or an object with a plain `__call__`. It runs in the event loop and must return immediately."""


@dataclass(frozen=True)
class HttpRoute:
    """A Starlette route with a rule for who may use it.

    With `[auth]`, a route needs the same bearer token as `/mcp`. A `public` route needs none.
    """

    route: BaseRoute
    public: bool = False


@dataclass(frozen=True)
class HostFacts:
    """Facts about the host for plugins. `base_dir` is the folder of `mcp-host.toml`."""

    name: str
    version: str
    transport: Literal["stdio", "http"]
    base_dir: Path
    debug: bool = False
    _own_paths: Callable[[], tuple[Path, ...]] = field(default=tuple, repr=False, compare=False)
    _code_paths: Callable[[], tuple[Path, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """The host's own files and folders: `mcp-host.toml`, the files of secrets, the data of all plugins.

        They may not exist. A reload can change them; until then, this is the same tuple. A plugin that serves files
        must leave them out, because a caller who can write them decides what the host runs.
        """
        return self._own_paths()

    @property
    def code_paths(self) -> tuple[Path, ...]:
        """The files and folders with code that the host runs: modules of plugins, scripts, the virtual environment.

        A reload can change them; until then, this is the same tuple. A plugin that writes files must leave them out,
        too, because the host runs what is in them at its next start.
        """
        return self._code_paths()

    def owns(self, path: Path) -> bool:
        """Return whether a path is one of the host's own files, by whatever name, or is inside one of its folders."""
        return _is_within(path, self.own_paths)

    def runs(self, path: Path) -> bool:
        """Return whether a path is code that the host runs, by whatever name, or is inside a folder of it."""
        return _is_within(path, self.code_paths)


def _is_within(path: Path, places: Iterable[Path]) -> bool:
    real = Path(os.path.realpath(path))
    above = [each for each in (real, *real.parents) if each.exists()]
    return any(
        place in (real, *real.parents) or (place.exists() and any(place.samefile(each) for each in above))
        for place in places
    )


@dataclass(frozen=True)
class PluginContext(Generic[SettingsT]):
    """A plugin's name, settings, data folder and logger, and facts about the host."""

    name: str
    settings: SettingsT
    log: logging.Logger
    host: HostFacts
    _data_dir: Path = field(repr=False)
    _announce: Announce | None = field(default=None, repr=False, compare=False)
    _refresh: Callable[[], Awaitable[bool]] | None = field(default=None, repr=False, compare=False)

    @property
    def data_dir(self) -> Path:
        """The plugin's own folder. It is kept between runs, and created at its first use."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return self._data_dir

    async def notify_resource_updated(self, uri: str) -> None:
        """Notify the clients that subscribed to one of the plugin's own resources that it has changed.

        Use this outside of requests, for example in a task of the lifespan. In a request, `ctx` has the same method.
        A URI that the plugin does not serve is ignored.
        """
        if self._announce is not None:
            await self._announce(uri)

    async def refresh(self) -> bool:
        """Call this plugin's hooks again, and serve what they return from now on.

        This is for contributions that change while the plugin serves, for example the tools of a device. Call it in a
        task of the lifespan, or in a request as `ctx.plugin.refresh()`. Clients of every protocol version are notified
        of the lists that have changed. Running calls are not affected. HTTP routes and the lifespan do not change.

        Returns False if the host keeps the old contributions. The plugin's record then has a warning with the reason,
        for example that another plugin has the same name.
        """
        return await self._refresh() if self._refresh is not None else False


Lifespan = Callable[[PluginContext[Any]], AbstractAsyncContextManager[Any]]


class Plugin:
    """A plugin written with decorators, like an `MCPServer`.

    `settings` is the pydantic model of `[plugins.NAME.settings]`. Without a model the plugin takes no settings.
    `lifespan` takes the `PluginContext` and returns an async context manager; the value that it yields is `ctx.state`.
    `tool`, `prompt` and `check` work with and without arguments.
    """

    def __init__(self, settings: type[BaseModel] | None = None, lifespan: Lifespan | None = None) -> None:
        self.settings = settings
        self.lifespan = lifespan
        self._tools: list[Tool | SchemaTool] = []
        self._resources: list[Resource] = []
        self._prompts: list[Prompt] = []
        self._completions: list[Completion] = []
        self._middleware: list[Middleware] = []
        self._observers: list[Observer] = []
        self._routes: list[tuple[str, Callable[..., Any], Sequence[str], str | None, bool]] = []
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
        """Contribute the decorated function as a tool. The arguments are those of `Tool`."""
        if callable(name):
            self._tools.append(Tool(name))
            return name

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._tools.append(Tool(fn, name, *args, **kwargs))
            return fn

        return decorate

    def schema_tool(
        self,
        input_schema: Mapping[str, Any],
        *,
        name: str | None = None,
        output_schema: Mapping[str, Any] | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        idempotent: bool | None = None,
        open_world: bool | None = None,
        timeout: float | None = None,
        scopes: Sequence[str] = (),
        ui: str | None = None,
    ) -> Callable[[_FunctionT], _FunctionT]:
        """Contribute the decorated `handler(arguments, ctx)` as a tool described by a JSON Schema; see `SchemaTool`."""

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._tools.append(
                SchemaTool(
                    name or fn.__name__,
                    input_schema,
                    fn,
                    output_schema=output_schema,
                    title=title,
                    description=description,
                    annotations=annotations,
                    icons=icons,
                    meta=meta,
                    read_only=read_only,
                    destructive=destructive,
                    idempotent=idempotent,
                    open_world=open_world,
                    timeout=timeout,
                    scopes=scopes,
                    ui=ui,
                )
            )
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
        """Contribute the decorated function as a prompt. The arguments are those of `Prompt`."""
        if callable(name):
            self._prompts.append(Prompt(name))
            return name

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._prompts.append(Prompt(fn, name, *args, **kwargs))
            return fn

        return decorate

    def completion(self, ref: str, argument: str) -> Callable[[_FunctionT], _FunctionT]:
        """Contribute the decorated function as the completer for one argument of a prompt or template."""

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._completions.append(Completion(ref, argument, fn))
            return fn

        return decorate

    def middleware(self, fn: _FunctionT) -> _FunctionT:
        """Run the decorated `async (call, call_next)` around this plugin's tool calls, resource reads and prompt gets.

        With `middleware = "all"` in the plugin's table of the TOML, it runs around those of every plugin.
        """
        self._middleware.append(cast("Middleware", fn))
        return fn

    def observer(self, fn: _FunctionT) -> _FunctionT:
        """Call the decorated `(event)`, a plain function, after each request and whenever a plugin or session changes.

        The events are the frozen dataclasses `RequestEnded`, `PluginChanged`, `Reloaded`, `SessionOpened` and
        `SessionClosed`.
        """
        self._observers.append(cast("Observer", fn))
        return fn

    def route(
        self, path: str, methods: Sequence[str] = ("GET",), name: str | None = None, *, public: bool = False
    ) -> Callable[[_FunctionT], _FunctionT]:
        """Serve the decorated `async (request) -> Response` over HTTP, beside `/mcp`.

        With `[auth]`, it needs the same bearer token as `/mcp`, unless it is `public`.
        """

        def decorate(fn: _FunctionT) -> _FunctionT:
            self._routes.append((path, fn, methods, name, public))
            return fn

        return decorate

    @overload
    def check(self, name: _FunctionT, /) -> _FunctionT: ...
    @overload
    def check(self, name: str | None = None) -> Callable[[_FunctionT], _FunctionT]: ...
    def check(self, name: Any = None) -> Any:
        """Contribute the decorated function as a check of `mcp-host check`."""

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

    # These hooks let the host load a Plugin in the same way as a module with hooks.

    @hookimpl
    def mcp_settings(self) -> type[BaseModel] | None:
        return self.settings

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool | SchemaTool]:
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
    def mcp_observers(self) -> Iterable[Observer]:
        return tuple(self._observers)

    @hookimpl
    def mcp_routes(self) -> Iterable[HttpRoute]:
        if not self._routes:
            return ()
        from starlette.routing import Route

        return tuple(
            HttpRoute(Route(path, fn, methods=list(methods), name=name), public)
            for path, fn, methods, name, public in self._routes
        )

    @hookimpl
    def mcp_token_verifier(self) -> TokenVerifier | None:
        return None

    @hookimpl
    def mcp_checks(self) -> Iterable[Check]:
        return tuple(self._checks)

    @hookimpl
    def mcp_commands(self) -> Iterable[Command]:
        return tuple(self._commands)
