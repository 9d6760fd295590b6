"""`mcp-host plugins`: lists the installed plugins and which of them are enabled."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from mcp_host.cli.common import ConfigOption, JsonOption, read_config
from mcp_host.cli.output import print_json, problem_text, table, write
from mcp_host.errors import HostError, Problem
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.config import HostConfig
    from mcp_host.plugins.discovery import InstalledPlugin


@dataclass(frozen=True)
class Listed:
    """One line of `mcp-host plugins`, from metadata and the TOML. Nothing is imported."""

    name: str
    distribution: str | None
    version: str | None
    status: str
    problem: Problem | None = None
    value: str = "-"


NOT_ENABLED = "not enabled"


def plugins(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed plugins and which are enabled.

    No plugin is imported.
    """
    from mcp_host.plugins.discovery import discover

    settings = read_config(config)
    listed = _list(settings, discover())
    if as_json:
        print_json({"config": str(settings.path) if settings.path else None, "plugins": [asdict(x) for x in listed]})
        return
    if not listed:
        write("No plugins are installed.")
    else:
        rows = [(x.name, f"{x.distribution} {x.version}" if x.distribution else x.value, x.status) for x in listed]
        write(table(("plugin", "from", "status"), rows, sys.stdout))
    for entry in listed:
        if entry.problem is not None:
            write("\n" + problem_text(entry.problem, f"plugin {entry.name}"))
    write("")
    if off := [x.name for x in listed if x.status == NOT_ENABLED]:
        write(printable(f"To enable a plugin, name it in the configuration: [plugins.{off[0]}]"))
    write(printable(f"Configuration: {settings.path or 'none (mcp-host init writes one)'}"))


def _list(config: HostConfig, installed: Sequence[InstalledPlugin]) -> list[Listed]:
    from mcp_host.plugins.discovery import by_name, check_compatible, find

    claims = by_name(installed)
    listed = []
    for name, section in config.plugins.items():
        status = "enabled" if section.enabled else "disabled"
        value = section.object or section.url or (shlex.join(section.command) if section.command else None)
        if value is not None:
            listed.append(Listed(name, None, None, status, value=value))
            continue
        claim = claims.get(name, ())
        distribution, version = (claim[0].distribution, claim[0].version) if claim else (None, None)
        try:
            check_compatible(find(name, installed))
            listed.append(Listed(name, distribution, version, status))
        except HostError as error:
            status = "cannot be loaded" if section.enabled else status
            problem = replace(error.problem, where=config.where("plugins", name))
            listed.append(Listed(name, distribution, version, status, problem))
    for name, claim in claims.items():
        for plugin in claim if name not in config.plugins else ():
            listed.append(Listed(name, plugin.distribution, plugin.version, NOT_ENABLED, value=plugin.value))
    return listed
