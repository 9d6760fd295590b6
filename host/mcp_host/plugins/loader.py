"""Loads plugins one at a time, from the stage `found` to `collected`. Each failure is recorded with its plugin."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pluggy
from pydantic import BaseModel

from mcp_host import hookspecs
from mcp_host.api import PROJECT, Check, Command, Completion, HostFacts, HttpRoute, PluginContext
from mcp_host.config import HostConfig, Limits, PluginSection, python_file
from mcp_host.config.secrets import Redactor, validate_settings
from mcp_host.errors import ErrorCode, HostError
from mcp_host.plugins.discovery import (
    InstalledPlugin,
    check_compatible,
    find,
    in_its_own_environment,
    installed_from,
)
from mcp_host.plugins.hooks import article, call_hook, contained, hooks_of, is_plain_function, items_of, named_if_stuck
from mcp_host.plugins.importing import describe, import_value, is_server
from mcp_host.plugins.kinds import KINDS, TEMPLATE, Kind
from mcp_host.plugins.plugin import Contributions, LoadedPlugin
from mcp_host.plugins.records import ConnectionState, PluginRecord, Stage


@dataclass(frozen=True)
class Adopted:
    """A plugin object made from something else, and notes for its user about the differences.

    With `takes_settings`, `settings` in the table were for whatever it was made from, and have been used. `secrets` are
    texts to mask. `connection` and `instructions` are those of another server, which `connect` starts.
    """

    plugin: object
    notes: tuple[str, ...] = ()
    takes_settings: bool = False
    secrets: frozenset[str] = frozenset()
    connection: Callable[[], ConnectionState] | None = None
    connect: Callable[[], Awaitable[None]] | None = None
    instructions: Callable[[], str | None] = lambda: None


Guarded = Callable[[int], AbstractContextManager[Any]]
"""Has the processes of a session end with the host, also when it is killed, for the block."""


@dataclass(frozen=True)
class Surroundings:
    """What a plugin may be made from besides its table: the host's folders, variables, transport and deadline.

    `patient` means that whoever asks first gets no list without it: the first start of another server is waited for.
    `guarded` is where the sessions of started processes are noted.
    """

    base_dir: Path
    data_dir: Path
    environ: Mapping[str, str]
    transport: str
    where: Callable[..., str]
    start_timeout: float
    installed: InstalledPlugin | None = None
    patient: bool = True
    debug: bool = False
    guarded: Guarded = nullcontext


Adopt = Callable[[object, LoadedPlugin, Surroundings], Adopted | None]
"""Makes a plugin object from an object without hooks (an `MCPServer`) or, without an object, from its table.

