"""A newcomer's walk: README.md and the tutorial in an empty environment, with an old pip and with uv.

Nothing is installed at the start. The wheels of this repository stand in for the package index, where it has none yet;
everything else comes from the index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from docs.sandbox import Sandbox
from docs.test_pages import TUTORIAL, Story, matches
from support.pages import DOCS, ROOT, Block, blocks, sessions

pytestmark = pytest.mark.network

Installer = Literal["pip", "uv"]

OLD_PIP = "23.2"
"""Python 3.11 and 3.12 come with it, or with one that is hardly newer."""

_ALTERNATIVE = re.compile(r" +# with uv: (.+)$")

AWAY = ("git ", "claude ", "make ")
"""Commands that need an account, a client or a clone."""


class Machine(Sandbox):
    """A home folder on a machine that has Python, uv and the system's programs, and no package of mcp-host."""

    def __init__(self, folder: Path, wheels: Path, python: str, tools: Path) -> None:
        self._python = python
        self._tools = tools
        super().__init__(folder)
        for name in [name for name in self.environ if name.startswith("PIP_")]:
            del self.environ[name]
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
        kept.pop("PIP_CONSTRAINT", None)
        self.environ |= kept | {
            "PATH": f"{self.scripts}{os.pathsep}{os.defpath}",
            "PIP_FIND_LINKS": f"{wheels} {kept.get('PIP_FIND_LINKS', '')}".strip(),
            "UV_FIND_LINKS": str(wheels),
            # The downloads of earlier runs. A home folder of its own has none.
            "PIP_CACHE_DIR": str(Path("~/.cache/pip").expanduser()),
            "UV_CACHE_DIR": kept.get("UV_CACHE_DIR", str(Path("~/.cache/uv").expanduser())),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self.wheels = wheels

    def _environment(self, folder: Path) -> Path:
        folder.mkdir()
        python = folder / "python3"
        python.write_text(f'#!/bin/sh\nexec {self._python} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        for name in ("uv", "uvx"):
            (folder / name).symlink_to(self._tools / name)
        return folder

    def inside(self, text: str) -> str:
        return text.replace("/home/you", str(self.home)).replace("8000", self.port)

    def shown(self, text: str) -> str:
        return "".join(
            f"{line.rstrip()}\n"
            for line in text.replace(str(self.home), "/home/you").replace(self.port, "8000").splitlines()
        )


class Walk(Story):
    """Follows pages as a newcomer does who has the one installer or the other."""

    def __init__(self, machine: Machine, installer: Installer) -> None:
        super().__init__(machine)
        self.machine = machine
        self.installer = installer

    def command(self, shown: str) -> tuple[str, bool]:
        """Return the command for this installer, and whether it is the one that the page shows."""
        alternative = _ALTERNATIVE.search(shown)
        if alternative is None or self.installer == "pip":
            return shown, True
        return alternative[1], False

    def done(self, command: str) -> str:
        printed, code = self.machine.run(command)
        assert not code, f"{command}\n{printed}"
        if "-m venv" in command:
            # The environment's own pip installs the one that a newcomer's Python came with.
            printed, code = self.machine.run(f".venv/bin/python -m pip install --quiet pip=={OLD_PIP}")
            assert not code, printed
        for built in self.machine.home.glob("*/dist/*.whl"):
            shutil.copy(built, self.machine.wheels)
        return printed

    def console(self, block: Block) -> None:
        for shown, output in sessions(block):
            command, same = self.command(shown)
            if not same:
                self.done(command)
                continue
            printed, _ = self.machine.run(command)
            assert matches(output, printed), f"{block}: $ {command}\nshown:\n{output}\nprinted:\n{printed}"

    def shell(self, block: Block) -> None:
        for shown in block.text.strip().splitlines():
            if not shown.startswith(AWAY):
                self.done(self.command(shown)[0])


WALKS = {"console": Walk.console, "sh": Walk.shell, "toml": Walk.toml, "python": Walk.python}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of the host and of the plugin that the pages install."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "plugins/mcp-plugin-stats"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of uv's programs, from the index."""
    prefix = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    pip = [str(prefix / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
    subprocess.run(pip, check=True, capture_output=True)
    return prefix / "bin"


@pytest.fixture(params=["pip", "uv"])
def walk(request: pytest.FixtureRequest, built: Path, tools: Path, tmp_path: Path) -> Iterator[Walk]:
    wheels = Path(shutil.copytree(built, tmp_path / "wheels"))
    # NEWCOMER_PYTHON is another interpreter to walk with.
    machine = Machine(tmp_path, wheels, os.environ.get("NEWCOMER_PYTHON", f"{sys.base_prefix}/bin/python3"), tools)
    walk = Walk(machine, request.param)
    yield walk
    machine.close()


def test_the_readme_serves_in_an_empty_environment(walk: Walk) -> None:
    page = ROOT / "README.md"
    with_uv, with_pip, ask = [block for block in blocks(page) if block.language == "sh"][:3]
    walk.shell(with_pip if walk.installer == "pip" else with_uv)
    lines = [line for line in ask.text.splitlines() if line.startswith("mcp-host ")]
    for line in lines:
        printed = walk.done(line if walk.installer == "pip" else f"uvx --from mcp-host {line}")
        assert '"value": 3' in printed


def test_the_tutorial_ends_with_a_published_plugin(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(walk.machine.home)
    for name in TUTORIAL:
        for block in blocks(DOCS / "tutorial" / f"{name}.md"):
            WALKS[block.language](walk, block)
