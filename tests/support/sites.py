"""Real plugin distributions in a temporary folder, and hosts in this process that find them there."""

from __future__ import annotations

import base64
import hashlib
import importlib
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import tomlkit

from mcp_host.config import HostConfig, parse_config
from mcp_host.errors import Problem
from mcp_host.plugins.discovery import InstalledPlugin, discover
from mcp_host.plugins.records import PluginRecord
from mcp_host.server.adopt import adopt
from mcp_host.server.host import Host

GOOD = '''
    from mcp_host import Plugin

    plugin = Plugin()


    @plugin.tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b
'''
"""A plugin with the one tool `add`."""


def source_of(name: str) -> str:
    """Return the source of a plugin of `plugins/`."""
    return (Path(__file__).parent / "plugins" / f"{name}.py").read_text(encoding="utf-8")


def build_wheel(
    folder: Path,
    distribution: str,
    files: Mapping[str, str],
    *,
    version: str = "1.0",
    requires: Iterable[str] = ("mcp-host",),
    plugins: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Write the wheel of a pure Python distribution (PEP 427) into `folder` and return its path.

    `files` are texts by path, `plugins` the entry points of the group `mcp.plugins`, `scripts` its programs.
    """
    stem = f"{distribution.replace('-', '_')}-{version}"
    metadata = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    info = {
        "METADATA": "\n".join(metadata) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "top_level.txt": "".join(
            f"{name}\n" for name in sorted({Path(path).parts[0].removesuffix(".py") for path in files})
        ),
    }
    points = {"mcp.plugins": plugins, "console_scripts": scripts}
    for group, named in points.items():
        if named:
            lines = [f"[{group}]", *(f"{name} = {value}" for name, value in named.items()), ""]
            info["entry_points.txt"] = info.get("entry_points.txt", "") + "\n".join(lines)
    everything = {**files, **{f"{stem}.dist-info/{name}": text for name, text in info.items()}}
    record = [_record_line(path, text) for path, text in everything.items()]
    record.append(f"{stem}.dist-info/RECORD,,")
    everything[f"{stem}.dist-info/RECORD"] = "\n".join(record) + "\n"
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in everything.items():
            archive.writestr(path, text)
    return wheel


def _record_line(path: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text.encode())}"


@dataclass(frozen=True)
class Site:
    """A site directory that is on `sys.path` during a test."""

    folder: Path
    wheels: Path

    def install(self, distribution: str, files: Mapping[str, str], **details: Any) -> Path:
        """Install a distribution from its wheel. The arguments are those of `build_wheel`."""
        dedented = {path: dedent(text) for path, text in files.items()}
        wheel = build_wheel(self.wheels, distribution, dedented, **details)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.folder)
        importlib.invalidate_caches()
        return wheel

    def plugin(self, name: str, source: str = GOOD, *, attribute: str = "plugin", **details: Any) -> None:
        """Install `mcp-plugin-NAME`: one package and the entry point NAME, which names an attribute or all of it."""
        package = f"mcp_plugin_{name}".replace("-", "_").replace(".", "_")
        value = f"{package}:{attribute}" if attribute else package
        self.install(
            f"mcp-plugin-{name}".replace(".", "-"),
            {f"{package}/__init__.py": source},
            **{"plugins": {name: value}, **details},
        )

    def discover(self) -> tuple[InstalledPlugin, ...]:
        return discover([str(self.folder)])

    def config(self, toml: str) -> HostConfig:
        return parse_config(dedent(toml), environ={}, overrides={"host": {"data_dir": str(self.folder / "data")}})

    def host(self, toml: str, *, environ: Mapping[str, str] | None = None) -> Host:
        """Load the plugins that a text of mcp-host.toml names, as `mcp-host run` would."""
        return Host(self.config(toml), installed=self.discover(), adopt=adopt, environ=environ or {})

    def load(self, toml: str) -> dict[str, PluginRecord]:
        """Return the records by plugin name."""
        return {record.name: record for record in self.host(toml).records}

    def forget(self) -> None:
        """Remove the modules that were imported from here from `sys.modules`."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file is not None and str(file).startswith(str(self.folder)):
                del sys.modules[name]


def problem(record: PluginRecord) -> Problem:
    assert record.problem is not None, f"plugin {record.name} did not fail"
    return record.problem


def apply_hint(toml: str, hint: str) -> str:
    """Write the line of a hint into the table that it names. It replaces an old line with the same key."""
    header, _, line = hint.partition("] ")
    (change,) = tomlkit.parse(line).items()
    document = tomlkit.parse(dedent(toml))
    table: Any = document
    for key in _keys(header.removeprefix("[")):
        table = table[key]
    _set(table, [change])
    return tomlkit.dumps(document)


def _keys(header: str) -> list[str]:
    parsed: Any = tomlkit.parse(f"[{header}]").unwrap()
    keys = []
    while parsed:
        ((key, parsed),) = parsed.items()
        keys.append(key)
    return keys


def _set(table: Any, changes: Iterable[tuple[str, Any]]) -> None:
    for key, value in changes:
        if isinstance(value, dict) and key in table:
            _set(table[key], value.items())
        else:
            table[key] = value
