"""One host: the plugins of one configuration loaded, the catalog they make, and their lifespans while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from mcp_host._version import __version__
from mcp_host.api import HostFacts
from mcp_host.builtin import NAME as BUILTIN
from mcp_host.builtin import builtin_plugin, failure_notice
from mcp_host.catalog import Catalog, build_catalog
from mcp_host.config import HostConfig, PluginSection
from mcp_host.discovery import InstalledPlugin
from mcp_host.dispatch import Dispatcher
from mcp_host.errors import HostError
from mcp_host.lifespan import Lifespans
from mcp_host.loader import Adopt, LoadedPlugin, Loader
from mcp_host.records import PluginRecord, Stage
from mcp_host.config.secrets import Redactor

logger = logging.getLogger(__name__)


class StartRefusedError(HostError):
    """A plugin that the configuration insists on failed, so the host does not start."""


class Host:
    """Everything behind the server, without the server.

    Making one loads the plugins of `config`: `installed` is what discovery found, `objects` are plugin objects
    by name in place of entry points. Nothing raises for a plugin's own fault: `records` tells.
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
    ) -> None:
        self.config = config
        self.redactor = redactor if redactor is not None else Redactor()
        facts = HostFacts(
            name=config.host.name,
            version=__version__,
            transport=config.transport.kind,
            base_dir=config.base_dir,
            debug=config.host.debug,
        )
        builtin = builtin_plugin(lambda: self.records)
        loader = Loader(
            config,
            installed=installed,
            objects={**(objects or {}), BUILTIN: builtin},
            adopt=adopt,
            facts=facts,
            redactor=self.redactor,
            environ=environ,
        )
        self._builtin = loader.load(BUILTIN, PluginSection())
        self.plugins: tuple[LoadedPlugin, ...] = loader.load_all()
        self.catalog = self._build(None)
        self.dispatcher = Dispatcher(lambda: self.catalog, debug=config.host.debug, authorize=config.auth is not None)
        self._lifespans = Lifespans(start_timeout=config.host.start_timeout, stop_timeout=config.host.stop_timeout)
        self._users = 0
        self._changing = asyncio.Lock()

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """One record for each plugin of the TOML, in its order, the disabled ones too."""
        loaded = {plugin.name: plugin.record for plugin in self.plugins}
        return tuple(
            loaded.get(name) or PluginRecord(name=name, enabled=False, required=section.required)
            for name, section in self.config.plugins.items()
        )

    @property
    def instructions(self) -> str | None:
        """The configured instructions, with a line about plugins that failed."""
        parts = [self.config.host.instructions, failure_notice(self.records)]
        return "\n\n".join(part for part in parts if part) or None

    def require(self) -> None:
        """Refuse to go on without the plugins the configuration insists on.

        Raises:
            StartRefusedError: A plugin with `required = true`, or any under `[host] on_error = "fail"`, failed.
        """
        strict = self.config.host.on_error == "fail"
        for record in self.records:
            if record.problem is not None and (strict or record.required):
                reason = '[host] on_error = "fail"' if strict else f"[plugins.{record.name}] required = true"
                raise StartRefusedError(
                    f"plugin {record.name} failed, and {reason} lets nothing start without it: {record.problem.what}",
                    where=record.problem.where,
                    mend=record.problem.mend,
                )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the plugins' lifespans entered for the block; blocks may overlap, and the lifespans are entered once.

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
            self._users -= 1
            if self._users == 0:
                await self._finish(self._lifespans.stop())

    async def _start(self) -> None:
        self.require()
        await self._lifespans.start((self._builtin, *self.plugins))
        if any(plugin.record.failed and plugin in self.catalog.parts for plugin in self.plugins):
            self.catalog = self._build(self.catalog)
        try:
            self.require()
        except StartRefusedError:
            await self._lifespans.stop()
            raise
        for plugin in self.plugins:
            if plugin.alive:
                plugin.reach(Stage.SERVING)

    @staticmethod
    async def _finish(leaving: Coroutine[Any, Any, None]) -> None:
        """Await to the end, however often the server is cancelled meanwhile: each lifespan has its own deadline."""
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

    def _build(self, previous: Catalog | None) -> Catalog:
        catalog = build_catalog(
            (self._builtin, *self.plugins),
            previous=previous,
            default_timeout=self.config.host.call_timeout,
            endpoint=self.config.transport.path,
        )
        for plugin in self.plugins:
            if not plugin.alive:
                plugin.record = replace(plugin.record, contributed=type(plugin.record.contributed)())
        return catalog
