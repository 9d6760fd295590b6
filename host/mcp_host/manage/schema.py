"""`mcp-host schema`: writes the JSON Schema of mcp-host.toml, for editors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mcp_host.cli.common import ConfigOption, command_stdout, read_config
from mcp_host.cli.output import problem_text, write
from mcp_host.cli.outputfile import refuse_unwritable, write_output
from mcp_host.errors import HostError

SCHEMA_FILE = "mcp-host.schema.json"


def schema(
    config: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help=f"The file to write; - is stdout. Default: {SCHEMA_FILE}."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Import all installed plugins, not only the enabled ones.")
    ] = False,
) -> None:
    """Write the JSON Schema of mcp-host.toml, for editors.

    It includes the settings of the plugins, so that an editor completes and checks them, too.
    """
    from mcp_host.api import HostFacts
    from mcp_host.config import PluginSection
    from mcp_host.config.schema import config_schema
    from mcp_host.plugins.discovery import discover
    from mcp_host.plugins.loader import Loader

    settings = read_config(config)
    target = output or settings.base_dir / SCHEMA_FILE
    if output != Path("-"):
        refuse_unwritable(target, default=SCHEMA_FILE)
    installed = discover()
    sections = {name: section for name, section in settings.plugins.items() if section.enabled}
    if every:
        sections = {**{plugin.name: PluginSection() for plugin in installed}, **sections}
    with command_stdout() as stdout:
        from mcp_host.server.adopt import adopt

        facts = HostFacts(settings.host.name, "", settings.transport.kind, settings.base_dir)
        loader = Loader(settings, installed=installed, adopt=adopt, facts=facts)
        models = {}
        for name, section in sections.items():
            try:
                models[name] = loader.settings_model(name, section)
            except HostError as error:
                # The rest of the schema is still useful. An editor accepts any settings for this plugin.
                write(problem_text(error.problem, f"left out plugin {name}"), sys.stderr)
        text = json.dumps(config_schema(models), indent=2) + "\n"
        if output == Path("-"):
            stdout.write(text)
            return
        write_output(target, text.encode())
        write(f"Wrote {target}. Editors use it when mcp-host.toml starts with: #:schema {target.name}", stdout)
