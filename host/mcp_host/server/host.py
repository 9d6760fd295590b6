"""One host: the loaded plugins of one configuration, their catalog, and their lifespans while it serves."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from mcp_host._version import __version__
from mcp_host.api import Announce, HostFacts, Reloaded
from mcp_host.calls.dispatch import Dispatcher
from mcp_host.calls.observers import Observers
from mcp_host.calls.outgoing import Outgoing
from mcp_host.catalog.binder import bind
from mcp_host.catalog.catalog import Catalog, build_catalog
from mcp_host.catalog.generations import Generations
from mcp_host.catalog.served import Parts
from mcp_host.config import HostConfig, PluginSection, python_file
from mcp_host.config.ownfiles import code_paths, own_paths
from mcp_host.config.secrets import Redactor
from mcp_host.containment.lifespan import Lifespans
from mcp_host.containment.runner import Tasks
from mcp_host.containment.sessions import Guard
from mcp_host.containment.threads import run_within
from mcp_host.containment.watchdog import Watchdog
from mcp_host.errors import ErrorCode, HostError, Problem
from mcp_host.plugins.builtin import NAME as BUILTIN
from mcp_host.plugins.builtin import builtin_plugin, failure_notice
from mcp_host.plugins.discovery import InstalledPlugin
from mcp_host.plugins.loader import Adopt, Loader
from mcp_host.plugins.plugin import LoadedPlugin
from mcp_host.plugins.records import PluginRecord, Stage, for_clients

logger = logging.getLogger(__name__)

_STOPPING = 1.1
"""Seconds after `[host] shutdown_timeout` within which all lifespans stop."""


class StartRefusedError(HostError):
    """A required plugin failed, so the host does not start."""


class Host:
    """The plugins, the catalog and the dispatcher, without a server.

    A new host loads the plugins of `config`. `installed` are the discovered plugins. `objects` are plugin objects by
    name; they replace entry points. `after_plugin_code` is called each time a plugin's code has run. A plugin's failure
    raises nothing; `records` has it. Without `patient`, the host serves before slow servers that it connects to are up.
    """

    def __init__(
        self,
        config: HostConfig,
        *,
        installed: Sequence[InstalledPlugin] = (),
        objects: Mapping[str, object] | None = None,
        adopt: Adopt | None = None,
        redactor: Redactor | None = None,
        environ: Mapping[str, str] | None = None,
        after_plugin_code: Callable[[LoadedPlugin], None] | None = None,
        patient: bool = True,
    ) -> None:
        self.config = config
        self.redactor = redactor if redactor is not None else Redactor()
        self.outgoing = Outgoing(self.redactor)
        self.reload_problem: Problem | None = None
        self._reload_error_id: str | None = None
        self.on_resource_updated: Announce | None = None
        self.on_catalog_changed: Callable[[Catalog, Catalog], Awaitable[None]] | None = None
        self._own: tuple[HostConfig, tuple[Path, ...]] | None = None
        self._code: tuple[Catalog, tuple[Path, ...]] | None = None
        self._objects = dict(objects or {})
        self._adopt = adopt
        self._environ = environ
        self._patient = patient
        self._guard = Guard()
        self._after_plugin_code = after_plugin_code
        self._generation_numbers = itertools.count(1)
        loader = self._loader(config, installed)
        self._builtin = loader.load(BUILTIN, PluginSection())
        self.plugins: tuple[LoadedPlugin, ...] = loader.load_all()
        self.generations = Generations(self._build(config, self.plugins, {}))
        self._note_failures(self.catalog)
        self.observers = Observers(self.generations, slow=config.host.block_warning, after=after_plugin_code)
        self.dispatcher = Dispatcher(
            self.generations,
            outgoing=self.outgoing,
            observers=self.observers,
            debug=config.host.debug,
            authorize=config.auth is not None,
            after_call=after_plugin_code,
        )
        self._lifespans = Lifespans(
            start_timeout=config.host.start_timeout,
            stop_timeout=config.host.stop_timeout,
            after_start=after_plugin_code,
        )
        self._tasks = Tasks()
        self._loop = ExitStack()
        self._users = 0
        self._changing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._starting: Collection[LoadedPlugin] = ()
        self._collected_again: set[LoadedPlugin] = set()
        self._change: asyncio.Task[Any] | None = None
        self._ends_at: float | None = None

    def _own_paths(self, config: HostConfig) -> tuple[Path, ...]:
        """Return the host's own files: always the same tuple for one configuration."""
        known = self._own
        if known is None or known[0] is not config:
            self._own = known = config, own_paths(config, self._variables)
        return known[1]

    def _code_paths(self) -> tuple[Path, ...]:
        """Return the code that the host runs: always the same tuple for one generation."""
        known = self._code
        if known is None or known[0] is not self.catalog:
            modules = [plugin.module for plugin in self.plugins if plugin.module is not None]
            self._code = known = self.catalog, code_paths(self.config, modules, self._variables)
        return known[1]

    @property
    def _variables(self) -> Mapping[str, str]:
        return os.environ if self._environ is None else self._environ

    def _loader(self, config: HostConfig, installed: Sequence[InstalledPlugin]) -> Loader:
        facts = HostFacts(
            name=config.host.name,
            version=__version__,
            transport=config.transport.kind,
            base_dir=config.base_dir,
            debug=config.host.debug,
            _own_paths=lambda: self._own_paths(self.config),
            _code_paths=self._code_paths,
        )
        builtin = builtin_plugin(self._state)
        return Loader(
            config,
            installed=installed,
            objects={**self._objects, BUILTIN: builtin},
            adopt=self._adopt,
            facts=facts,
            announce=self._announce,
            refresh=self.refresh,
            after_load=self._after_plugin_code,
            redactor=self.redactor,
            environ=self._environ,
            patient=self._patient,
            guarded=self._guard.over,
        )

    async def _announce(self, plugin: str, uri: str) -> None:
        served = self.catalog.resource_at(uri)
        if served is None or served.plugin.name != plugin:
            logger.debug("plugin %s announces %s, which it does not serve", plugin, uri)
        elif self.on_resource_updated is not None:
            await self.on_resource_updated(uri)

    @property
    def catalog(self) -> Catalog:
        """The catalog that is served now."""
        return self.generations.current

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """One record for each plugin of the TOML, in its order, also for disabled plugins."""
        loaded = {plugin.name: plugin.record_now for plugin in self.plugins}
        return tuple(
            loaded.get(name) or PluginRecord(name=name, enabled=False, required=section.required)
            for name, section in self.config.plugins.items()
        )

    @property
    def instructions(self) -> str | None:
        """The configured instructions, with a line about plugins that failed, as clients may see them."""
        of_plugins = (plugin.instructions() for plugin in self.plugins if plugin.alive)
        parts = [self.config.host.instructions, *of_plugins, failure_notice(self.records)]
        text = "\n\n".join(part for part in parts if part)
        return self.outgoing.text(text) if text else None

    def _state(self) -> dict[str, Any]:
        """The records and the problem of the last reload, as clients may see them."""
        problem = None
        if self.reload_problem is not None:
            problem = asdict(for_clients("the new configuration is not served", self._reload_error_id))
        records = [record.for_clients().to_json() for record in self.records]
        state: dict[str, Any] = self.outgoing.of(self._builtin).data({"plugins": records, "reload_problem": problem})
        return state

    def keep_old(self, error: HostError) -> None:
        """Record and log why an edited configuration is not served."""
        self.reload_problem, self._reload_error_id = error.problem, secrets.token_hex(4)
        logger.error(
            "not reloaded, the old configuration is still served (error %s): %s",
            self._reload_error_id,
            "; ".join(problem.text(one_line=True) for problem in error.problems),
        )
        self._reloaded(self.redactor.redact(error.what))

    def _reloaded(self, problem: str | None = None, refreshed: str | None = None) -> None:
        """Send the events of a reload or a refresh that is served, or was refused because of a problem."""
        served = tuple(plugin.name for plugin in self.plugins if plugin.alive)
        self.observers.emit(Reloaded(served=problem is None, plugins=served, problem=problem, refreshed=refreshed))
        self.observers.plugins(self.plugins)

    def require(self) -> None:
        """Raise an error if a required plugin has failed.

        Raises:
            StartRefusedError: A plugin with `required = true`, or any under `[host] on_error = "fail"`, failed.
        """
        strict = self.config.host.on_error == "fail"
        file = python_file(self.config.path)
        for record in self.records:
            if record.problem is not None and (strict or record.required):
                reason = '[host] on_error = "fail"' if strict else f"[plugins.{record.name}] required = true"
                raise StartRefusedError(
                    f"{file[0].name} cannot be served: {record.problem.what}"
                    if file is not None
                    else f"plugin {record.name} failed, and {reason} lets nothing start without it: "
                    f"{record.problem.what}",
                    where=record.problem.where,
                    hint=record.problem.hint,
                    code=record.problem.code,
                )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the plugins' lifespans during the block. Blocks may overlap; the lifespans start only once.

        Raises:
            StartRefusedError: As `require` does, for a plugin that failed to start.
        """
        async with self._changing:
            if self._users == 0:
                await self._start()
            self._users += 1
        try:
            yield
        finally:
            await self._finish(self._leave())

    async def _start(self) -> None:
        self.require()
        self._ends_at = None
        self._tasks = self._loop.enter_context(Tasks.installed())
        self._loop.enter_context(Watchdog.watching(self._tasks.work, self.config.host.block_warning))
        try:
            await self._start_plugins((self._builtin, *self.plugins))
        except BaseException:
            self._loop.close()
            raise
        bound = self._still_bound(self.catalog)
        if bound != self.catalog.parts:
            catalog = self._build(self.config, self.plugins, bound)
            self._note_failures(catalog)
            self.generations.swap(catalog)
        try:
            self.require()
        except StartRefusedError:
            await self._stop()
            raise
        self._serving()
        self.observers.plugins(self.plugins)

    def stop_starting(self) -> None:
        """End the other servers that are being started, because nobody waits for them any more."""
        self._lifespans.stop_starting()

    async def _start_plugins(self, plugins: Collection[LoadedPlugin]) -> None:
        self._starting = plugins
        try:
            await self._lifespans.start(list(plugins))
        finally:
            self._starting = ()

    def _still_bound(self, catalog: Catalog) -> Mapping[LoadedPlugin, Parts]:
        """The parts of a catalog that can be served: not of plugins that failed since, or contribute something else."""
        again, self._collected_again = self._collected_again, set()
        return {plugin: parts for plugin, parts in catalog.parts.items() if plugin.alive and plugin not in again}

    def ending(self) -> None:
        """The whole process is about to end: the lifespans have a common deadline, and the next generation is not made.

        Running calls may end within `[host] shutdown_timeout`. The lifespans share what is left of it, and a second.
        """
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + self.config.host.shutdown_timeout + _STOPPING
            for plugin in (self._builtin, *self.plugins, *self._lifespans.plugins):
                plugin.ending = True
            if self._change is not None:
                self._change.cancel()

    async def _leave(self) -> None:
        if self._users == 1 and self._change is not None:
            self._change.cancel()
        async with self._changing:
            self._users -= 1
            if self._users == 0:
                await self._stop()

    async def _stop(self) -> None:
        for task in self._retiring:
            task.cancel()
        # Also stop the plugins of an older generation that were going to be stopped.
        await self._stop_plugins(dict.fromkeys((self._builtin, *self.plugins, *self._lifespans.plugins)))
        self._loop.close()

    async def _stop_plugins(self, plugins: Collection[LoadedPlugin]) -> None:
        await self._lifespans.stop(plugins, until=self._ends_at)
        await asyncio.gather(*(self._tasks.cancel_left(plugin) for plugin in plugins))

    @asynccontextmanager
    async def _one_change(self) -> AsyncIterator[None]:
        """Wait for another change of what is served, and do not begin one while the host ends, or outlast its end."""
        async with self._changing:
            if self._ends_at is not None:
                raise asyncio.CancelledError("the host is ending")
            self._change = asyncio.current_task()
            try:
                yield
            finally:
                self._change = None

    def _serving(self) -> None:
        for plugin in self.plugins:
            if plugin.alive:
                plugin.reach(Stage.SERVING)

    async def reload(
        self, config: HostConfig, *, installed: Sequence[InstalledPlugin] = (), changed: Collection[str] = ()
    ) -> Catalog:
        """Serve another configuration and return its catalog, or keep the old one unchanged.

        Plugins whose table and distribution are the same are not loaded or started again, unless `changed` names them.
        The others are loaded and started before anything changes. Then the catalog is swapped. A removed plugin is
        stopped after the last call that began before the swap has ended.

        Raises:
            HostError: A new or changed plugin failed. Nothing has changed, and `reload_problem` has the reason.
        """
        async with self._one_change():
            current = {plugin.name: plugin for plugin in self.plugins}
            before = {plugin: plugin.record for plugin in self.plugins}
            # A plugin that already failed may fail again: the new configuration does not make this worse.
            tolerated = {record.name for record in before.values() if record.failed}
            loader = self._loader(config, installed)
            plugins: list[LoadedPlugin] = []
            bound = dict(self.catalog.parts)
            for name, section in config.plugins.items():
                if section.enabled:
                    old = current.get(name)
                    kept = old is not None and name not in changed and loader.is_same(old, section)
                    plugins.append(old if old and kept else await self._load(loader, name, section, bound))
            fresh = [plugin for plugin in plugins if plugin not in before]
            served = self.catalog
            catalog = self._build(config, plugins, bound)
            self._note_failures(catalog)
            try:
                _refuse_failed(plugins, tolerated)
                if self._users:
                    await self._start_plugins(fresh)
                    if self._collected_again:
                        catalog = self._build(config, plugins, self._still_bound(catalog))
                        self._note_failures(catalog)
                    _refuse_failed(plugins, tolerated)
            except BaseException as error:
                if self._users:
                    await self._stop_plugins(fresh)
                for plugin, record in before.items():
                    plugin.record = record
                if isinstance(error, HostError):
                    self.keep_old(error)
                raise
            gone = [plugin for plugin in self.plugins if plugin not in plugins]
            self.config, self.plugins, self.reload_problem = config, tuple(plugins), None
            self.generations.swap(catalog)
            if self._users:
                self._serving()
                self._retire(gone, served.generation)
                self._reloaded()
        await self._changed(served, catalog)
        return catalog

    async def _load(
        self, loader: Loader, name: str, section: PluginSection, bound: dict[LoadedPlugin, Parts]
    ) -> LoadedPlugin:
        """Load a plugin in a thread, and bind what it contributes, within `[host] start_timeout`. Calls continue."""
        plugin, wanted = loader.begin(name, section), True

        def load() -> Parts | None:
            loader.finish(plugin, wanted=lambda: wanted)
            if not plugin.alive:
                return None
            with suppress(HostError):  # which is raised again where the catalog is built, and recorded
                return bind(plugin)
            return None

        try:
            parts = await run_within(loader.timeout, load, name=f"loading plugin {name} for a reload")
        except TimeoutError:
            return loader.stuck(name, section)
        finally:
            wanted = False
        if parts is not None:
            bound[plugin] = parts
        old = next((each for each in self.plugins if each.name == name), None)
        if old is not None:
            _keep_version(plugin, old)
        return plugin

    async def refresh(self, plugin: LoadedPlugin) -> bool:
        """Ask a plugin's hooks again what it contributes, and serve a catalog with that; or keep the old one whole.

        Its hooks and their results are evaluated in one of its threads. While it starts, what it contributes is served
        as soon as it has started. Returns whether the new contributions are served.
        """
        if plugin in self._starting:
            with plugin.listed_again():
                plugin.contributions = await plugin.bulkhead.call_in_thread(plugin.collect)
            if plugin in self._starting:
                self._collected_again.add(plugin)
                return True
            # It has started meanwhile, with what it contributed before.
        if self._ends_at is not None:
            return False
        async with self._one_change():
            if plugin not in self.plugins or not plugin.alive:
                return False
            served, contributed = self.catalog, plugin.contributions
            try:
                with plugin.listed_again():
                    async with asyncio.timeout(self.config.host.start_timeout):
                        plugin.contributions = await plugin.bulkhead.call_in_thread(plugin.collect)
                        parts = await plugin.bulkhead.call_in_thread(partial(bind, plugin))
                    catalog = self._build(self.config, self.plugins, {**served.parts, plugin: parts})
                for error in catalog.failures.values():
                    raise error
            except BaseException as raised:
                plugin.contributions = contributed
                reason = _took_too_long(self.config) if isinstance(raised, TimeoutError) else raised
                if not isinstance(reason, HostError):
                    raise
                what = f"what it contributes now is not served: {reason.what}"
                plugin.warn(what, hint=reason.hint, code=ErrorCode.NOT_REFRESHED)
                self._reloaded(self.redactor.redact(reason.what), plugin.name)
                return False
            self.generations.swap(catalog)
            plugin.take_back(ErrorCode.NOT_REFRESHED)
            plugin.record = replace(plugin.record, contributed=catalog.contributed(plugin))
            self._reloaded(refreshed=plugin.name)
        logger.debug("plugin %s contributes %s now", plugin.name, plugin.record.contributed)
        await self._changed(served, catalog)
        return True

    async def _changed(self, before: Catalog, after: Catalog) -> None:
        if self.on_catalog_changed is not None:
            await self.on_catalog_changed(before, after)

    def _retire(self, plugins: Sequence[LoadedPlugin], generation: int) -> None:
        async def stop_when_unused() -> None:
            await self.generations.drained(generation)
            await self._stop_plugins(plugins)

        if plugins:
            task = asyncio.create_task(stop_when_unused(), name="stopping plugins of an older generation")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    @staticmethod
    async def _finish(leaving: Coroutine[Any, Any, None]) -> None:
        """Wait until this ends, also if the server is cancelled repeatedly. Each lifespan has its own deadline."""
        task = asyncio.ensure_future(leaving)
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while not task.done():
                try:
                    await asyncio.shield(task)
                except asyncio.CancelledError as error:
                    if task.cancelled():
                        raise
                    cancelled = error
        if cancelled is not None:
            raise cancelled

    def _build(
        self, config: HostConfig, plugins: Sequence[LoadedPlugin], bound: Mapping[LoadedPlugin, Parts]
    ) -> Catalog:
        return build_catalog(
            (self._builtin, *plugins),
            generation=next(self._generation_numbers),
            bound=bound,
            endpoint=config.transport.path,
        )

    @staticmethod
    def _note_failures(catalog: Catalog) -> None:
        """Write into the records of the plugins what is served of them, and why one of them serves nothing."""
        for plugin in catalog.plugins:
            if plugin in catalog.failures:
                plugin.fail(catalog.failures[plugin])
            plugin.record = replace(plugin.record, contributed=catalog.contributed(plugin))


def _keep_version(plugin: LoadedPlugin, old: LoadedPlugin) -> None:
    """Record the version whose code runs: Python imports a module once, also if another version is installed since."""
    installed, running = plugin.record.version, old.record.version
    if plugin.module is None or plugin.module in plugin.imported or installed == running:
        return
    plugin.record = replace(plugin.record, version=running)
    plugin.warn(
        f"version {installed} is installed, but the code of version {running} still runs",
        hint="restart the host",
    )


def _took_too_long(config: HostConfig) -> HostError:
    what = f"its hooks did not return within {config.host.start_timeout:g} s"
    return HostError(what, hint='[host] start_timeout = "..."   (longer), or make them quicker')


def _refuse_failed(plugins: Sequence[LoadedPlugin], tolerated: Collection[str]) -> None:
    for plugin in plugins:
        problem = plugin.record.problem
        if problem is not None and plugin.name not in tolerated:
            raise HostError(
                f"the new configuration is not served, because plugin {plugin.name} failed: {problem.what}",
                where=problem.where,
                hint=problem.hint,
                code=problem.code,
            )
