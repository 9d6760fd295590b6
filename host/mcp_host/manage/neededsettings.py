"""The settings that a plugin requires and that the file does not have: found in its JSON Schema, asked for or shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from mcp_host.cli.output import write
from mcp_host.config.origins import dotted
from mcp_host.config.references import looks_secret
from mcp_host.system.texts import one_line, printable


@dataclass(frozen=True)
class NeededSetting:
    """One required setting: the plugin, its key, its type in the words of JSON Schema, and its description."""

    plugin: str
    key: str
    type: str
    description: str
    secret: bool

    @property
    def variable(self) -> str:
        """The environment variable that a secret is expected in."""
        return re.sub(r"\W+", "_", f"{self.plugin}_{self.key}").upper()

    @property
    def line(self) -> str:
        """The line to write into the plugin's table."""
        value = f'{{ env = "{self.variable}" }}' if self.secret else "..."
        about = one_line(f"{self.type}{f': {self.description}' if self.description else ''}")
        return f"{dotted(('settings', self.key))} = {value}   # {about}"

    def asked(self) -> Any:
        """Ask for the value. An empty answer is None. A secret is never asked for, only the variable with it."""
        about = f"{self.plugin}: {self.key} ({self.type}){f', {self.description}' if self.description else ''}"
        write(printable(f"\n{one_line(about)}"), sys.stderr)
        if self.secret:
            answer = typer.prompt("The environment variable with it", default=self.variable, err=True).strip()
            return {"env": answer}
        while True:
            answer = typer.prompt(self.key, default="", show_default=False, err=True).strip()
            if not answer or self.type == "string":
                return answer or None
            try:
                return tomllib.loads(f"value = {answer}")["value"]
            except tomllib.TOMLDecodeError:
                write('a value as TOML writes it, such as 5, true or ["a", "b"]', sys.stderr)


def needed_settings(path: Path, names: Sequence[str], given: Mapping[str, Mapping[str, Any]]) -> list[NeededSetting]:
    """Return what these plugins require beyond the settings that are given, by plugin.

    Another process imports the plugins, because this one may have imported modules before they were installed.
    """
    command = [sys.executable, "-P", "-m", "mcp_host", "schema", "--output", "-", "--config", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        return []
    plugins = json.loads(done.stdout)["properties"]["plugins"]["properties"]
    return [
        each
        for name in names
        if name in plugins
        for each in needed_in(name, plugins[name]["properties"]["settings"], given.get(name, {}))
    ]


def needed_in(plugin: str, schema: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[NeededSetting]:
    """Yield the required settings of one plugin's schema that are not given."""
    for key in schema.get("required", ()):
        if key in given:
            continue
        outer = schema.get("properties", {}).get(key, {})
        inner: Mapping[str, Any] = next((each for each in outer.get("anyOf", [outer]) if each), {})
        hidden = inner.get("format") == "password" or inner.get("writeOnly") is True or looks_secret(key)
        yield NeededSetting(plugin, key, _type_of(inner), outer.get("description", ""), hidden)


def _type_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(each) for each in schema["enum"])
    found = schema.get("type") or " or ".join(filter(None, (each.get("type") for each in schema.get("anyOf", ()))))
    return found if isinstance(found, str) and found else "a table" if "$ref" in schema else "any"
