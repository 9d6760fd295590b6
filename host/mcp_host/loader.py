"""Takes one plugin at a time from `found` to `collected`, through pluggy, and keeps every failure with its plugin."""

from __future__ import annotations

import importlib
import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy
from anyio import CapacityLimiter
from pydantic import BaseModel

from mcp_host import hookspecs
from mcp_host.api import PROJECT, Check, Completion, HostFacts, Middleware, PluginContext, Prompt, Resource, Tool
from mcp_host.config import HostConfig, PluginSection
from mcp_host.discovery import InstalledPlugin, check_compatible, find
from mcp_host.errors import HostError, did_you_mean, text_of
from mcp_host.records import PluginRecord, Problem, Stage
from mcp_host.secrets import Redactor, validate_settings
from mcp_host.stdout import stdout_to_stderr

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from starlette.routing import BaseRoute

logger = logging.getLogger(__name__)

HOOKS: frozenset[str] = frozenset(name for name in vars(hookspecs) if name.startswith("mcp_"))

THREADS = 40
"""Worker threads that the synchronous functions of one plugin share."""


@dataclass(frozen=True)
class Adopted:
    """A plugin object made of something that was none, and what its user should know of the difference."""

    plugin: object
    notes: tuple[str, ...] = ()


Adopt = Callable[[object], Adopted | None]
"""Makes a plugin object of something that has no hooks of its own (an `MCPServer`), or returns None."""


@dataclass(frozen=True)
class Contributions:
    """What a plugin's hooks returned, checked for type and in the order returned."""

    tools: tuple[Tool, ...] = ()
    resources: tuple[Resource, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    completions: tuple[Completion, ...] = ()
    middleware: tuple[Middleware, ...] = ()
    routes: tuple[BaseRoute, ...] = ()
    checks: tuple[Check, ...] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[Any] | None] = lambda: None
    token_verifier: TokenVerifier | None = None


@dataclass(eq=False)
class LoadedPlugin:
    """A plugin from its table in the TOML to its served parts: the record, the object, the state of its lifespan.

    Identity matters: a plugin that a reload leaves alone stays the same object.
    """

    name: str
    section: PluginSection
    record: PluginRecord
    settings: Any = None
    context: PluginContext[Any] | None = None
    contributions: Contributions = field(default_factory=Contributions)
    state: Any = None
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS))

    def reach(self, stage: Stage) -> None:
        self.record = replace(self.record, stage=stage)

    def fail(self, error: HostError) -> None:
        """Stop here: the plugin serves nothing, and its record says why."""
        self.record = replace(self.record, problem=Problem.of(error))
        logger.error("plugin %s: %s%s", self.name, error.what, f" | mend: {error.mend}" if error.mend else "")

    def warn(self, what: str, *, mend: str = "") -> None:
        """Add a warning to the record and the log, once."""
        if any(warning.what == what for warning in self.record.warnings):
            return
        self.record = replace(
            self.record, warnings=(*self.record.warnings, Problem(what, f"plugins.{self.name}", mend))
        )
        logger.warning("plugin %s: %s", self.name, what)

    @property
    def alive(self) -> bool:
        return not self.record.failed

    @property
    def own_context(self) -> PluginContext[Any]:
        """The plugin's context; there is one from the stage `configured` on."""
        assert self.context is not None
        return self.context

    @property
    def where(self) -> str:
        """The plugin's table in the TOML and what it was installed from, as errors name it."""
        return f"plugins.{self.name} ({self.record.source})"


