"""What the tests of the first-party plugins share: reading a README, and building a wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PLUGINS = Path(__file__).parents[2] / "plugins"


class Readme:
    """The README of a plugin."""

    def __init__(self, plugin: str) -> None:
        self.text = (PLUGINS / f"mcp-plugin-{plugin}" / "README.md").read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of code in a language."""
        return re.findall(rf"```{language}\n(.*?)```", self.text, re.DOTALL)

    def session(self) -> list[tuple[str, str]]:
        """Return the commands of the one session, each with what it prints."""
        (console,) = self.blocks("console")
        parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
        return [(command, output.rstrip("\n")) for command, _, output in (part.partition("\n") for part in parts)]

    def section(self, heading: str) -> str:
        """Return what is below a heading of the second level."""
        return self.text.partition(f"## {heading}")[2].partition("\n## ")[0]

    def rows(self, heading: str) -> dict[str, str]:
        """Return the second cell of each row of the table whose first column has this heading."""
        table = self.text.partition(f"| {heading} |")[2].partition("\n\n")[0]
        return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))


def in_wheel(plugin: str, folder: Path) -> dict[str, bytes]:
    """Build the wheel of a plugin in a folder, and return its files by name."""
    source = folder / "source"
    shutil.copytree(PLUGINS / f"mcp-plugin-{plugin}", source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def project_of(plugin: str) -> dict[str, Any]:
    """Return the `[project]` table of a plugin."""
    text = (PLUGINS / f"mcp-plugin-{plugin}" / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def is_licensed(names: Iterable[str]) -> bool:
    """Return whether a wheel has a licence."""
    return any(name.endswith("licenses/LICENSE") for name in names)


def needs_the_host(plugin: str) -> bool:
    """Return whether a plugin requires mcp-host, from some version on."""
    return any(requirement.startswith("mcp-host>=") for requirement in project_of(plugin)["dependencies"])
