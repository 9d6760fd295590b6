"""Takes one plugin at a time from `found` to `collected`, through pluggy, and keeps every failure with its plugin."""

from __future__ import annotations

import importlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import BaseModel

from mcp_host import hookspecs
from mcp_host.api import PROJECT, Check, Completion, HostFacts, Middleware, PluginContext, Prompt, Resource, Tool
from mcp_host.bulkhead import Bulkhead
from mcp_host.config import HostConfig, Limits, PluginSection
from mcp_host.config.origins import dotted
from mcp_host.config.secrets import Redactor, validate_settings
from mcp_host.discovery import InstalledPlugin, check_compatible, find, installed_from
from mcp_host.errors import HostError, did_you_mean, text_of
from mcp_host.records import PluginRecord, Problem, Stage
from mcp_host.stdout import stdout_to_stderr

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from starlette.routing import BaseRoute

logger = logging.getLogger(__name__)

_TRACEBACK = "MCP_LOG_LEVEL=debug mcp-host check   (shows the traceback)"

HOOKS: frozenset[str] = frozenset(name for name in vars(hookspecs) if name.startswith("mcp_"))


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

    `default_timeout` is the deadline, in seconds, of what has none of its own. `bulkhead` is what its calls go through,
    `left_tasks` what still ran when it had stopped.
    Identity matters: a plugin that a reload leaves alone stays the same object.
    """

    name: str
    section: PluginSection
    record: PluginRecord
    settings: Any = None
    context: PluginContext[Any] | None = None
    contributions: Contributions = field(default_factory=Contributions)
    state: Any = None
    redactor: Redactor = field(default_factory=Redactor)
    limits: Limits = field(default_factory=Limits)
    default_timeout: float | None = None
    left_tasks: list[str] = field(default_factory=list)
    bulkhead: Bulkhead = field(init=False)

    def __post_init__(self) -> None:
        self.bulkhead = Bulkhead(self.name, self.limits)

    def reach(self, stage: Stage) -> None:
        self.record = replace(self.record, stage=stage)

    def fail(self, error: HostError) -> None:
        """Stop here: the plugin serves nothing, and its record says why."""
        redact = self.redactor.redact
        problem = Problem(redact(error.what), error.where, redact(error.mend))
        self.record = replace(self.record, problem=problem)
        logger.error("plugin %s: %s%s", self.name, problem.what, f" | mend: {problem.mend}" if problem.mend else "")

    def warn(self, what: str, *, mend: str = "") -> None:
        """Add a warning to the record and the log, once."""
        what = self.redactor.redact(what)
        if any(warning.what == what for warning in self.record.warnings):
            return
        self.record = replace(
            self.record, warnings=(*self.record.warnings, Problem(what, dotted(("plugins", self.name)), mend))
        )
        logger.warning("plugin %s: %s", self.name, what)

    @property
    def record_now(self) -> PluginRecord:
        """The record, with how the plugin fares at the moment if it serves."""
        if self.record.stage != Stage.SERVING or self.record.failed:
            return self.record
        return replace(self.record, health=self.bulkhead.health)

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
        return f"{dotted(('plugins', self.name))} ({self.record.source})"

    @property
    def table(self) -> str:
        """The header of the plugin's table in the TOML, before the line that a mend says to write there."""
        return f"[{dotted(('plugins', self.name))}]"


