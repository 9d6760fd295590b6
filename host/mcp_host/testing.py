"""Tests of a plugin with a real client in memory. Installed plugins are not discovered."""

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
"""The protocol era: `auto` is 2026-07-28, `legacy` a handshake version. A version number selects that version."""


def make_host(
    plugin_or_config: object,
    *,
    name: str = "plugin",
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Host:
    """Load plugins as `mcp-host run` does, without serving them. The host's `records` have the result for each.

    `plugin_or_config` is a plugin in any form (a `Plugin`, a module or object with hooks, an `MCPServer`), a dict of
    several plugins by name, a `HostConfig`, or the path of a TOML file. For a configuration or a file, the plugins are
    found among the installed ones. `settings` are the settings of the plugin. `options` is the rest of the file as
    nested dicts: `{"host": {"debug": True}, "plugins": {"plugin": {"prefix": "x_"}}}`.
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

    The other arguments are those of `make_host`. `mode` is the protocol era. `client_options` are more arguments of
    `mcp.Client` (`elicitation_callback=...`).

    Raises:
        HostError: A plugin failed to load or to start. The text is the problem in its record.
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
