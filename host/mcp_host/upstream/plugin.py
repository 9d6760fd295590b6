"""The plugin that another server is: it contributes what the server listed, and its lifespan keeps the connection."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import mcp.types as types
from mcp.client.stdio import get_default_environment
from mcp.shared.dispatcher import Dispatcher
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_host.api import Check, Completion, PluginContext, Prompt, Resource, Tool, hookimpl
from mcp_host.catalog.catalog import NAME
from mcp_host.catalog.forwarded import Forward, ForwardedPrompt, ForwardedResource, ForwardedTool
from mcp_host.catalog.served import ServerCompletion
from mcp_host.config import PluginSection
from mcp_host.config.ownfiles import CODE_PATHS, OWN_PATHS
from mcp_host.config.references import path_looks_secret
from mcp_host.config.secrets import ResolvedSettings, resolve_secrets
from mcp_host.errors import ErrorCode, HostError, text_of
from mcp_host.plugins.loader import Adopted, Surroundings
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import ConnectionState
from mcp_host.upstream.child import ChildState, child_peer
from mcp_host.upstream.childhost import (
    check_command,
    child_command,
    child_requirements,
    limited,
    problems_of,
    unreachable_parts,
)
from mcp_host.upstream.connection import Connection
from mcp_host.upstream.definitions import Definitions
from mcp_host.upstream.environments import Environment, environment, program_in, python_program, run_to_end
from mcp_host.upstream.forwarding import Forwarding, Make, ToolCall
from mcp_host.upstream.source import Connect, Pace, Prepare, Source

if TYPE_CHECKING:
    from mcp_host.upstream.tokens import Tokens

DEPTH_VARIABLE: Final = "MCP_HOST_DEPTH"
_MOST_DEPTH = 3

_OF_START = 0.85
"""A server has so much of `[host] start_timeout` to start, to agree on a protocol version, and to list what it has."""

_OF_INSTALLING = 300.0
"""Seconds that a server has instead, where its program first installs it, and it has never been started here."""

_INSTALLERS: Final = frozenset({"npx", "uvx", "uv", "pipx", "bunx", "pnpm", "yarn", "deno", "docker", "podman"})

_MOST_INSTRUCTIONS = 2000
"""Characters of another server's instructions that reach the models of clients."""


def connected(plugin: LoadedPlugin, around: Surroundings) -> Adopted:
    """Return the plugin for a table with `command`, `url` or a process of its own.

    Raises:
        HostError: Something that the table names does not exist.
    """
    section = plugin.section
    resolved = resolve_secrets(
        _references(section),
        base_dir=around.base_dir,
        environ=around.environ,
        where=lambda keys: around.where("plugins", plugin.name, *keys),
        is_secret=lambda keys: keys[0] in ("command", "url") or path_looks_secret(keys),
    )
    place = _Place(plugin, around, resolved)
    return _adopted(OtherServer(plugin, around, place.connect, place.prepare, check=place.check), resolved.secrets)


def _references(section: PluginSection) -> dict[str, Any]:
    """Return the parts of a table that may have references to secrets."""
    return {
        "command": section.command or [],
        "url": section.url,
        "env": section.env,
        "headers": section.headers,
        "auth": section.auth.secrets if section.auth else {},
    }


def in_process(plugin: LoadedPlugin, around: Surroundings, found: object) -> Adopted:
    """Return the plugin for a server object of this process."""
    from mcp_host.upstream.inmemory import object_dispatcher

    return _adopted(OtherServer(plugin, around, lambda state: object_dispatcher(found), is_object=True))


def _adopted(server: OtherServer, secrets: frozenset[str] = frozenset()) -> Adopted:
    return Adopted(
        server,
        takes_settings=True,
        secrets=secrets,
        connection=server.state,
        connect=server.connect,
        instructions=server.instructions,
    )