class Loader:
    """Loads the plugins of one configuration.

    `installed` is what discovery found; `objects` are plugin objects by name that take the place of an entry
    point (a test's, or one that is not installed). `adopt` is asked for objects that have no hooks.
    """

    def __init__(
        self,
        config: HostConfig,
        *,
        installed: Sequence[InstalledPlugin],
        objects: Mapping[str, object] | None = None,
        adopt: Adopt | None = None,
        facts: HostFacts,
        redactor: Redactor | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._installed = installed
        self._objects = dict(objects or {})
        self._adopt = adopt
        self._facts = facts
        self._environ = environ
        self.redactor = redactor if redactor is not None else Redactor(())

    def load_all(self) -> tuple[LoadedPlugin, ...]:
        """Load every enabled plugin of the TOML, in its order. Never raises for a plugin's own fault."""
        return tuple(self.load(name, section) for name, section in self._config.plugins.items() if section.enabled)

    def load(self, name: str, section: PluginSection) -> LoadedPlugin:
        """Take one plugin as far as it goes; its record says how far that was."""
        plugin = LoadedPlugin(name, section, PluginRecord(name=name, required=section.required))
        try:
            plugin_object = self._object(plugin)
            manager = self._register(plugin, plugin_object)
            self._configure(plugin, manager)
            self._collect(plugin, manager)
        except HostError as error:
            plugin.fail(HostError(self.redactor.redact(error.what), where=error.where, mend=error.mend))
        return plugin

    def settings_model(self, name: str, section: PluginSection) -> type[BaseModel] | None:
        """Import a plugin only to ask for its settings model.

        Raises:
            HostError: It cannot be imported, or its hook does not return a model.
        """
        plugin = LoadedPlugin(name, section, PluginRecord(name=name))
        return self._model(plugin, self._register(plugin, self._object(plugin)))

    def _object(self, plugin: LoadedPlugin) -> object:
        """Stages found, compatible, imported."""
        if plugin.name in self._objects:
            found = self._objects[plugin.name]
            plugin.record = replace(plugin.record, value=_describe(found), stage=Stage.IMPORTED)
            return found
        if plugin.section.object is not None:
            value = plugin.section.object
            distribution, version = _distribution_of(value)
            plugin.record = replace(plugin.record, value=value, distribution=distribution, version=version)
            plugin.reach(Stage.COMPATIBLE)
        else:
            installed = find(plugin.name, self._installed)
            value = installed.value
            plugin.record = replace(
                plugin.record,
                distribution=installed.distribution,
                version=installed.version,
                value=value,
                stage=Stage.FOUND,
            )
            check_compatible(installed)
            plugin.reach(Stage.COMPATIBLE)
        return self._import(plugin, value)

    def _import(self, plugin: LoadedPlugin, value: str) -> object:
        module_name, _, attributes = value.partition(":")
        started = time.perf_counter()
        try:
            with stdout_to_stderr():
                found: object = importlib.import_module(module_name.strip())
        except BaseException as error:
            logger.debug("importing %s failed", value, exc_info=True)
            raise self._import_error(plugin, module_name, error) from error
        finally:
            elapsed = time.perf_counter() - started
            plugin.record = replace(plugin.record, import_ms=round(elapsed * 1000, 1))
        for attribute in filter(None, attributes.partition("[")[0].strip().split(".")):
            if not hasattr(found, attribute):
                raise HostError(
                    f"{value} does not exist: {_describe(found)} has no attribute {attribute!r}"
                    f"{did_you_mean(attribute, dir(found))}",
                    where=plugin.where,
                    mend=f"correct the entry point of {plugin.record.source}"
                    if plugin.section.object is None
                    else f'[plugins.{plugin.name}] object = "{module_name}:..."',
                )
            found = getattr(found, attribute)
        plugin.reach(Stage.IMPORTED)
        if elapsed > self._config.host.import_warning:
            plugin.warn(
                f"importing {module_name} took {elapsed * 1000:.0f} ms "
                f"(more than {self._config.host.import_warning * 1000:.0f} ms); "
                "it delays every start",
                mend="import heavy libraries inside the functions that use them",
            )
        return found

    def _import_error(self, plugin: LoadedPlugin, module_name: str, error: BaseException) -> HostError:
        text = f"importing {module_name} failed: {text_of(error)}"
        if isinstance(error, ModuleNotFoundError) and error.name and not module_name.startswith(error.name):
            mend = f"pip install {error.name.partition('.')[0]}"
        elif plugin.record.distribution:
            mend = f"pip install --upgrade {plugin.record.distribution}, or [plugins.{plugin.name}] enabled = false"
        else:
            mend = f"[plugins.{plugin.name}] enabled = false"
        return HostError(text, where=plugin.where, mend=mend)

    def _register(self, plugin: LoadedPlugin, found: object) -> pluggy.PluginManager:
        """Make a plugin object of what was imported and check its hooks, with a manager of its own."""
        where = plugin.where
        if self._adopt is not None and (adopted := self._adopt(found)) is not None:
            found = adopted.plugin
            for note in adopted.notes:
                plugin.warn(note)
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        _check_hook_names(manager, found, where)
        try:
            manager.register(found, name=plugin.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise HostError(str(error).strip().replace("\n", " "), where=where) from error
        except BaseException as error:
            # register() reads the object's attributes, and a property of the plugin's may raise anything.
            raise HostError(f"registering failed: {text_of(error)}", where=where) from error
        if not manager.get_hookcallers(found):
            raise HostError(
                f"{plugin.record.value} is {_article(found)}, which implements no hook",
                where=where,
                mend="point the entry point at a Plugin, at a module with @hookimpl functions, or at an MCPServer",
            )
        return manager

    def _model(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> type[BaseModel] | None:
        model = self._call(plugin, manager, "mcp_settings", pass_plugin=False)
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise HostError(f"mcp_settings returned {_article(model)}, not a pydantic model class", where=plugin.where)
        return model

    def _configure(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> None:
        model = self._model(plugin, manager)
        settings, secrets = validate_settings(
            model,
            plugin.section.settings,
            plugin=plugin.name,
            source=self._config,
            base_dir=self._config.base_dir,
            environ=self._environ,
        )
        self.redactor.add(*secrets)
        plugin.settings = settings
        plugin.context = PluginContext(
            name=plugin.name,
            settings=settings,
            log=logging.getLogger(f"mcp_host.plugin.{plugin.name}"),
            host=self._facts,
            _data_dir=self._config.data_dir / plugin.name,
        )
        plugin.reach(Stage.CONFIGURED)

    def _collect(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> None:
        items = partial(self._items, plugin, manager)
        verifier = self._call(plugin, manager, "mcp_token_verifier")
        if verifier is not None and not callable(getattr(verifier, "verify_token", None)):
            raise HostError(
                f"mcp_token_verifier returned {_article(verifier)}, which has no verify_token", where=plugin.where
            )
        plugin.contributions = Contributions(
            tools=tuple(item if isinstance(item, Tool) else Tool(item) for item in items("mcp_tools", Tool, callable)),
            resources=items("mcp_resources", Resource),
            prompts=tuple(
                item if isinstance(item, Prompt) else Prompt(item) for item in items("mcp_prompts", Prompt, callable)
            ),
            completions=items("mcp_completions", Completion),
            middleware=items("mcp_middleware", None, callable),
            routes=self._routes(plugin, manager),
            checks=items("mcp_checks", Check),
            lifespan=partial(self._lifespan, plugin, manager),
            token_verifier=verifier,
        )
        plugin.reach(Stage.COLLECTED)

    def _lifespan(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> AbstractAsyncContextManager[Any] | None:
        """A fresh context manager for each start: most can be entered only once."""
        lifespan = self._call(plugin, manager, "mcp_lifespan")
        if lifespan is not None and not isinstance(lifespan, AbstractAsyncContextManager):
            raise HostError(
                f"mcp_lifespan returned {_article(lifespan)}, not an async context manager",
                where=plugin.where,
                mend="decorate it with contextlib.asynccontextmanager",
            )
        return lifespan

    def _routes(self, plugin: LoadedPlugin, manager: pluggy.PluginManager) -> tuple[BaseRoute, ...]:
        if not manager.hook.mcp_routes.get_hookimpls():
            return ()
        from starlette.routing import BaseRoute

        return self._items(plugin, manager, "mcp_routes", BaseRoute)

    def _items(
        self,
        plugin: LoadedPlugin,
        manager: pluggy.PluginManager,
        hook: str,
        kind: type | None,
        accept: Callable[[Any], bool] = lambda _: False,
    ) -> tuple[Any, ...]:
        """Call a hook that returns an iterable and check every item of it."""
        wanted = f"{kind.__name__} objects" if kind else "functions"
        returned = self._call(plugin, manager, hook)
        if returned is None:
            return ()
        if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
            raise HostError(f"{hook} returned {_article(returned)}, not an iterable of {wanted}", where=plugin.where)
        try:
            with stdout_to_stderr():
                items = tuple(returned)
        except BaseException as error:
            raise _hook_error(plugin, hook, error) from error
        for index, item in enumerate(items):
            if not (kind is not None and isinstance(item, kind)) and not accept(item):
                _close(item)
                raise HostError(
                    f"{hook} returned {_article(item)} as item {index}; {wanted} are wanted", where=plugin.where
                )
        return items

    def _call(self, plugin: LoadedPlugin, manager: pluggy.PluginManager, hook: str, *, pass_plugin: bool = True) -> Any:
        """Call one hook of the one plugin of this manager; None when it does not implement it."""
        arguments = {"plugin": plugin.context} if pass_plugin else {}
        try:
            with stdout_to_stderr():
                results: list[Any] = getattr(manager.hook, hook)(**arguments)
        except BaseException as error:
            raise _hook_error(plugin, hook, error) from error
        result = results[0] if results else None
        if inspect.isawaitable(result):
            _close(result)
            raise HostError(
                f"{hook} is async; hooks are plain functions",
                where=plugin.where,
                mend=f"write def {hook}(...), and do what needs awaiting in the lifespan",
            )
        return result


def _check_hook_names(manager: pluggy.PluginManager, found: object, where: str) -> None:
    """Refuse `mcp_*` functions that are no hook, and hooks that were left unmarked: pluggy alone passes over both."""
    module = found.__name__ if inspect.ismodule(found) else None
    for name in dir(found):
        if not name.startswith("mcp_"):
            continue
        try:
            function = inspect.getattr_static(found, name)
        except AttributeError:
            continue
        marked = getattr(function, f"{PROJECT}_impl", None) is not None
        if not marked and not inspect.isroutine(function):
            continue
        if module is not None and not marked and getattr(function, "__module__", module) != module:
            continue
        if name not in HOOKS:
            raise HostError(
                f"{name} is not a hook{did_you_mean(name, HOOKS)}",
                where=where,
                mend=f"hooks: {', '.join(sorted(HOOKS))}",
            )
        if not marked and manager.parse_hookimpl_opts(found, name) is None:
            raise HostError(
                f"{name} is not marked as a hook implementation",
                where=where,
                mend="write @hookimpl above it (from mcp_host import hookimpl)",
            )


def _hook_error(plugin: LoadedPlugin, hook: str, error: BaseException) -> HostError:
    logger.debug("%s of plugin %s failed", hook, plugin.name, exc_info=error)
    return HostError(
        f"{hook} failed: {text_of(error)}",
        where=plugin.where,
        mend="MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)",
    )


def _close(value: object) -> None:
    """Close a coroutine nobody will await, so that Python does not warn about it later."""
    if inspect.iscoroutine(value):
        value.close()


def _describe(value: object) -> str:
    if inspect.ismodule(value):
        return f"module {value.__name__}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _article(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _distribution_of(value: str) -> tuple[str | None, str | None]:
    """Name and version of the distribution that holds the module of `value`, where there is one."""
    from importlib_metadata import packages_distributions, version

    top = value.partition(":")[0].partition(".")[0]
    names = packages_distributions().get(top, ())
    return (names[0], version(names[0])) if names else (None, None)
