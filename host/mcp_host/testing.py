"""Tests of a plugin with a real client, in memory: nothing that happens to be installed is discovered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from mcp import Client

from mcp_host.authoring.plugincheck import contract
from mcp_host.config import HostConfig, load_config, parse_config
from mcp_host.errors import HostError
from mcp_host.plugins.discovery import discover
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host
from mcp_host.server.hostserver import HostServer

__all__ = ["Mode", "connect", "contract", "make_host"]

Mode = Literal["auto", "legacy"] | str
"""`auto` speaks 2026-07-28, `legacy` the handshake versions; a version pins one."""


def make_host(
    plugin_or_config: object,
    *,
    name: str = "plugin",
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Host:
    """Load plugins as `mcp-host run` would, without serving them; the host's `records` say how each fared.

    `plugin_or_config` is a plugin in any of its forms (a `Plugin`, a module or object of hooks, an `MCPServer`),
    a dict of several by name, or a `HostConfig` or path of a TOML file, whose plugins are then looked for among
    the installed ones. `settings` are the one plugin's, `options` the rest of the file as nested dicts:
    `{"host": {"debug": True}, "plugins": {"plugin": {"prefix": "x_"}}}`.
    """
    if isinstance(plugin_or_config, HostConfig | Path):
        config = plugin_or_config if isinstance(plugin_or_config, HostConfig) else load_config(plugin_or_config)
        return Host(config, installed=discover(), adopt=adopt)
    objects = dict(plugin_or_config) if isinstance(plugin_or_config, Mapping) else {name: plugin_or_config}
    given = {key: dict(value) for key, value in (options or {}).items()}
    plugins = {plugin: dict(given.get("plugins", {}).get(plugin, {})) for plugin in objects}
    if settings is not None:
        plugins[next(iter(objects))]["settings"] = dict(settings)
    config = parse_config("", source="mcp-host.toml", overrides={**given, "plugins": plugins}, environ={})
    return Host(config, objects=objects, adopt=adopt)


@asynccontextmanager
async def connect(
    plugin_or_config: object,
    *,
    name: str = "plugin",
    settings: Mapping[str, Any] | None = None,
    mode: Mode = "auto",
    options: Mapping[str, Any] | None = None,
    **client_options: Any,
) -> AsyncIterator[Client]:
    """Serve a plugin in memory and yield a connected `mcp.Client`.

    The arguments are `make_host`'s; `mode` is the protocol era and `client_options` are further arguments of
    `mcp.Client` (`elicitation_callback=...`).

    Raises:
        HostError: A plugin failed to load or to start; the text is its record's.
    """
    host = make_host(plugin_or_config, name=name, settings=settings, options=options)
    _raise_failures(host)
    server = HostServer(host)
    async with host.running():
        _raise_failures(host)
        async with Client(server, mode=mode, **client_options) as client:
            yield client


def _raise_failures(host: Host) -> None:
    for record in host.records:
        if record.problem is not None:
            raise HostError(**vars(record.problem))