class _Place:
    """Where the server of a table is: what has to be made before it can be started, and how it is reached."""

    def __init__(self, plugin: LoadedPlugin, around: Surroundings, resolved: ResolvedSettings) -> None:
        self._plugin = plugin
        self._section = plugin.section
        self._around = around
        self._resolved = resolved
        self._used: Environment | None = None

    @property
    def _environment(self) -> Path | None:
        return self._used.folder if self._used is not None else None

    async def prepare(self) -> None:
        """Make the environment that the table's requirements ask for, if it is not there.

        Raises:
            HostError: It cannot be made.
        """
        section, around = self._section, self._around
        wanted = section.requirements
        if section.source == "process" and wanted:
            wanted = child_requirements(section, around.installed, base_dir=around.base_dir)
        if wanted:
            self._used = await environment(
                wanted,
                python=section.python,
                base_dir=around.base_dir,
                cache=around.data_dir / "environments",
                environ=around.environ,
                log=self._plugin.own_context.log,
            )

    def connect(self, state: ChildState) -> AbstractAsyncContextManager[Dispatcher[Any]]:
        """Open the transport.

        Raises:
            HostError: The program does not exist.
        """
        section, around = self._section, self._around
        if section.url is not None:
            return self._remote(section, state)
        env = child_environment(self._resolved.values["env"], around.environ)
        cwd = around.base_dir / (section.cwd or "")
        if not cwd.is_dir():
            raise HostError(f"its working directory {cwd} does not exist", hint="correct `cwd`, or make the folder")
        argv = self._own_host(env) if section.source == "process" else self._program(env, cwd)
        argv = limited(argv, self._plugin.limits)
        return child_peer(argv, env, cwd, self._plugin.own_context.log, state, around.guarded)

    async def check(self) -> str | None:
        """Run the plugin's own checks, in another process than the one that serves it. Return what is wrong."""
        await self.prepare()
        env = child_environment(self._resolved.values["env"], self._around.environ)
        argv = self._own_host(env)
        lines: list[str] = []
        cwd = self._around.base_dir / (self._section.cwd or "")
        await run_to_end(check_command(argv), cwd=cwd, environ=env, on_line=lines.append)
        return problems_of("\n".join(lines))

    @asynccontextmanager
    async def _remote(self, section: PluginSection, state: ChildState) -> AsyncIterator[Dispatcher[Any]]:
        # An HTTP client is much code. It is imported when it is needed, and not in the event loop.
        await asyncio.to_thread(import_module, "mcp_host.net.transport")
        await asyncio.to_thread(import_module, "mcp_host.upstream.remote")
        from mcp_host.upstream.remote import Address, remote_dispatcher

        remote = Address.of(self._resolved.values["url"], shown=section.place or "")
        async with remote_dispatcher(remote, self._resolved.values["headers"], state, self._tokens()) as dispatcher:
            yield dispatcher

    def _tokens(self) -> Tokens | None:
        section, plugin = self._section, self._plugin
        if section.auth is None or section.url is None:
            return None
        from mcp_host.upstream.oauthclient import Login
        from mcp_host.upstream.tokens import Tokens
        from mcp_host.upstream.tokenstore import TokenStore

        login = Login(plugin.name, section.url, section.auth, self._resolved.values["auth"].get("client_secret"))
        store = TokenStore(self._around.data_dir / plugin.name, plugin.name, section.url)
        return Tokens(login, store, plugin.own_context.log, plugin.redactor)

    def _program(self, env: dict[str, str], cwd: Path) -> list[str]:
        name, *arguments = self._resolved.values["command"]
        if self._environment is not None:
            env["PATH"] = os.pathsep.join((str(self._environment / "bin"), env.get("PATH", os.defpath)))
            own = program_in(self._environment, name)
            if own is not None:
                return [str(own), *arguments]
        return [program(name, env, cwd), *arguments]

    def _own_host(self, env: dict[str, str]) -> list[str]:
        section, around, plugin = self._section, self._around, self._plugin
        if self._environment is not None:
            python = str(program_in(self._environment, "python"))
        else:
            python = python_program(section.python, base_dir=around.base_dir, environ=around.environ)
        argv, variables = child_command(
            plugin.name,
            section,
            python=python,
            folder=around.data_dir / plugin.name,
            data_dir=around.data_dir,
            base_dir=around.base_dir,
            environ=around.environ,
            log_level="warning",
            limits=plugin.limits,
            debug=around.debug,
        )
        facts = plugin.own_context.host
        variables[OWN_PATHS] = os.pathsep.join(map(str, facts.own_paths))
        variables[CODE_PATHS] = os.pathsep.join(map(str, facts.code_paths))
        env |= {**variables, **self._resolved.values["env"]}
        return argv