class Loader:
    """Loads the plugins of one configuration.

    `installed` is what discovery found; `objects` are plugin objects by name that take the place of an entry
    point (a test's, or one that is not installed). `adopt` is asked for objects that have no hooks.
    `announce(plugin, uri)` is what a plugin's notice of a changed resource goes to.
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
        after_load: Callable[[LoadedPlugin], None] | None = None,
        redactor: Redactor | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._installed = installed
        self._objects = dict(objects or {})
        self._adopt = adopt
        self._facts = facts
        self._announce = announce
        self._after_load = after_load
        self._environ = environ
        self.redactor = redactor if redactor is not None else Redactor()

    def load_all(self) -> tuple[LoadedPlugin, ...]:
        """Load every enabled plugin of the TOML, in its order. Never raises for a plugin's own fault."""
        return tuple(self.load(name, section) for name, section in self._config.plugins.items() if section.enabled)

    def load(self, name: str, section: PluginSection) -> LoadedPlugin:
        """Take one plugin as far as it goes; its record says how far that was."""
        plugin = LoadedPlugin(
            name,
            section,
            PluginRecord(name=name, required=section.required),
            redactor=self.redactor,
            limits=self._limits(section),
            default_timeout=self._config.host.call_timeout,
        )
        try:
            with _contained(plugin, "loading"):
                manager = self._register(plugin, self._object(plugin))
                self._configure(plugin, manager)
                self._collect(plugin, manager)
        except HostError as error:
            plugin.fail(error)
        if self._after_load is not None:
            self._after_load(plugin)
        return plugin

    def is_same(self, plugin: LoadedPlugin, section: PluginSection) -> bool:
        """Whether loading this table now would give what `plugin`, which is served, already is."""
        if not plugin.alive or plugin.section != section:
            return False
        if (plugin.limits, plugin.default_timeout) != (self._limits(section), self._config.host.call_timeout):
            return False
        if plugin.name in self._objects or section.object is not None:
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
        """Import a plugin only to ask for its settings model.

        Raises:
            HostError: It cannot be imported, or its hook does not return a model.
        """
        plugin = LoadedPlugin(name, section, PluginRecord(name=name))
        with _contained(plugin, "loading"):
            return self._model(plugin, self._register(plugin, self._object(plugin)))

    def _object(self, plugin: LoadedPlugin) -> object:
        """Stages found, compatible, imported."""
        if plugin.name in self._objects:
            found = self._objects[plugin.name]
            plugin.record = replace(plugin.record, value=_describe(found), stage=Stage.IMPORTED)
            return found
        value = plugin.section.object
        if value is not None:
            installed = installed_from(value, name=plugin.name)
        else:
            installed = find(plugin.name, self._installed)
            value = installed.value
        plugin.record = replace(plugin.record, value=value, stage=Stage.FOUND)
        if installed is not None:
            plugin.record = replace(plugin.record, distribution=installed.distribution, version=installed.version)
            check_compatible(installed)
        plugin.reach(Stage.COMPATIBLE)
        return self._import(plugin, value)

    def _import(self, plugin: LoadedPlugin, value: str) -> object:
        # An entry point may end in extras: "package.module:attribute [extra]".
        path, _, attributes = value.partition("[")[0].partition(":")
        module_name = path.strip()
        started = time.perf_counter()
        try:
            found: object = importlib.import_module(module_name)
        except BaseException as error:
            logger.debug("importing %s failed", value, exc_info=True)
            raise self._import_error(plugin, module_name, error) from error
        finally:
            elapsed = time.perf_counter() - started
            plugin.record = replace(plugin.record, import_ms=round(elapsed * 1000, 1))
        for attribute in filter(None, attributes.strip().split(".")):
            try:
                found = getattr(found, attribute)
            except AttributeError as error:
                raise HostError(
                    f"{value} does not exist: {_describe(found)} has no attribute {attribute!r}"
                    f"{did_you_mean(attribute, dir(found))}",
                    where=plugin.where,
                    mend=f"correct the entry point of {plugin.record.source}"
                    if plugin.section.object is None
                    else f'{plugin.table} object = "{module_name}:..."',
                ) from error
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
        distribution = plugin.record.distribution
        missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
        off = f"{plugin.table} enabled = false"
        if missing and (f"{module_name}.".startswith(f"{missing}.") or missing.startswith(f"{module_name}.")):
            package = missing.partition(".")[0].replace("_", "-")
            mend = f"pip install {f'--force-reinstall {distribution}' if distribution else package}"
        elif missing:
            mend = f"pip install {missing.partition('.')[0]}"
        else:
            mend = f"pip install --upgrade {distribution}, or {off}" if distribution else off
        return HostError(f"importing {module_name} failed: {text_of(error)}", where=plugin.where, mend=mend)

    def _register(self, plugin: LoadedPlugin, found: object) -> pluggy.PluginManager:
        """Make a plugin object of what was imported and check its hooks, with a manager of its own."""
        where = plugin.where
        if self._adopt is not None and (adopted := self._adopt(found)) is not None:
            found = adopted.plugin
            for note in adopted.notes:
                plugin.warn(note)
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        implemented = _hooks_of(manager, found, where)
        try:
            manager.register(found, name=plugin.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise HostError(
                " ".join(str(error).split()), where=where, mend="a hook takes `plugin`, or nothing"
            ) from error
        if not implemented:
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
        try:
            settings, secrets = validate_settings(
                model,
                plugin.section.settings,
                plugin=plugin.name,
                source=self._config,
                base_dir=self._config.base_dir,
                environ=self._environ,
            )
        except HostError:
            raise
        except BaseException as error:
            # What a validator raises may quote a secret: its text is not repeated.
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
        with _contained(plugin, "starting"):
            lifespan = self._call(plugin, manager, "mcp_lifespan")
            if lifespan is None or isinstance(lifespan, AbstractAsyncContextManager):
                return lifespan
        raise HostError(
            f"mcp_lifespan returned {_article(lifespan)}, not an async context manager",
            where=plugin.where,
            mend="decorate it with contextlib.asynccontextmanager",
        )

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
            raise HostError(
                f"{hook} returned {_article(returned)}, not an iterable of {wanted}",
                where=plugin.where,
                mend="return a list",
            )
        try:
            items = tuple(returned)
        except BaseException as error:
            raise _hook_error(plugin, hook, error) from error
        for index, item in enumerate(items):
            if not (kind is not None and isinstance(item, kind)) and not accept(item):
                for unwanted in items[index:]:
                    _close(unwanted)
                raise HostError(
                    f"{hook} returned {_article(item)} as item {index}; {wanted} are wanted", where=plugin.where
                )
        return items

    def _call(self, plugin: LoadedPlugin, manager: pluggy.PluginManager, hook: str, *, pass_plugin: bool = True) -> Any:
        """Call one hook of the one plugin of this manager; None when it does not implement it."""
        arguments = {"plugin": plugin.context} if pass_plugin else {}
        try:
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


@contextmanager
def _contained(plugin: LoadedPlugin, doing: str) -> Iterator[None]:
    """Keep stdout and every exception of the block: any attribute of a plugin's object may print or raise.

    Raises:
        HostError: In place of whatever was raised.
    """
    try:
        with stdout_to_stderr():
            yield
    except HostError:
        raise
    except BaseException as error:
        logger.debug("%s plugin %s failed", doing, plugin.name, exc_info=error)
        raise HostError(f"{doing} failed: {text_of(error)}", where=plugin.where, mend=_TRACEBACK) from error


def _hooks_of(manager: pluggy.PluginManager, found: object, where: str) -> frozenset[str]:
    """Return the hooks that an object implements, and refuse what pluggy would pass over or call in vain.

    Raises:
        HostError: An unknown hook, one that is left unmarked or no function, implemented twice or as a wrapper,
            or a class in place of an instance.
    """
    implemented: set[str] = set()
    for name in dir(found):
        options = manager.parse_hookimpl_opts(found, name)
        if options is None:
            _refuse_unmarked(found, name, where)
            continue
        hook = options.get("specname") or name
        if hook not in HOOKS:
            if options.get("optionalhook"):
                continue
            raise _unknown_hook(hook, where)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise HostError(
                f"{name} is a hook wrapper, and there is nothing to wrap: each plugin's hooks are called by themselves",
                where=where,
                mend="write @hookimpl without wrapper=True, and return a list",
            )
        if hook in implemented:
            raise HostError(f"{hook} is implemented twice", where=where, mend="return everything from one function")
        if inspect.isclass(found) and inspect.isfunction(inspect.getattr_static(found, name)):
            raise HostError(
                f"{found.__name__} is a class, and its hook {name} needs an instance",
                where=where,
                mend=f"write plugin = {found.__name__}() below it, and name that in the entry point",
            )
        implemented.add(hook)
    return frozenset(implemented)


def _refuse_unmarked(found: object, name: str, where: str) -> None:
    if not name.startswith("mcp_"):
        return
    value = inspect.getattr_static(found, name, None)
    if not callable(value) or inspect.isclass(value):
        return
    home = getattr(value, "__module__", None)
    if name not in HOOKS:
        # A helper that a module imports from elsewhere may be called what it likes.
        if inspect.isroutine(value) and not (inspect.ismodule(found) and home != found.__name__):
            raise _unknown_hook(name, where)
    elif home != hookspecs.__name__:
        marked = getattr(value, f"{PROJECT}_impl", None) is not None
        plain = inspect.isroutine(value) and not marked
        kind = "not marked as a hook implementation" if plain else f"{_article(value)}, no function"
        raise HostError(
            f"{name} is {kind}",
            where=where,
            mend="write @hookimpl above it (from mcp_host import hookimpl)",
        )


def _unknown_hook(name: str, where: str) -> HostError:
    return HostError(
        f"{name} is not a hook{did_you_mean(name, HOOKS)}", where=where, mend=f"hooks: {', '.join(sorted(HOOKS))}"
    )


def _hook_error(plugin: LoadedPlugin, hook: str, error: BaseException) -> HostError:
    logger.debug("%s of plugin %s failed", hook, plugin.name, exc_info=error)
    return HostError(
        f"{hook} failed: {text_of(error)}",
        where=plugin.where,
        mend=_TRACEBACK,
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
