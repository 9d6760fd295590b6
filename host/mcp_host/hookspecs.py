"""The hooks that a plugin may implement, each with an example that runs. There is no logic here.

Hooks are synchronous. They are called for one plugin at a time, in the order of `mcp-host.toml`. Slow work belongs in
the lifespan. An implementation is marked with `@hookimpl` and may take fewer arguments than its specification. It may
be a method of an object or a function of a module; `Plugin`'s decorators implement the hooks, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pluggy

from mcp_host.api import (
    PROJECT,
    Check,
    Command,
    Completion,
    HttpRoute,
    Middleware,
    Observer,
    PluginContext,
    Prompt,
    Resource,
    SchemaTool,
    Tool,
)

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from pydantic import BaseModel
    from starlette.routing import BaseRoute

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def mcp_settings() -> type[BaseModel] | None:
    """Return the model of `[plugins.NAME.settings]`. Without a model the plugin takes no settings.

    ```python
    from pydantic import BaseModel, Field
    from mcp_host import hookimpl

    class Settings(BaseModel, extra="forbid"):
        digits: int = Field(3, ge=0, description="Decimals kept in results.")

    @hookimpl
    def mcp_settings():
        return Settings
    ```
    """


@hookspec
def mcp_tools(plugin: PluginContext[Any]) -> Iterable[Tool | SchemaTool | Callable[..., Any]] | None:
    """Return the tools. A plain function is `Tool(function)`.

    ```python
    from mcp_host import Tool, hookimpl

    def add(a: int, b: int) -> int:
        "Add two numbers."
        return a + b

    @hookimpl
    def mcp_tools(plugin):
        return [Tool(add, read_only=True)]
    ```
    """


@hookspec
def mcp_resources(plugin: PluginContext[Any]) -> Iterable[Resource] | None:
    """Return the resources: a fixed URI, or an RFC 6570 template whose variables are the function's parameters.

    ```python
    from mcp_host import Resource, hookimpl

    @hookimpl
    def mcp_resources(plugin):
        return [
            Resource("notes://all", lambda: "a, b", name="all notes"),
            Resource("notes://{name}", lambda name: f"The note {name}.", name="a note"),
        ]
    ```
    """


@hookspec
def mcp_prompts(plugin: PluginContext[Any]) -> Iterable[Prompt | Callable[..., Any]] | None:
    """Return the prompts. A plain function is `Prompt(function)`.

    ```python
    from mcp_host import hookimpl

    def review(code: str) -> str:
        "Review a piece of code."
        return f"Please review this code:\\n{code}"

    @hookimpl
    def mcp_prompts(plugin):
        return [review]
    ```
    """


@hookspec
def mcp_completions(plugin: PluginContext[Any]) -> Iterable[Completion] | None:
    """Return the completers of prompt and resource template arguments.

    ```python
    from mcp_host import Completion, hookimpl

    def review(code: str, language: str) -> str:
        return f"Please review this {language} code:\\n{code}"

    def languages(value: str) -> list[str]:
        return [name for name in ("python", "rust") if name.startswith(value)]

    @hookimpl
    def mcp_prompts(plugin):
        return [review]

    @hookimpl
    def mcp_completions(plugin):
        return [Completion("review", "language", languages)]
    ```
    """


@hookspec
def mcp_lifespan(plugin: PluginContext[Any]) -> AbstractAsyncContextManager[Any] | None:
    """Return an async context manager that runs while the plugin serves. It yields `ctx.state`.

    It starts once per process, in the order of the TOML, within `[host] start_timeout`. It stops in reverse order.

    ```python
    from contextlib import asynccontextmanager
    from mcp_host import hookimpl

    @hookimpl
    @asynccontextmanager
    async def mcp_lifespan(plugin):
        plugin.log.info("opening")
        yield {"opened": True}
        plugin.log.info("closing")
    ```
    """


@hookspec
def mcp_middleware(plugin: PluginContext[Any]) -> Iterable[Middleware] | None:
    """Return `async (call, call_next)` functions that run around the plugin's tool calls, resource reads, prompt gets.

    With `middleware = "all"` in the plugin's table of the TOML, they run around those of every plugin. `call.context`
    is the context of the middleware's own plugin.

    ```python
    from mcp_host import Tool, hookimpl

    def add(a: int, b: int) -> int:
        return a + b

    @hookimpl
    def mcp_tools(plugin):
        return [Tool(add)]

    @hookimpl
    def mcp_middleware(plugin):
        async def log_calls(call, call_next):
            plugin.log.info("%s %s", call.kind, call.name)
            return await call_next(call)

        return [log_calls]
    ```
    """


@hookspec
def mcp_observers(plugin: PluginContext[Any]) -> Iterable[Observer] | None:
    """Return functions that get an event at the end of every request, of whichever plugin, refused ones too.

    There are further events: `PluginChanged`, `Reloaded`, `SessionOpened` and `SessionClosed`. An observer is a plain
    function, called in the event loop. It has to return at once.

    ```python
    from mcp_host import RequestEnded, hookimpl

    @hookimpl
    def mcp_observers(plugin):
        def count(event):
            if isinstance(event, RequestEnded):
                plugin.log.info("%s %s: %s", event.method, event.name, event.reason or event.outcome)

        return [count]
    ```
    """


@hookspec
def mcp_routes(plugin: PluginContext[Any]) -> Iterable[BaseRoute | HttpRoute] | None:
    """Return Starlette routes that are served over HTTP beside `/mcp`, with the same checks and limits.

    With `[auth]`, a route needs the same bearer token as `/mcp`. `HttpRoute(route, public=True)` needs none.

    ```python
    from mcp_host import HttpRoute, hookimpl
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def health(request):
        return PlainTextResponse("ok")

    @hookimpl
    def mcp_routes(plugin):
        return [HttpRoute(Route("/health", health), public=True)]
    ```
    """


@hookspec
def mcp_token_verifier(plugin: PluginContext[Any]) -> TokenVerifier | None:
    """Return the verifier of bearer tokens for `[auth] verifier = "plugin:NAME"` in the TOML.

    ```python
    from mcp.server.auth.provider import AccessToken
    from mcp_host import hookimpl

    class OneToken:
        async def verify_token(self, token):
            if token != "letmein":
                return None
            return AccessToken(token=token, client_id="me", scopes=["mcp"])

    @hookimpl
    def mcp_token_verifier(plugin):
        return OneToken()
    ```
    """


@hookspec
def mcp_checks(plugin: PluginContext[Any]) -> Iterable[Check] | None:
    """Return the plugin's checks for `mcp-host check`.

    ```python
    import shutil
    from mcp_host import Check, hookimpl

    def has_git() -> str | None:
        return None if shutil.which("git") else "git is not on PATH"

    @hookimpl
    def mcp_checks(plugin):
        return [Check(has_git, "git is installed")]
    ```
    """


@hookspec
def mcp_commands(plugin: PluginContext[Any]) -> Iterable[Command | Callable[..., Any]] | None:
    """Return the commands of `mcp-host NAME`, where NAME is the plugin's name. A plain function is `Command(function)`.

    Typer makes a command of each function: parameters are arguments and options, the docstring is the help. The
    plugin is loaded when one of its commands, or their help, is asked for: `mcp-host NAME --help` lists them. Its
    settings are validated, its lifespan is not entered. A built-in command of the plugin's name wins.

    ```python
    from typing import Annotated

    import typer
    from mcp_host import hookimpl

    @hookimpl
    def mcp_commands(plugin):
        def greet(name: str, loud: Annotated[bool, typer.Option(help="In capitals.")] = False):
            "Greet somebody."
            text = f"{plugin.name} greets {name}."
            print(text.upper() if loud else text)

        return [greet]
    ```
    """