It returns None for an object that is a plugin already.
"""


_COMMAND_NAME = re.compile(r"[\w][\w.-]*")
"""The names of commands: words of the command line that are not options."""


def _hint_without_hooks(plugin: LoadedPlugin, found: object) -> str:
    """Return the form that serves an object without hooks, or a server that is not one of this SDK."""
    if plugin.by_file:
        return (
            "make a Plugin or an MCPServer at the top level of the file, or name a function that returns one: "
            f"{plugin.record.value}:FUNCTION"
        )
    if is_server(found) and plugin.record.distribution:
        return in_its_own_environment(plugin.name, plugin.record.distribution)
    return (
        "point the entry point at a Plugin, at a module with @hookimpl functions, or at an MCPServer; any "
        f'other server is served by its command: {plugin.table} command = ["python", "server.py"]'
    )


class Loader:
    """Loads the plugins of one configuration.

    `installed` are the discovered plugins. `objects` are plugin objects by name, which replace entry points (in tests,
    for example). `adopt` makes plugins from objects without hooks. `announce(plugin, uri)` is called when a plugin
    reports a changed resource.
    """

    def __init__(
        self,
        config: HostConfig,
        *,
        installed: Sequence[InstalledPlugin],
        objects: Mapping[str, object] | None = None,
        adopt: Adopt | None = None,
        facts: HostFacts,
        announce: Callable[[str, str], Awaitable[None]] | None = None,
        refresh: Callable[[LoadedPlugin], Awaitable[bool]] | None = None,
        after_load: Callable[[LoadedPlugin], None] | None = None,
        redactor: Redactor | None = None,
        environ: Mapping[str, str] | None = None,
        patient: bool = True,
        guarded: Guarded = nullcontext,
    ) -> None:
        self._config = config
        self._installed = installed
        self._objects = dict(objects or {})
        self._adopt = adopt
        self._facts = facts
        self._announce = announce
        self._refresh = refresh
        self._after_load = after_load
        self._environ = environ
        self._patient = patient
        self._guarded = guarded
        self.redactor = redactor if redactor is not None else Redactor()

    def load_all(self) -> tuple[LoadedPlugin, ...]:
        """Load the enabled plugins of the TOML, in its order. A plugin's failure never raises."""
        return tuple(self.load(name, section) for name, section in self._config.plugins.items() if section.enabled)

    def load(self, name: str, section: PluginSection) -> LoadedPlugin:
        """Load one plugin as far as possible. Its record has the stage that it reached."""
        plugin = self.begin(name, section)
        self.finish(plugin)
        return plugin

    def begin(self, name: str, section: PluginSection) -> LoadedPlugin:
        """Return a plugin of which nothing is loaded yet."""
        return LoadedPlugin(
            name,
            section,
            PluginRecord(name=name, required=section.required, middleware=section.middleware),
            redactor=self.redactor,
            limits=self._limits(section),
            default_timeout=self._config.host.call_timeout,
            debug=self._config.host.debug,
            by_file=python_file(self._config.path) is not None,
        )

    def finish(self, plugin: LoadedPlugin, *, wanted: Callable[[], bool] | None = None) -> None:
        """Load a plugin as far as possible.

        `wanted` returns whether somebody still waits for it. If not, none of its hooks is called after its import. At
        the start of the host, nobody else serves meanwhile, and it is None.
        """
        try:
            meanwhile = "nothing is served before" if wanted is None else "what was served before still is"
            with named_if_stuck(plugin, self.timeout, meanwhile), contained(plugin, "loading"):
                found = self._object(plugin)
                if wanted is not None and not wanted():
                    return
                manager, takes_settings = self._register(plugin, found)
                self._configure(plugin, manager, takes_settings=takes_settings)
                plugin.collect = partial(self._collected, plugin, manager)
                plugin.contributions = plugin.collect()
                plugin.reach(Stage.COLLECTED)
        except HostError as error:
            plugin.fail(error)
        finally:
            if self._after_load is not None:
                self._after_load(plugin)

    def stuck(self, name: str, section: PluginSection) -> LoadedPlugin:
        """Return a plugin that failed because it was not loaded in time. The thread may still write to the other."""
        plugin = self.begin(name, section)
        plugin.fail(
            HostError(
                f"it was not loaded within {self.timeout:g} s; the log has the line where it hangs",
                hint='[host] start_timeout = "..."   (longer), or correct it and restart the host',
                code=ErrorCode.IMPORT_FAILED,
            )
        )
        return plugin

    @property
    def timeout(self) -> float:
        """How long a plugin may take to be loaded, in seconds. At the start of the host, it is only reported."""
        return self._config.host.start_timeout

    def is_same(self, plugin: LoadedPlugin, section: PluginSection) -> bool:
        """Return whether loading this table now would give the same plugin as the served one."""
        if not plugin.alive or plugin.section != section:
            return False
        if (plugin.limits, plugin.default_timeout) != (self._limits(section), self._config.host.call_timeout):
            return False
        # An object may also run in a process of its own.
        if plugin.name in self._objects or section.object is not None or section.source in ("command", "url"):
            return True
        try:
            installed = find(plugin.name, self._installed)
        except HostError:
            return False
        record = plugin.record
        return (installed.distribution, installed.version, installed.value) == (
            record.distribution,
            record.version,
            record.value,
        )

    def _limits(self, section: PluginSection) -> Limits:
        return self._config.host.limits.overridden(section.limits)

    def settings_model(self, name: str, section: PluginSection) -> type[BaseModel] | None:
        """Import a plugin only to get its settings model.

        Raises:
            HostError: It cannot be imported, or its hook does not return a model.
        """
        plugin = LoadedPlugin(name, section, PluginRecord(name=name))
        with contained(plugin, "loading"):
            if section.source in ("command", "url"):
                return None
            return self._model(plugin, self._register(plugin, self._object(plugin))[0])

    def _object(self, plugin: LoadedPlugin) -> object:
        """Return the plugin's object, after the stages found, compatible and imported."""
        if plugin.name in self._objects:
            found = self._objects[plugin.name]
            plugin.record = replace(plugin.record, value=describe(found), stage=Stage.IMPORTED)
            return found
        section = plugin.section
        if section.source in ("command", "url"):
            plugin.record = replace(plugin.record, value=section.place)
            plugin.reach(Stage.IMPORTED)
            return None
        value = section.object
        if value is not None:
            installed = installed_from(value, name=plugin.name)
        else:
            installed = find(plugin.name, self._installed)
            value = installed.value
        plugin.record = replace(plugin.record, value=value, stage=Stage.FOUND)
        if installed is not None:
            plugin.record = replace(plugin.record, distribution=installed.distribution, version=installed.version)
            if section.source != "process" or not section.requirements:
                check_compatible(installed)
        plugin.reach(Stage.COMPATIBLE)
        if section.source == "process":
            plugin.reach(Stage.IMPORTED)
            return None
        return import_value(plugin, value, slow=self._config.host.import_warning, base_dir=self._config.base_dir)

    def _register(self, plugin: LoadedPlugin, found: object) -> tuple[pluggy.PluginManager, bool]:
        """Register the imported object, or the plugin made from it, with its own manager, and check its hooks.

        Returns the manager, and whether the settings of the table have been used already.
        """
        where = plugin.where
        takes_settings = False
        if self._adopt is not None and (adopted := self._adopt(found, plugin, self._surroundings(plugin))) is not None:
            found, takes_settings = adopted.plugin, adopted.takes_settings
            self.redactor.add(*adopted.secrets)
            plugin.connection, plugin.instructions = adopted.connection, adopted.instructions
            plugin.connect = adopted.connect
            for note in adopted.notes:
                plugin.warn(note)
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        implemented = hooks_of(manager, found, where)
        try:
            manager.register(found, name=plugin.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise HostError(
                " ".join(str(error).split()), where=where, hint="a hook has the parameter `plugin`, or none"
            ) from error
        if not implemented:
            raise HostError(
                f"{plugin.record.value} is {article(found)}, which implements no hook",
                where=where,
                hint=_hint_without_hooks(plugin, found),
            )
        return manager, takes_settings

    def _surroundings(self, plugin: LoadedPlugin) -> Surroundings:
        try:
            installed = find(plugin.name, self._installed) if plugin.section.source == "process" else None
        except HostError:
            installed = None
        config = self._config
        environ = os.environ if self._environ is None else self._environ
        return Surroundings(
            config.base_dir,
            config.data_dir,
            environ,
            config.transport.kind,
            config.where,
            config.host.start_timeout,
            installed,
            patient=self._patient,
            debug=config.host.debug,
            guarded=self._guarded,
        )

    def _model(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> type[BaseModel] | None:
        model = call_hook(plugin, manager, "mcp_settings", pass_plugin=False)
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise HostError(f"mcp_settings returned {article(model)}, not a pydantic model class", where=plugin.where)
        return model

    def _configure(self, plugin: LoadedPlugin, manager: pluggy.PluginManager, *, takes_settings: bool) -> None:
        model = self._model(plugin, manager)
        try:
            settings, secrets = validate_settings(
                model,
                {} if takes_settings else plugin.section.settings,
                plugin=plugin.name,
                source=self._config,
                base_dir=self._config.base_dir,
                environ=self._environ,
            )
        except HostError:
            raise
        except BaseException as error:
            # The text of a validator's exception may quote a secret, so it is not repeated.
            raise HostError(f"its settings model raised {type(error).__name__}", where=plugin.where) from None
        self.redactor.add(*secrets)
        plugin.settings = settings
        plugin.context = PluginContext(
            name=plugin.name,
            settings=settings,
            log=logging.getLogger(f"mcp_host.plugin.{plugin.name}"),
            host=self._facts,
            _data_dir=self._config.data_dir / plugin.name,
            _announce=partial(self._announce, plugin.name) if self._announce is not None else None,
            _refresh=partial(self._refresh, plugin) if self._refresh is not None else None,
        )
        plugin.reach(Stage.CONFIGURED)

    def _collected(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> Contributions:
        """Call the hooks and return what the plugin contributes.

        Raises:
            HostError: A hook failed, or returned what its specification does not allow.
        """
        with contained(plugin, "collecting"):
            return self._collect(plugin, manager)

    def _collect(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> Contributions:
        items = partial(items_of, plugin, manager)
        verifier = call_hook(plugin, manager, "mcp_token_verifier")
        if verifier is not None and not callable(getattr(verifier, "verify_token", None)):
            raise HostError(
                f"mcp_token_verifier returned {article(verifier)}, which has no verify_token", where=plugin.where
            )
        return Contributions(
            **{kind.filter: _served(kind, items) for kind in KINDS if kind is not TEMPLATE},
            completions=items("mcp_completions", (Completion,)),
            middleware=items("mcp_middleware", (), callable),
            observers=items("mcp_observers", (), is_plain_function),
            routes=self._routes(plugin, manager),
            checks=items("mcp_checks", (Check,)),
            commands=_commands(plugin, items("mcp_commands", (Command,), callable)),
            lifespan=partial(self._lifespan, plugin, manager),
            token_verifier=verifier,
        )

    def _lifespan(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> AbstractAsyncContextManager[Any] | None:
        """Return a new context manager for each start, because most can be entered only once."""
        with contained(plugin, "starting"):
            lifespan = call_hook(plugin, manager, "mcp_lifespan")
            if lifespan is None or isinstance(lifespan, AbstractAsyncContextManager):
                return lifespan
        raise HostError(
            f"mcp_lifespan returned {article(lifespan)}, not an async context manager",
            where=plugin.where,
            hint="decorate it with contextlib.asynccontextmanager",
        )

    def _routes(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> tuple[HttpRoute, ...]:
        if not manager.hook.mcp_routes.get_hookimpls():
            return ()
        from starlette.routing import BaseRoute

        items = items_of(plugin, manager, "mcp_routes", (BaseRoute, HttpRoute))
        routes = tuple(item if isinstance(item, HttpRoute) else HttpRoute(item) for item in items)
        for given in routes:
            if not isinstance(given.route, BaseRoute):
                what = f"mcp_routes returned an HttpRoute of {article(given.route)}"
                raise HostError(what, where=plugin.where, hint='HttpRoute(Route("/path", function))')
        return routes


def _served(kind: Kind, items: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the contributions of a kind. For a named kind, a plain function becomes a contribution."""
    returned = items(kind.hook, kind.contributions, callable) if kind.named else items(kind.hook, kind.contributions)
    return tuple(item if isinstance(item, kind.contributions) else kind.contributions[0](item) for item in returned)


def _commands(plugin: LoadedPlugin, items: Iterable[Any]) -> tuple[Command, ...]:
    """Return the commands with their names. A `typer.Typer` may have no name: then its own commands are used."""
    commands: list[Command] = []
    for item in items:
        command = item if isinstance(item, Command) else Command(item)
        name = command.name or getattr(command.fn, "__name__", "").strip("_").lower().replace("_", "-")
        if not isinstance(name, str) or (name and not _COMMAND_NAME.fullmatch(name)):
            what = f"a command has the invalid name {name!r}"
            raise HostError(what, where=plugin.where, hint="use letters, digits and -")
        if not callable(command.fn):
            raise HostError(f"the command {name!r} is {article(command.fn)}, not a function", where=plugin.where)
        if any(name == other.name for other in commands if name):
            what = f"two of its commands are called {name!r}"
            raise HostError(what, where=plugin.where, code=ErrorCode.NAME_CONFLICT)
        commands.append(Command(command.fn, name))
    return tuple(commands)