def child_environment(own: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a child: those that a process cannot do without, the table's own, and the depth.

    Raises:
        HostError: This host is itself a child of a host, and so on, too often.
    """
    depth = environ.get(DEPTH_VARIABLE, "")
    deeper = int(depth) + 1 if depth.isdecimal() else 1
    if deeper > _MOST_DEPTH:
        raise HostError(
            f"this host was started by a host, and that by another, {_MOST_DEPTH} times: it may be starting itself",
            hint="remove the table whose command starts mcp-host",
        )
    return get_default_environment() | dict(own) | {DEPTH_VARIABLE: str(deeper)}


def program(name: str, env: Mapping[str, str], cwd: Path) -> str:
    """Return the path of a program, looked up with the child's own PATH.

    Raises:
        HostError: There is none.
    """
    path = env.get("PATH", os.defpath)
    found = shutil.which(name, path=path) if os.sep not in name else shutil.which(cwd / Path(name).expanduser())
    if found is None:
        where = f"on the PATH of the process: {path}" if os.sep not in name else f"below {cwd}"
        raise HostError(f"the program {name!r} does not exist {where}", hint="install it, or write its full path")
    return str(found)


class OtherServer:
    """Another MCP server as a plugin."""

    def __init__(
        self,
        plugin: LoadedPlugin,
        around: Surroundings,
        connect: Connect,
        prepare: Prepare | None = None,
        *,
        check: Callable[[], Awaitable[str | None]] | None = None,
        is_object: bool = False,
    ) -> None:
        section = plugin.section
        self._check = check if section.source == "process" else None
        self._plugin = plugin
        self._section = section
        self._connect = connect
        self._prepare = prepare
        self._is_object = is_object
        self._patient = around.patient
        self._one_client = around.transport == "stdio"
        self._start_timeout = around.start_timeout
        self._primary: Connection | None = None
        self._older: Connection | None = None
        self._forwarding: Forwarding | None = None
        self._file = around.data_dir / plugin.name / "definitions.json"
        self._key = _key(section)
        self._known: Definitions | None = None
        if not is_object:
            # Also of a server that is started with the host: it may be down then.
            self._known = Definitions.load(self._file, self._key)

    # What it contributes

    @hookimpl
    def mcp_tools(self, plugin: PluginContext[Any]) -> Iterable[Tool]:
        for what in self._listed.left_out:
            self._leave_out(what)
        for tool in self._named("tool", self._listed.tools):
            yield ForwardedTool(
                self._forward("tools/call", partial(ToolCall, tool.name, self._is_object)),
                name=tool.name,
                annotations=tool.annotations,
                definition=tool,
            )

    @hookimpl
    def mcp_resources(self, plugin: PluginContext[Any]) -> Iterable[Resource]:
        read = self._forward("resources/read", lambda arguments: partial(_read_request, arguments))
        listed = self._listed
        seen: set[str] = set()
        items: list[tuple[str, types.Resource | types.ResourceTemplate]] = []
        items += [(str(resource.uri), resource) for resource in listed.resources]
        items += [(template.uri_template, template) for template in listed.templates]
        for uri, item in items:
            # A child that is itself a host has a page about its plugins, as this one has.
            if uri not in seen and not uri.startswith("mcp-host://"):
                seen.add(uri)
                yield ForwardedResource(uri, read, definition=item, watch=self._watch)

    @hookimpl
    def mcp_prompts(self, plugin: PluginContext[Any]) -> Iterable[Prompt]:
        for prompt in self._named("prompt", self._listed.prompts):
            forward = self._forward("prompts/get", partial(partial, _prompt_request, prompt.name))
            yield ForwardedPrompt(forward, name=prompt.name, definition=prompt)

    @hookimpl
    def mcp_completions(self, plugin: PluginContext[Any]) -> Iterable[Completion]:
        if self._listed.capabilities.completions is not None:
            yield ServerCompletion(ref="*", argument="*", fn=cast("Any", self._complete))

    @hookimpl
    def mcp_checks(self, plugin: PluginContext[Any]) -> Iterable[Check]:
        if self._check is not None:
            yield Check(self._check, name="its own checks")

    def _leave_out(self, what: str) -> None:
        self._plugin.warn(what, code=ErrorCode.LEFT_OUT)

    @property
    def _listed(self) -> Definitions:
        return self._known or Definitions()

    def _named(self, kind: str, items: Iterable[Any]) -> Iterator[Any]:
        """Yield what has a name that clients accept. The other server has to correct the rest."""
        seen: set[str] = set()
        for item in items:
            if item.name in seen:
                self._leave_out(f"{kind} {item.name!r} is listed twice; the second one is left out")
            elif not NAME.fullmatch(self._section.prefix + item.name):
                self._leave_out(
                    f"{kind} {item.name!r} is left out: its name is not made of 1 to 128 of A-Z a-z 0-9 . _ -"
                )
            else:
                seen.add(item.name)
                yield item

    # Its life

    @hookimpl
    def mcp_lifespan(self, plugin: PluginContext[Any]) -> AbstractAsyncContextManager[None]:
        return self._living(plugin)

    @property
    def _time_to_start(self) -> float:
        # The host's own deadline would only report that the lifespan did not start.
        usual = self._start_timeout * _OF_START
        installs = self._known is None and Path((self._section.command or [""])[0]).stem in _INSTALLERS
        return max(usual, _OF_INSTALLING) if installs else usual

    @asynccontextmanager
    async def _living(self, plugin: PluginContext[Any]) -> AsyncIterator[None]:
        section, limits = self._section, self._plugin.limits
        self._forwarding = Forwarding(
            plugin.name,
            plugin.log,
            asks=section.ask,
            answer_timeout=limits.answer_timeout,
            one_client=self._one_client,
        )

        async def learned(known: Definitions) -> None:
            self._known = known
            if not self._is_object:
                self._keep_on_disk(known)
            await plugin.refresh()

        async def learned_by_the_second(known: Definitions) -> None:
            """Serve what the only client's own session lists. With several clients, the first session's lists count."""
            assert self._primary is not None
            if self._one_client:
                self._known = replace(known, protocol_version=self._listed.protocol_version)
                await plugin.refresh()
            else:
                self._primary.lists.note_change()

        def connection(*, legacy: bool, lazy: bool, is_second: bool = False) -> Connection:
            return Connection(
                plugin.name,
                Source(
                    self._connect,
                    self._prepare,
                    legacy=legacy,
                    is_lazy=lazy,
                    asks=section.ask,
                    idle_timeout=section.idle_timeout,
                    must_start=section.required,
                    patient=self._patient,
                    look_over=unreachable_parts if section.source == "process" else None,
                    pace=Pace(start=self._time_to_start),
                ),
                plugin.log,
                asked=cast("Forwarding", self._forwarding),
                known=self._known,
                on_lists=learned_by_the_second if is_second else learned,
                on_updated=plugin.notify_resource_updated,
                on_trouble=self._note_trouble,
            )

        async with AsyncExitStack() as stack:
            stack.callback(self._forwarding.close)
            self._primary = connection(
                legacy=section.era == "legacy", lazy=section.start == "lazy" and not self._is_object
            )
            await stack.enter_async_context(self._primary.kept())
            if section.era == "caller":
                self._older = connection(legacy=True, lazy=True, is_second=True)
                await stack.enter_async_context(self._older.kept())
            yield

    def _keep_on_disk(self, known: Definitions) -> None:
        if known.text != self._plugin.redactor.redact(known.text):
            # A server may repeat what its table gave it.
            self._file.unlink(missing_ok=True)
            self._plugin.warn("what it lists contains a secret and is not kept, so that it is started with the host")
            return
        try:
            known.save(self._file, self._key)
        except OSError as error:
            self._plugin.warn(f"what it lists cannot be kept, so that it is started with the host: {text_of(error)}")

    def _note_trouble(self, trouble: str | None, hint: str = "") -> None:
        warnings = self._plugin.record.warnings
        if trouble is None or all(warning.what != trouble for warning in warnings):
            self._plugin.take_back(ErrorCode.NOT_CONNECTED)
        if trouble is not None:
            self._plugin.warn(trouble, hint=hint, code=ErrorCode.NOT_CONNECTED)

    def state(self) -> ConnectionState:
        if self._primary is not None:
            return self._primary.state
        return ConnectionState(server=self._known.server if self._known else None)

    async def connect(self) -> None:
        """Start the server if it is not up. It raises a RefusedError if that fails."""
        assert self._primary is not None
        await self._primary.connected()

    def instructions(self) -> str | None:
        """Return the server's instructions for the models of clients, if the table lets them through."""
        text = self._listed.instructions if self._section.instructions else None
        if not text:
            return None
        cut = text if len(text) <= _MOST_INSTRUCTIONS else f"{text[:_MOST_INSTRUCTIONS]}..."
        return f"## {self._plugin.name}\n\n{cut}"

    # Calls

    def _forward(self, method: str, make: Callable[[Mapping[str, Any]], Make]) -> Forward:
        async def forward(arguments: Mapping[str, Any], context: Any) -> Any:
            assert self._forwarding is not None
            return await self._forwarding.send(self._to(context.protocol_version), method, make(arguments), context)

        return forward

    def _to(self, protocol_version: str) -> Connection:
        """Return the connection for a client: with `era = "caller"`, one in the client's own era."""
        assert self._primary is not None
        speaks_handshake = protocol_version not in MODERN_PROTOCOL_VERSIONS
        if self._older is not None and speaks_handshake and self._primary.is_modern:
            return self._older
        return self._primary

    async def _complete(self, ref: Any, argument: Any, chosen: Any) -> types.Completion:
        assert self._primary is not None
        session = await self._primary.session()
        params = types.CompleteRequestParams(ref=ref, argument=argument, context=chosen)
        with self._primary.in_use():
            result = await session.send_request(types.CompleteRequest(params=params), types.CompleteResult)
        return result.completion

    def _watch(self, uri: str, protocol_version: str) -> Callable[[], None]:
        return self._to(protocol_version).watch(uri)


def _read_request(arguments: Mapping[str, Any], extra: Mapping[str, Any]) -> types.ReadResourceRequest:
    return types.ReadResourceRequest(params=types.ReadResourceRequestParams(uri=arguments["uri"], **extra))


def _prompt_request(name: str, arguments: Mapping[str, Any], extra: Mapping[str, Any]) -> types.GetPromptRequest:
    return types.GetPromptRequest(params=types.GetPromptRequestParams(name=name, arguments=dict(arguments), **extra))


def _key(section: PluginSection) -> str:
    """Return what stands for the place of a server. No value of a variable is in it."""
    parts: list[Any] = [section.command, str(section.cwd), section.url, sorted(section.env), sorted(section.headers)]
    parts += [section.isolation, section.object, section.requirements, section.python, section.era == "legacy"]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
